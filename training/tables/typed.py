"""The columns of a table in the types of the schema: float64, 1.0 and 0.0, text.

One rule for training and service: what a request may not hold for a feature, its column may not
hold either, except for the spellings of a boolean in a text file.
"""

import numbers
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from contracts.schema import Feature
from training.tables.column_fault import ColumnFault, first_fault, shown_value
from training.tables.csv_columns import composed
from training.tables.number_text import (
    BOOLEAN_SPELLINGS,
    Mask,
    booleans_of,
    number_hint,
)
from training.tables.timestamps import timestamps_of


def typed_values(column: pd.Series, feature: Feature) -> pd.Series | ColumnFault:
    """A column as its feature's type; missing values are NaN.

    Numbers and booleans are float64, categories `str` in NFC, timestamps seconds as float64.
    Ranges are not checked.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if feature.is_category:
        return _texts(column, feature)
    if feature.type == "bool":
        return _booleans(column, feature)
    if feature.is_timestamp:
        return timestamps_of(column, feature)
    return number_values(column, feature.expected)


def number_values(column: pd.Series, expected: str) -> pd.Series | ColumnFault:
    """A column of finite numbers as float64; `expected` describes a value, for a fault."""
    kind = _kind(column)
    if kind in {"datetimes", "durations", "periods", "booleans", "complex numbers"}:
        return ColumnFault(None, "numbers", f"{kind} ({column.dtype})", _REMEDIES[kind])
    missing = column.isna().to_numpy()
    if types.is_numeric_dtype(column.dtype):
        values = column.to_numpy(dtype=float, na_value=np.nan)
    else:
        is_number = _all_are(column, numbers.Real | Decimal) & ~_all_are(column, bool | np.bool_)
        bad = ~missing & ~is_number
        if bad.any():
            first = column.iloc[int(np.argmax(bad))]
            remedy = number_hint(first) or "convert the values to numbers in the loader"
            return first_fault(column, expected, bad, remedy)
        values = np.full(len(column), np.nan)
        values[~missing] = [_float(value) for value in column[~missing]]
    bad = np.isinf(values)
    if bad.any():
        return first_fault(column, expected, bad, "clip or drop these rows in the loader")
    return pd.Series(values, index=column.index)


def _texts(column: pd.Series, feature: Feature) -> pd.Series | ColumnFault:
    kind = _kind(column)
    if kind is not None:
        shown = (
            f"{kind}, such as {shown_value(column.dropna().iloc[0])}"
            if column.notna().any()
            else ""
        )
        if shown:
            return ColumnFault(
                None,
                "text",
                shown,
                _REMEDIES.get(kind, _NUMBERS_AS_TEXT).format(name=feature.name),
            )
    if isinstance(column.dtype, pd.StringDtype):
        return composed(column.astype("str"))
    bad = ~column.isna().to_numpy() & ~_all_are(column, str)
    if bad.any():
        return first_fault(
            column, feature.expected, bad, "convert the column to text in the loader"
        )
    return composed(column.astype("str"))


def _booleans(column: pd.Series, feature: Feature) -> pd.Series | ColumnFault:
    kind = _kind(column)
    remedy = f"expected spellings are {', '.join(BOOLEAN_SPELLINGS)}"
    if kind in {"datetimes", "durations", "periods", "complex numbers"}:
        return ColumnFault(None, feature.expected, kind, "derive a boolean in the loader")
    missing = column.isna().to_numpy()
    if types.is_numeric_dtype(column.dtype):
        values = column.astype("Float64").to_numpy(dtype=float, na_value=np.nan)
    elif isinstance(column.dtype, pd.StringDtype):
        values = booleans_of(column)
    else:
        # `map` fails at integers that no float holds.
        flags = [BOOLEAN_SPELLINGS.get(v, v) if isinstance(v, str) else v for v in column]
        spelled = pd.Series(flags, index=column.index, dtype=object)
        is_flag = _all_are(spelled, bool | np.bool_ | numbers.Real) | missing
        values = np.full(len(column), np.nan)
        values[is_flag & ~missing] = [_float(value) for value in spelled[is_flag & ~missing]]
    bad = ~missing & ~np.isin(values, (0.0, 1.0))
    if bad.any():
        return first_fault(column, feature.expected, bad, remedy)
    return pd.Series(values, index=column.index)


_NUMBERS_AS_TEXT = (
    "read the file with read_csv(path, schema), which keeps text as it is, or use "
    "number({name!r}, ...)"
)
_REMEDIES = {
    "datetimes": "use timestamp(..., parts=(...)), which derives numbers such as the hour",
    "durations": "convert them to seconds in the loader: .dt.total_seconds()",
    "periods": "derive numbers in the loader (year, month)",
    "booleans": "use boolean(...), or astype(int) if each request sends 0 and 1",
    "complex numbers": "split them into two columns",
}


def _kind(column: pd.Series) -> str | None:
    """What all values of a column are by its type; None where its type says nothing, or text."""
    dtype = column.dtype
    checks = {
        "datetimes": types.is_datetime64_any_dtype(dtype),
        "durations": types.is_timedelta64_dtype(dtype),
        "periods": isinstance(dtype, pd.PeriodDtype),
        "booleans": types.is_bool_dtype(dtype) and not types.is_object_dtype(dtype),
        "complex numbers": types.is_complex_dtype(dtype),
        "numbers": types.is_numeric_dtype(dtype),
    }
    return next((kind for kind, found in checks.items() if found), None)


def _all_are(column: pd.Series, kinds: Any) -> Mask:
    return np.fromiter((isinstance(v, kinds) for v in column), dtype=bool, count=len(column))


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
