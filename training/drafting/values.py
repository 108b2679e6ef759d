"""What a column holds: dates, codes, identifiers; and round bounds for its numbers."""

import math
import re

import numpy as np
import pandas as pd
from pandas.api import types

from contracts.feature import FLOAT32_MAX
from training.tables.csv_columns import has_leading_zeros

MARGIN = 0.1
"""Of the span that was seen, added at both ends of a range."""
NOISE = 1e-9
MAX_CODES = 40
"""Whole numbers without a gap, at most N of them, are codes: their range gets no margin."""
DATE_FORMATS = (
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%d.%m.%y",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%d.%m.%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M",
    "%d-%b-%Y",
    "%d %b %Y",
)
ISO = "ISO8601"
MIN_WEEKDAY_DAYS = 14
MIN_MONTH_DAYS = 700
_IDENTIFIER = re.compile(
    r"(^|[_\W])(id|ids|uuid|guid|key|index|number|no|nr|rownames)$", re.IGNORECASE
)
_CAMEL_IDENTIFIER = re.compile(r"[a-z](ID|Id|No|Nr)$")
_SAMPLE = 500


def date_format(column: pd.Series) -> str:
    """The format of a column of dates for `pd.to_datetime`, `ISO8601`; empty if it is none.

    Of several that fit, it is the one in which the column's rows are in order, else the first.
    """
    if types.is_datetime64_any_dtype(column.dtype):
        return ISO
    given = column.dropna()
    if not isinstance(column.dtype, pd.StringDtype) or given.empty:
        return ""
    if not given.iloc[:_SAMPLE].str.contains(r"[0-9].*[-/. :].*[0-9]", regex=True).all():
        return ""
    fitting = []
    for each in (ISO, *DATE_FORMATS):
        if parsed_dates(given.iloc[:_SAMPLE], each).notna().all():
            parsed = parsed_dates(given, each)
            if parsed.notna().all():
                fitting.append(each)
                if parsed.is_monotonic_increasing:
                    return each
    return fitting[0] if fitting else ""


def parsed_dates(texts: pd.Series, form: str) -> pd.Series:
    """Texts as datetimes, NaT for what is none in this format."""
    if types.is_datetime64_any_dtype(texts.dtype):
        return texts
    return pd.to_datetime(texts, format=form, errors="coerce", utc=form == ISO)


def timestamp_parts_of(times: pd.Series) -> tuple[str, ...]:
    """The parts of datetimes that say something: none that is constant, or was seen only once.

    A month needs two years; else it only says when in the data a row is.
    """
    known = times.dropna()
    span_days = (known.max() - known.min()).days
    parts = {
        "hour": _varies(known.dt.hour),
        "weekday": _varies(known.dt.weekday) and span_days >= MIN_WEEKDAY_DAYS,
        "month": _varies(known.dt.month) and span_days >= MIN_MONTH_DAYS,
    }
    return tuple(part for part, is_useful in parts.items() if is_useful)


def _varies(values: pd.Series) -> bool:
    return bool(values.min() != values.max())


def n_distinct_of(column: pd.Series) -> int:
    """The number of values in a column, missing ones aside; 0 if some are lists or objects."""
    try:
        return int(column.nunique())
    except TypeError:
        return 0


def is_identifier_name(name: str) -> bool:
    """Whether a name is one of identifiers, such as `customer_id`, `RowNumber`, `Unnamed: 0`."""
    return bool(
        name.lower() in {"id", "index", "x", "instant", "row"}
        or name.startswith("Unnamed: ")
        or _IDENTIFIER.search(name)
        or _CAMEL_IDENTIFIER.search(name)
    )


def is_row_number(column: pd.Series) -> bool:
    """Whether a column counts its rows, in steps of one."""
    values = column.to_numpy(dtype=float, na_value=np.nan)
    return len(values) > 1 and bool(np.all(np.abs(np.diff(values)) == 1))


def has_codes(column: pd.Series) -> bool:
    """Whether text has digits with leading zeros, as postal codes do."""
    return bool(has_leading_zeros(column.dropna()).any())


def bounds(column: pd.Series) -> tuple[float, float]:
    """Round bounds around the numbers of a column, with a margin; not below 0 if none is."""
    values = column.dropna().to_numpy(dtype=float)
    low, high = float(values.min()), float(values.max())
    is_whole = bool(np.all(values == np.round(values)))
    distinct = len(np.unique(values))
    if is_whole and distinct <= MAX_CODES and high - low + 1 == distinct:
        return low, high
    span = (high - low) or abs(high) or 1.0
    step = 10.0 ** (math.floor(math.log10(span)) - 1)
    if is_whole:
        step = max(step, 1.0)
    # A billionth of a step is the noise of floats, not a reason for another step.
    lower = math.floor((low - MARGIN * span) / step + NOISE) * step
    upper = math.ceil((high + MARGIN * span) / step - NOISE) * step
    if low >= 0:
        lower = max(lower, 0.0)
    return max(_rounded(lower), -FLOAT32_MAX), min(_rounded(upper), FLOAT32_MAX)


def _rounded(value: float) -> float:
    return float(f"{value:.12g}")
