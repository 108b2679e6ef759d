"""A column as a feature of a drafted recipe, or the reason why it is left out."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from pandas.api import types

from contracts.feature import (
    FLOAT32_MAX,
    Feature,
    boolean,
    category,
    integer,
    is_printable_name,
    number,
    string,
)
from training.drafting.values import (
    MAX_CODES,
    bounds,
    has_codes,
    is_identifier_name,
    is_row_number,
    n_distinct_of,
)

MAX_LISTED_CATEGORIES = 100
MAX_TEXT_CHARS = 60
"""Texts that are longer on average are free text."""
MAX_DISTINCT_SHARE = 0.5
"""A text column with more distinct values per row says something else of each row."""
EXACT_INTEGERS = 2**24
RARE_ROWS = 5


@dataclass(frozen=True)
class DraftedColumn:
    """What becomes of a column: a feature, or none with the reason; and the doubts about it."""

    name: str
    feature: Feature | None = None
    left_out: str = ""
    doubts: list[str] = field(default_factory=list)


def drafted_column(name: str, column: pd.Series) -> DraftedColumn:
    """A column of numbers, booleans or text; datetimes are not handled here."""
    given = column.dropna()
    n_distinct = n_distinct_of(given)
    reasons = {
        "it has no values": given.empty,
        "its name is empty, too long or not printable": not is_printable_name(name),
        "its values are lists or objects": not n_distinct,
        "it is constant": n_distinct == 1,
    }
    reason = next((text for text, found in reasons.items() if found), "")
    if reason:
        return DraftedColumn(name, left_out=reason)
    nullable = bool(column.isna().any())
    if types.is_bool_dtype(column.dtype):
        return DraftedColumn(name, boolean(name, nullable=nullable))
    if types.is_numeric_dtype(column.dtype) and not types.is_complex_dtype(column.dtype):
        return _numeric(name, column, n_distinct, nullable=nullable)
    if given.map(lambda value: isinstance(value, str)).all():
        return _text(name, given.astype("str"), n_distinct, nullable=nullable)
    kind = type(given.iloc[0]).__name__
    return DraftedColumn(name, left_out=f"its values are neither numbers nor text, but {kind}")


def _numeric(name: str, column: pd.Series, n_distinct: int, *, nullable: bool) -> DraftedColumn:
    values = column.dropna().to_numpy(dtype=float)
    if not np.all(np.abs(values) <= FLOAT32_MAX):
        return DraftedColumn(name, left_out="it has infinities, or numbers beyond float32")
    is_whole = bool(np.all(values == np.round(values)))
    is_unique = n_distinct == len(column)
    doubts = []
    if is_whole and is_unique and (is_identifier_name(name) or is_row_number(column)):
        return DraftedColumn(name, left_out="it looks like an identifier or a row number")
    if is_identifier_name(name) and n_distinct > MAX_CODES:
        return DraftedColumn(name, left_out="its name is that of an identifier")
    if is_identifier_name(name):
        doubts.append("is it an identifier? Its name looks like one")
    elif is_whole and is_unique:
        doubts.append("is it an identifier? Every value differs")
    if np.abs(values).max() > EXACT_INTEGERS and is_whole:
        doubts.append(
            "numbers beyond 16,777,216 are exact in a float64 form of the model only: see its "
            "certificate, or send a difference"
        )
    low, high = bounds(column)
    if is_whole:
        made = integer(name, int(low), int(high), nullable=nullable, policy="flag")
    else:
        made = number(name, low, high, nullable=nullable, policy="flag")
    return DraftedColumn(name, made, doubts=doubts)


def _text(name: str, given: pd.Series, n_distinct: int, *, nullable: bool) -> DraftedColumn:
    doubts = []
    if given.str.len().mean() > MAX_TEXT_CHARS:
        return DraftedColumn(name, left_out="it is free text")
    if n_distinct > max(MAX_DISTINCT_SHARE * len(given), RARE_ROWS):
        what = "codes with leading zeros" if has_codes(given) else "an identifier or free text"
        return DraftedColumn(
            name, left_out=f"it looks like {what}: {n_distinct:,} values in {len(given):,} rows"
        )
    if has_codes(given):
        doubts.append("digits with leading zeros stay text: clients must send them as text")
    if (given != given.str.strip()).any():
        doubts.append("some values begin or end with a space")
    if n_distinct > MAX_LISTED_CATEGORIES:
        made = string(name, MAX_LISTED_CATEGORIES, nullable=nullable)
        doubts.append(
            f"{n_distinct:,} categories are many: the {MAX_LISTED_CATEGORIES} most frequent are "
            "learned, all others count as unseen"
        )
    else:
        made = category(name, sorted(given.unique()), nullable=nullable, policy="flag")
    folded = given.str.strip().str.casefold().nunique()
    if folded < n_distinct:
        doubts.append(f"{n_distinct - folded} categories differ from others in case or spaces only")
    return DraftedColumn(name, made, doubts=doubts)
