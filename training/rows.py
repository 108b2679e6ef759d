"""Rows of features: as plain values, as the pipeline takes them, and which break the schema."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contracts.schema import FLOAT32_MAX, Feature, Schema, Value, timestamp_columns
from contracts.timestamps import (
    FIRST_SECOND,
    LAST_SECOND,
    parse_timestamp,
    parse_timestamps,
    timestamp_text,
)

EXACT_FLOAT32 = 2**24
"""Up to here float32 has every integer."""


def plain_rows(table: pd.DataFrame, schema: Schema) -> list[dict[str, Value]]:
    """The features of a table as rows of plain Python values; a missing value is None."""
    columns = [_plain(table[feature.name], feature) for feature in schema.features]
    return [dict(zip(schema.names, values, strict=True)) for values in zip(*columns, strict=True)]


def features_of(table: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """The features of a table as the pipeline takes them.

    Their types are `Feature.frame_dtype`; a missing value is NaN. After a timestamp, which is
    in seconds or RFC 3339, come its parts.
    """
    columns: dict[str, Any] = {}
    for feature in schema.features:
        if feature.is_timestamp:
            parts = timestamp_columns(feature, seconds_of(table[feature.name]))
            columns |= {name: pd.Series(each, index=table.index) for name, each in parts.items()}
        else:
            columns[feature.name] = table[feature.name].astype(feature.frame_dtype)
    return pd.DataFrame(columns)


def seconds_of(column: pd.Series) -> NDArray[np.float64]:
    """A column of seconds, or of RFC 3339 texts, as seconds `(n_rows,)`; NaN is missing."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    texts = [
        None if is_missing else value
        for value, is_missing in zip(column, column.isna(), strict=True)
    ]
    seconds, n_wrong = parse_timestamps(texts)
    if n_wrong:
        raise ValueError(f"expected timestamps, got {n_wrong} other values in {column.name}")
    return seconds


def frame_of(rows: Sequence[dict[str, Any]], schema: Schema) -> pd.DataFrame:
    """Rows of plain values as the pipeline takes them; the inverse of `plain_rows`."""
    table = pd.DataFrame({name: [row.get(name) for row in rows] for name in schema.names})
    return features_of(table, schema)


def suspects_of(table: pd.DataFrame, schema: Schema) -> list[int]:
    """Positions of rows that may break the schema, found column by column for speed."""
    bad = np.zeros(len(table), dtype=bool)
    for feature in schema.features:
        column = table[feature.name]
        missing = column.isna().to_numpy()
        bad |= missing & (not feature.nullable)
        bad |= ~missing & ~_fits(column, feature)
    return [int(i) for i in np.flatnonzero(bad)]


def row_hashes(table: pd.DataFrame) -> NDArray[np.uint64]:
    """A hash of each row's values, shape `(n_rows,)`; equal rows have equal hashes."""
    if not len(table.columns):
        return np.zeros(len(table), dtype=np.uint64)
    try:
        return pd.util.hash_pandas_object(table, index=False).to_numpy()
    except TypeError:
        # A column of lists or other objects without a hash, which no feature is.
        return pd.util.hash_pandas_object(table.map(repr), index=False).to_numpy()


def _fits(column: pd.Series, feature: Feature) -> NDArray[np.bool_]:
    if feature.is_category:
        is_text = column.map(lambda value: isinstance(value, str)).to_numpy(dtype=bool)
        if feature.policy != "reject":
            return is_text
        return is_text & column.isin(feature.categories).to_numpy()
    if feature.is_timestamp:
        return _fits_timestamp(column, feature)
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    fits = np.isfinite(numbers)
    if feature.type == "bool":
        return column.isin([True, False]).to_numpy()
    if feature.type == "int":
        fits &= numbers == np.round(numbers)
    if feature.policy == "reject":
        fits &= (numbers >= feature.low) & (numbers <= feature.high)
    else:
        fits &= np.abs(numbers) <= FLOAT32_MAX
    return fits


def _fits_timestamp(column: pd.Series, feature: Feature) -> NDArray[np.bool_]:
    """Which values are seconds or RFC 3339 texts in range."""
    found = [
        value
        if isinstance(value, float)
        else parse_timestamp(value)
        if isinstance(value, str)
        else None
        for value in column
    ]
    seconds = np.array(found, dtype=np.float64)
    is_bounded = feature.policy == "reject"
    low = feature.low if is_bounded else FIRST_SECOND
    high = feature.high if is_bounded else LAST_SECOND
    fits: NDArray[np.bool_] = (seconds >= low) & (seconds <= high)
    return fits


def _plain(column: pd.Series, feature: Feature) -> list[Value]:
    missing = column.isna()
    kinds: dict[str, Any] = {
        "float": float,
        "int": _whole,
        "bool": bool,
        "category": _unchanged,
        "timestamp": _text_of_time,
    }
    convert = kinds[feature.type]
    pairs = zip(column.tolist(), missing.tolist(), strict=True)
    return [None if is_missing else convert(value) for value, is_missing in pairs]


def _whole(value: Any) -> Any:
    """4.0 as 4, since pandas stores integers with missing values as floats.

    Anything else stays as it is, for the schema to refuse.
    """
    return int(value) if isinstance(value, int | float) and float(value).is_integer() else value


def _text_of_time(value: Any) -> Any:
    """Seconds in RFC 3339; anything else stays as it is, for the schema to refuse."""
    return timestamp_text(value) if isinstance(value, float) else value


def _unchanged(value: Any) -> Any:
    return value


def n_merged_in_float32(column: pd.Series) -> int:
    """How many distinct numbers beyond 2^24 are equal to another one in float32.

    >>> n_merged_in_float32(pd.Series([2.0**24, 2.0**24 + 1, 0.1]))
    1
    """
    exact = np.unique(column.dropna().to_numpy(dtype=np.float64))
    large = exact[np.abs(exact) >= EXACT_FLOAT32]
    return len(large) - len(np.unique(large.astype(np.float32)))
