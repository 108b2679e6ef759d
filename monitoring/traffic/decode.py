"""Records become columns: those a reference knows, of the type that it knows."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.reference import CategoryReference, ColumnReference, NumberReference, Reference
from contracts.traffic import TrafficRecord

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S%.fZ"


def record_type(reference: Reference) -> type[Any]:
    """A traffic record whose features are those of the reference, and of its types.

    Decoding into it refuses what `TrafficRecord` would take: a feature that training did
    not know, or a value of another type. What no counter needs is skipped.
    """
    names = {f"f{i}": name for i, name in enumerate(reference.features)}
    features = msgspec.defstruct(
        "Features",
        [
            (field, _json_type(reference.features[name]) | None, None)
            for field, name in names.items()
        ],
        rename=names,
        forbid_unknown_fields=True,
        # Records hold no cycles; the collector need not look at millions of them.
        gc=False,
    )
    return msgspec.defstruct(
        "Record",
        [
            ("prediction_id", str),
            ("time", str),
            ("version", int),
            ("features", features),
            ("prediction", str | float),
            ("score", float),
            ("variant", str, "production"),
            ("flags", tuple[str, ...], ()),
        ],
        gc=False,
    )


def _json_type(column: ColumnReference) -> Any:
    if isinstance(column, NumberReference):
        return float
    if not column.counts:
        return bool | str
    return bool if column.is_boolean else str


class ColumnMaker:
    """Makes a piece of a window from records of one reference's model."""

    def __init__(self, reference: Reference) -> None:
        self._features = reference.features
        self._predictions = reference.predictions
        self._fields = {name: f"f{i}" for i, name in enumerate(reference.features)}

    def frame(self, records: Sequence[Any]) -> tuple[pl.DataFrame, Counter[str], Counter[str]]:
        """Records as a table with mistyped values and strange columns counted.

        The table has `prediction_id`, `time`, `version`, `variant`, `flags` and the columns
        of the reference. Records may be of `record_type` or TrafficRecord; a time that is
        none is null.
        """
        mistyped: Counter[str] = Counter()
        unknown_features: Counter[str] = Counter()
        columns = {
            "prediction_id": pl.Series([r.prediction_id for r in records], dtype=pl.String),
            "time": pl.Series([r.time for r in records], dtype=pl.String)
            .str.to_datetime(TIME_FORMAT, time_unit="us", strict=False)
            .dt.replace_time_zone("UTC"),
            "version": pl.Series([r.version for r in records], dtype=pl.Int64),
            "variant": pl.Series([r.variant for r in records], dtype=pl.String),
            "flags": pl.Series([",".join(r.flags) or None for r in records], dtype=pl.String),
        }
        for name, column in self._predictions.items():
            values = [getattr(r, name) for r in records]
            columns[name], mistyped[name] = series_of(column, values)
        if isinstance(records[0], TrafficRecord):
            for r in records:
                unknown_features.update(r.features.keys() - self._features.keys())
            for name, column in self._features.items():
                values = [r.features.get(name) for r in records]
                columns[feature_key(name)], mistyped[name] = series_of(column, values)
        else:
            features = [r.features for r in records]
            for name, field in self._fields.items():
                values = [getattr(f, field) for f in features]
                columns[feature_key(name)] = _trusted(self._features[name], values)
        return pl.DataFrame(columns), mistyped, unknown_features


def feature_key(name: str) -> str:
    """The name of a feature's column in tables of traffic."""
    return f"features.{name}"


def _trusted(column: ColumnReference, values: Sequence[Any]) -> pl.Series:
    if isinstance(column, NumberReference):
        return pl.Series(values, dtype=pl.Float64)
    if column.is_boolean:
        return pl.Series(values, dtype=pl.Boolean)
    if not column.counts:
        values = [("true" if v else "false") if isinstance(v, bool) else v for v in values]
    return pl.Series(values, dtype=pl.String)


def series_of(column: ColumnReference, values: Sequence[Any]) -> tuple[pl.Series, int]:
    """Values of any type as a column of the reference's type, and how many are of another.

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
    wrong = sum(k is None and v is not None for k, v in zip(kept, values, strict=True))
    if isinstance(column, NumberReference):
        kept = [_float(k) if isinstance(k, int | float) else None for k in kept]
    return _trusted(column, kept), wrong


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return np.inf if value > 0 else -np.inf


def stored_series(column: ColumnReference, frame: pl.DataFrame, key: str) -> tuple[pl.Series, int]:
    """A column of a compacted table as the reference has it, and how many are of another type."""
    mixed = f"mixed.{key.removeprefix('features.')}"
    if mixed in frame.columns:
        values = [None if v is None else msgspec.json.decode(v) for v in frame[mixed]]
        return series_of(column, values)
    if key not in frame.columns:
        return pl.Series([None] * len(frame), dtype=_polars_type(column)), 0
    stored = frame[key]
    if isinstance(column, NumberReference) and stored.dtype.is_numeric():
        return stored.cast(pl.Float64), 0
    if isinstance(column, CategoryReference):
        if stored.dtype == pl.Boolean and (column.is_boolean or not column.counts):
            return stored, 0
        if stored.dtype in (pl.Categorical, pl.String) and not (
            column.is_boolean and key.startswith("features.")
        ):
            return stored, 0
    wrong = len(stored) - stored.null_count()
    return pl.Series([None] * len(stored), dtype=_polars_type(column)), wrong


def _polars_type(column: ColumnReference) -> Any:
    return pl.Float64 if isinstance(column, NumberReference) else pl.String


def flags_of(column: pl.Series) -> Counter[str]:
    """How often each flag stands in a column of flags joined by commas."""
    flagged = column.drop_nulls()
    return Counter(flag for flags in flagged for flag in str(flags).split(",") if flag)


def unknown_columns(frame: pl.DataFrame, reference: Reference) -> Mapping[str, int]:
    """Features of a compacted table that the reference does not know, with their values."""
    found: Counter[str] = Counter()
    for column in frame.columns:
        group, _, name = column.partition(".")
        if group in {"features", "mixed"} and name not in reference.features:
            found[name] += len(frame) - frame[column].null_count()
    return found


def class_index_or_value(values: pl.Series, classes: Sequence[str]) -> NDArray[np.float64]:
    """Predictions or targets as class indices, shape `(n_rows,)`; NaN for no such class.

    Without classes (a regression) they are the values themselves, NaN for no number.
    """
    if not classes:
        return values.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    index = {name: float(i) for i, name in enumerate(classes)}
    text = values.cast(pl.String)
    return text.replace_strict(index, default=np.nan, return_dtype=pl.Float64).to_numpy()


def true_class_scores(
    frame: pl.DataFrame, targets: NDArray[np.float64], classes: Sequence[str]
) -> NDArray[np.float64]:
    """The score of the class that was true, from a traffic table; shape `(n_rows,)`.

    `targets` are class indices. NaN where no score of that class was logged, and for a
    regression.
    """
    found = np.full(len(frame), np.nan)
    for i, name in enumerate(classes):
        key = f"scores.{name}"
        if key in frame.columns:
            found = np.where(targets == i, frame[key].to_numpy(), found)
    return found
