"""Values of traffic become columns: times, features in the types of a reference, class indices."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.flags import split_flags
from contracts.reference import CategoryReference, ColumnReference, NumberReference, Reference

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S%.fZ"


class _Timed(Protocol):
    @property
    def time(self) -> str: ...


Record = TypeVar("Record", bound=_Timed)


def parse_times(texts: Sequence[str]) -> pl.Series:
    """RFC 3339 times in UTC as `time`: Datetime in microseconds; null for what is no such time.

    >>> parse_times(["2026-01-31T12:00:00.5Z", "2026-01-31T12:99"]).is_null().to_list()
    [False, True]
    """
    return (
        pl.Series("time", texts, dtype=pl.String)
        .str.to_datetime(TIME_FORMAT, time_unit="us", strict=False)
        .dt.replace_time_zone("UTC")
    )


def split_by_time(records: Sequence[Record]) -> tuple[list[Record], pl.Series, list[Record]]:
    """The records with a valid time, these times, and the records without one."""
    times = parse_times([record.time for record in records])
    if not times.null_count():
        return list(records), times, []
    valid = times.is_not_null()
    pairs = list(zip(records, valid, strict=True))
    return (
        [record for record, is_valid in pairs if is_valid],
        times.filter(valid),
        [record for record, is_valid in pairs if not is_valid],
    )


def feature_key(name: str) -> str:
    """The name of a feature's column in tables of traffic."""
    return f"features.{name}"


def feature_texts(values: Sequence[object]) -> pl.Series:
    """Values of a feature as text; booleans are spelt as in JSON, None is null."""
    return pl.Series([_text(value) for value in values], dtype=pl.String)


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


def trusted_series(column: ColumnReference, values: Sequence[Any]) -> pl.Series:
    """Values that are known to have the type of the reference, or to be None, as a column."""
    if isinstance(column, NumberReference):
        return pl.Series(values, dtype=pl.Float64)
    if column.is_boolean:
        return pl.Series(values, dtype=pl.Boolean)
    if not column.counts:
        values = [("true" if v else "false") if isinstance(v, bool) else v for v in values]
    return pl.Series(values, dtype=pl.String)


def series_of(column: ColumnReference, values: Sequence[Any]) -> tuple[pl.Series, int]:
    """Values of any type as a column of the reference's type, and how many are mistyped.

    >>> series_of(NumberReference(edges=(), counts=(0,), missing=0, minimum=0, maximum=0,
    ...     mean=0, std=0), [1, "2", None])[1]
    1
    """
    wanted: tuple[type, ...]
    if isinstance(column, NumberReference):
        wanted = (int, float)
    elif column.counts:
        wanted = (bool,) if column.is_boolean else (str,)
    else:
        wanted = (bool, str)
    kept = [
        v if isinstance(v, wanted) and (bool in wanted or not isinstance(v, bool)) else None
        for v in values
    ]
    mistyped = sum(k is None and v is not None for k, v in zip(kept, values, strict=True))
    if isinstance(column, NumberReference):
        kept = [_float(k) if isinstance(k, int | float) else None for k in kept]
    return trusted_series(column, kept), mistyped


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return np.inf if value > 0 else -np.inf


def stored_series(column: ColumnReference, table: pl.DataFrame, key: str) -> tuple[pl.Series, int]:
    """A column of a Parquet file in the reference's type, and how many values are mistyped."""
    mixed = f"mixed.{key.removeprefix('features.')}"
    if mixed in table.columns:
        return series_of(column, decoded_json(table[mixed]))
    if key not in table.columns:
        return pl.Series([None] * len(table), dtype=_polars_type(column)), 0
    stored = table[key]
    if isinstance(column, NumberReference) and stored.dtype.is_numeric():
        return stored.cast(pl.Float64), 0
    if isinstance(column, CategoryReference):
        if stored.dtype == pl.Boolean and (column.is_boolean or not column.counts):
            return stored, 0
        if stored.dtype in (pl.Categorical, pl.String) and not (
            column.is_boolean and key.startswith("features.")
        ):
            return stored, 0
    mistyped = len(stored) - stored.null_count()
    return pl.Series([None] * len(stored), dtype=_polars_type(column)), mistyped


def _polars_type(column: ColumnReference) -> Any:
    return pl.Float64 if isinstance(column, NumberReference) else pl.String


def decoded_json(texts: pl.Series) -> list[Any]:
    """The values of a column `mixed.<name>`, which has them as JSON; None where it is null."""
    return [None if text is None else msgspec.json.decode(text) for text in texts]


def count_flags(flags: pl.Series) -> Counter[str]:
    """How often each flag is in a column of flags joined by commas."""
    found = flags.drop_nulls()
    return Counter(flag for joined in found for flag in split_flags(str(joined)))


def unknown_columns(table: pl.DataFrame, reference: Reference) -> Mapping[str, int]:
    """Features of a Parquet file that the reference does not know, with their values counted."""
    found: Counter[str] = Counter()
    known = reference.features.keys() | reference.timestamps.keys()
    for column in table.columns:
        group, _, name = column.partition(".")
        if group in {"features", "mixed"} and name not in known:
            found[name] += len(table) - table[column].null_count()
    return found


def class_index_or_value(values: pl.Series, classes: Sequence[str]) -> NDArray[np.float64]:
    """Predictions or targets as class indices, shape `(n_rows,)`; NaN for no such class.

    Without classes (a regression) they are the values themselves, NaN for no number.

    >>> class_index_or_value(pl.Series(["yes", "no", "maybe"]), ("no", "yes")).tolist()
    [1.0, 0.0, nan]
    """
    if not classes:
        return values.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    index = {name: float(i) for i, name in enumerate(classes)}
    text = values.cast(pl.String)
    return text.replace_strict(index, default=np.nan, return_dtype=pl.Float64).to_numpy()


def true_class_scores(
    table: pl.DataFrame, targets: NDArray[np.float64], classes: Sequence[str]
) -> NDArray[np.float64]:
    """The score of the class that was true, shape `(n_rows,)`.

    `table` is one of traffic, `targets` are class indices. NaN where no score of that class was
    logged, and for a regression.
    """
    found = np.full(len(table), np.nan)
    for i, name in enumerate(classes):
        key = f"scores.{name}"
        if key in table.columns:
            found = np.where(targets == i, table[key].to_numpy(), found)
    return found
