"""Columns of a CSV file in the types of the schema, or in those that their text shows."""

import numpy as np
import pandas as pd

from contracts.errors import InvalidData, preview
from contracts.schema import Feature, normalized
from training.notes import add_note
from training.tables.csv_text import CsvText
from training.tables.number_text import (
    BOOLEAN_SPELLINGS,
    Mask,
    NumberFormat,
    booleans_of,
    number_hint,
)
from training.tables.timestamps import datetimes_of

BOOLEAN_WORDS = frozenset(BOOLEAN_SPELLINGS) - {"0", "1"}


def typed_column(
    text: CsvText, index: int, feature: Feature, numbers: NumberFormat, missing: frozenset[str]
) -> pd.Series:
    """A column in the type of its feature: `str`, bool, int64, float64 or datetimes.

    Missing values are NaN, with which booleans become `boolean` and integers float64. Times that
    are not ISO 8601 stay text, for the loader to parse.

    Raises:
        InvalidData: a field is of another type; the first such line is named.

    """
    texts = text.column(index, missing)
    if feature.is_category:
        return composed(texts)
    if feature.is_timestamp:
        return datetimes_of(texts, feature)
    values = booleans_of(texts) if feature.type == "bool" else numbers.numbers(texts)
    bad = texts.notna().to_numpy() & ~np.isfinite(values)
    if feature.type == "int":
        bad |= np.isfinite(values) & (values != np.round(values))
    if bad.any():
        raise _fault(text, index, feature, bad)
    if feature.type == "bool":
        return pd.Series(values).astype("boolean" if np.isnan(values).any() else "bool")
    if feature.type == "int" and not np.isnan(values).any():
        return _integers(texts, values, text.names[index])
    return pd.Series(values)


def inferred_column(texts: pd.Series, numbers: NumberFormat, name: str) -> pd.Series:
    """A column as integers, numbers or booleans if every value is one; else text, as it is.

    Digits with a leading zero are text: `01234` is a code.
    """
    given = texts.dropna()
    if given.empty:
        return texts
    if set(given.unique()[:3]) <= BOOLEAN_WORDS and given.isin(list(BOOLEAN_WORDS)).all():
        values = booleans_of(texts)
        return pd.Series(values).astype("boolean" if np.isnan(values).any() else "bool")
    if not numbers.matches(given.iloc[:100]).all() or has_leading_zeros(given).any():
        return texts
    values = numbers.numbers(texts)
    if np.isinf(values).any() or np.isnan(values).sum() > len(texts) - len(given):
        return texts
    is_whole = given.str.fullmatch(r"\s*[+-]?[0-9]+\s*").all()
    if is_whole and len(given) == len(texts):
        return _integers(texts, values, name)
    return pd.Series(values)


def has_leading_zeros(texts: pd.Series) -> Mask:
    """Which texts are digits of which the first of several is a zero, as in a code."""
    matched = texts.str.fullmatch(r"\s*[+-]?0[0-9]+\s*")
    return np.asarray(matched.fillna(value=False), dtype=bool)


def composed(texts: pd.Series) -> pd.Series:
    """Text in NFC, in which categories are compared."""
    if texts.str.isascii().fillna(value=True).all():
        return texts
    return texts.map(normalized, na_action="ignore")


def _integers(texts: pd.Series, values: np.ndarray, name: str) -> pd.Series:
    """Whole numbers as int64, exact if they were written without a point; else as float64."""
    if np.abs(values).max(initial=0) >= 2**63:
        add_note(
            f"column {name!r}: integers beyond 64 bits are read as floats, which are not exact"
        )
        return pd.Series(values)
    try:
        return texts.str.strip().astype("int64")
    except (ValueError, OverflowError):
        return pd.Series(values.astype("int64"))


def _fault(text: CsvText, index: int, feature: Feature, bad: Mask) -> InvalidData:
    row = int(np.argmax(bad))
    value = text.columns[index].iloc[row]
    more = int(bad.sum()) - 1
    if feature.type == "bool":
        remedy = f"write one of {', '.join(BOOLEAN_SPELLINGS)}"
    else:
        remedy = number_hint(value)
    return InvalidData(
        f"{text.path}:{text.lines.iloc[row]}: column {feature.name!r}: expected "
        f"{feature.expected}, got {preview(value)}"
        + (f" (and {more} more rows like it)" if more else ""),
        remedy=remedy or "fix the value in the file",
    )
