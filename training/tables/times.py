"""A column of times as numbers that rise with time."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

from contracts.errors import preview
from training.tables.column_fault import ColumnFault

REMEDY = "name a column of datetimes, ISO 8601 texts or numbers"


def times_of(column: pd.Series) -> NDArray[Any] | ColumnFault:
    """Datetimes, dates, ISO 8601 texts (in UTC if they have no zone) or numbers, as numbers."""
    missing = column.isna().to_numpy()
    if missing.any():
        return ColumnFault(int(np.argmax(missing)), "a time", "nothing", REMEDY)
    if types.is_numeric_dtype(column.dtype) and not types.is_bool_dtype(column.dtype):
        return column.to_numpy(dtype=float)
    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.start_time
    if types.is_datetime64_any_dtype(column.dtype):
        parsed = pd.to_datetime(column, utc=True)
    else:
        parsed = pd.to_datetime(column.map(str), format="ISO8601", utc=True, errors="coerce")
    bad = parsed.isna().to_numpy()
    if bad.any():
        row = int(np.argmax(bad))
        return ColumnFault(row, "a time", preview(column.iloc[row]), REMEDY, int(bad.sum()))
    return np.asarray(parsed.astype("int64"))
