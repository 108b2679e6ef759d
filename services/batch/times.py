"""Timestamps of Arrow columns: as the texts that a JSON body would have, and as seconds."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.schema import Feature
from contracts.timestamps import (
    FIRST_SECOND,
    LAST_SECOND,
    MICROSECONDS_PER_SECOND,
    timestamp_text,
    wall_to_utc,
)

TICKS_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000}
NANOSECONDS_PER_MICROSECOND = 1000


def is_time(kind: Any) -> bool:
    """Whether an Arrow type is one of times or of dates."""
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def seconds_of_times(feature: Feature, array: Any) -> NDArray[np.float64]:
    """A column of Arrow's times or dates as seconds, shape `(n_rows,)`, as their texts have them.

    NaN where it is null or outside the years 1900 to 2099.
    """
    return _times(feature, array)[0]


def texts_of_times(feature: Feature, array: Any) -> list[str | None]:
    """A column of Arrow's times or dates as RFC 3339 in UTC; None where it is null.

    Without a zone, times and dates are those of the feature's clock. A time outside the years
    1900 to 2099 is a text that no feature takes. Nanoseconds are cut off downwards, as in texts.
    """
    seconds, ticks, unit = _times(feature, array)
    is_valid = array.is_valid().to_numpy(zero_copy_only=False)
    return [
        _text(second, f"{tick} {unit} since 1970") if valid else None
        for second, tick, valid in zip(
            seconds.tolist(), ticks.tolist(), is_valid.tolist(), strict=True
        )
    ]


def _times(feature: Feature, array: Any) -> tuple[NDArray[np.float64], NDArray[np.int64], str]:
    """Seconds as in `seconds_of_times`, ticks, and their unit."""
    if pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("s" if pa.types.is_date32(array.type) else "ms"))
    unit, zone = array.type.unit, array.type.tz
    ticks = array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    if unit == "ns":
        unit, ticks = "us", ticks // NANOSECONDS_PER_MICROSECOND
    seconds = ticks / TICKS_PER_SECOND[unit]
    if zone is None:
        seconds = wall_to_utc(seconds, feature.zone_offsets)
    is_known = (seconds >= FIRST_SECOND) & (seconds <= LAST_SECOND)
    is_known &= array.is_valid().to_numpy(zero_copy_only=False)
    exact = np.round(seconds * MICROSECONDS_PER_SECOND) / MICROSECONDS_PER_SECOND
    return np.where(is_known, exact, np.nan), ticks, unit


def _text(second: float, otherwise: str) -> str:
    return otherwise if math.isnan(second) else timestamp_text(second)


def odd_seconds(
    feature: Feature, seconds: NDArray[np.float64], is_missing: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which rows may be invalid, clipped or flagged, shape `(n_rows,)`."""
    in_range = (seconds >= feature.low) & (seconds <= feature.high)
    return ~(in_range | is_missing) if feature.nullable else ~in_range
