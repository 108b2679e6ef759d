"""A column of times as seconds since 1970 in UTC, as `contracts.timestamps` has them."""

from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

from contracts.schema import Feature
from contracts.timestamps import (
    FIRST_SECOND,
    LAST_SECOND,
    MICROSECONDS_PER_SECOND,
    UNIX_EPOCH,
    parse_file_timestamp,
    wall_to_utc,
)
from training.tables.column_fault import ColumnFault, first_fault

_REMEDY = "parse it in the loader: pd.to_datetime(column, format=...)"


def timestamps_of(column: pd.Series, feature: Feature) -> pd.Series | ColumnFault:
    """Datetimes, dates or ISO 8601 texts as seconds in float64; NaN is missing.

    Times without a zone are those of the feature's clock: an hour that it shows twice is the
    first one.
    """
    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.start_time
    if types.is_datetime64_any_dtype(column.dtype):
        seconds = _of_datetimes(column, feature)
    elif types.is_object_dtype(column.dtype) or isinstance(column.dtype, pd.StringDtype):
        seconds = np.array([_seconds(value, feature) for value in column], dtype=np.float64)
    else:
        remedy = "convert it in the loader: pd.to_datetime(column, unit='s')"
        return ColumnFault(None, feature.expected, f"{column.dtype}", remedy)
    bad = column.notna().to_numpy() & ~((seconds >= FIRST_SECOND) & (seconds <= LAST_SECOND))
    if bad.any():
        expected = "a time 1900..2099 in ISO 8601"
        return first_fault(column.astype(object).map(_plain), expected, bad, _REMEDY)
    return pd.Series(seconds, index=column.index)


def datetimes_of(texts: pd.Series, feature: Feature) -> pd.Series:
    """ISO 8601 texts as datetimes in the feature's zone; as they came if some are none."""
    seconds = timestamps_of(texts, feature)
    if isinstance(seconds, ColumnFault):
        return texts
    micros = pd.array(np.rint(seconds.to_numpy() * MICROSECONDS_PER_SECOND), dtype="Float64")
    times = pd.Series(pd.to_datetime(micros, unit="us", utc=True), index=texts.index)
    return times.astype("datetime64[us, UTC]").dt.tz_convert(feature.time_zone)


def _of_datetimes(column: pd.Series, feature: Feature) -> NDArray[np.float64]:
    is_wall = column.dt.tz is None
    utc = column if is_wall else column.dt.tz_convert("UTC").dt.tz_localize(None)
    micros = utc.to_numpy(dtype="datetime64[us]")
    seconds = micros.astype(np.int64) / MICROSECONDS_PER_SECOND
    seconds[np.isnat(micros)] = np.nan
    return wall_to_utc(seconds, feature.zone_offsets) if is_wall else seconds


def _seconds(value: Any, feature: Feature) -> float | None:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return (value - UNIX_EPOCH).total_seconds()
    if isinstance(value, date):
        value = value.isoformat()
    return parse_file_timestamp(value, feature.zone_offsets) if isinstance(value, str) else None


def _plain(value: object) -> object:
    return value if isinstance(value, str) else str(value)
