"""Projections: what readers of the traffic log ask for.

`TypedColumns` has every feature in the type of a reference, `NamedColumns` some fields and
features as they were logged, `WholeRecords` everything.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import polars as pl

from contracts.reference import ColumnReference, NumberReference, Reference
from contracts.schema import Schema
from contracts.traffic import TrafficRecord
from monitoring.traffic.batch import TrafficBatch
from monitoring.traffic.decode import (
    count_flags,
    decoded_json,
    feature_key,
    feature_texts,
    series_of,
    stored_series,
    trusted_series,
    unknown_columns,
)
from monitoring.traffic.flags import joined_flags
from monitoring.traffic.parquet import table_of
from monitoring.traffic.timestamps import TimestampColumn, TimestampReader
from monitoring.traffic.units import UnitGroups, unit_groups

_ALWAYS = ("prediction_id", "time", "version")
_FIELDS: Mapping[str, tuple[Any, ...]] = {
    "variant": (str, "production"),
    "prediction": (str | float,),
    "score": (float,),
    "scores": (dict[str, float],),
    "unit": (str | None, None),
    "assigned": (str | None, None),
    "weight": (float | None, None),
}
"""The type, and the default if there is one, of each field of `NamedColumns`."""
_TYPES: Mapping[str, Any] = {
    "variant": pl.String,
    "score": pl.Float64,
    "unit": pl.String,
    "assigned": pl.String,
    "weight": pl.Float64,
}


class TypedColumns:
    """The features and predictions of a reference, each in the type that it had at training.

    Batches are `TrafficBatch`es. Lines are decoded into a type made of the reference, which
    refuses unknown features and values of another type; such lines are decoded as
    `TrafficRecord`s, and what is unknown or of another type is counted.
    """

    fallback_type = TrafficRecord

    def __init__(self, reference: Reference, schema: Schema | None = None) -> None:
        """`schema` reads the timestamps of the reference, if it has any."""
        self._reference = reference
        self._timestamps = TimestampReader(schema if reference.timestamps else None)
        parts = self._timestamps.parts
        self._logged = {n: c for n, c in reference.features.items() if n not in parts}
        names = (*self._logged, *self._timestamps.names)
        self._fields = {name: f"f{i}" for i, name in enumerate(names)}
        self.record_type = self._record_type()

    def columns(self, stored: Sequence[str]) -> Sequence[str]:
        """All features, whether the reference knows them or not, and what is counted."""
        wanted = {*_ALWAYS, "variant", "flags", "unit", *self._reference.predictions}
        return [c for c in stored if c in wanted or c.startswith(("features.", "mixed."))]

    def from_records(self, records: Sequence[Any], times: pl.Series) -> TrafficBatch:
        """Decoded lines as a batch."""
        mistyped: Counter[str] = Counter()
        unknown: Counter[str] = Counter()
        columns = {
            "prediction_id": pl.Series([r.prediction_id for r in records], dtype=pl.String),
            "time": times,
            "version": pl.Series([r.version for r in records], dtype=pl.Int64),
            "variant": pl.Series([r.variant for r in records], dtype=pl.String),
            "flags": joined_flags(r.flags for r in records),
        }
        for name, column in self._reference.predictions.items():
            columns[name], mistyped[name] = series_of(column, [getattr(r, name) for r in records])
        features = [r.features for r in records]
        if isinstance(records[0], TrafficRecord):
            for each in features:
                unknown.update(each.keys() - self._fields.keys())
            for name, column in self._logged.items():
                values = [each.get(name) for each in features]
                columns[feature_key(name)], mistyped[name] = series_of(column, values)
            sent = {n: [each.get(n) for each in features] for n in self._timestamps.names}
        else:
            for name, column in self._logged.items():
                values = [getattr(each, self._fields[name]) for each in features]
                columns[feature_key(name)] = trusted_series(column, values)
            sent = {
                n: [getattr(each, self._fields[n]) for each in features]
                for n in self._timestamps.names
            }
        read = {name: self._timestamps.of_values(name, values) for name, values in sent.items()}
        units = pl.Series([r.unit or None for r in records], dtype=pl.String)
        return self._batch(columns, read, mistyped, unknown, unit_groups(units))

    def from_table(self, table: pl.DataFrame) -> TrafficBatch:
        """Rows of a Parquet file as a batch."""
        mistyped: Counter[str] = Counter()
        columns = {key: table[key] for key in (*_ALWAYS, "variant", "flags")}
        for name, column in self._reference.predictions.items():
            columns[name], mistyped[name] = stored_series(column, table, name)
        for name, column in self._logged.items():
            key = feature_key(name)
            columns[key], mistyped[name] = stored_series(column, table, key)
        read = {name: self._timestamps.of_table(name, table) for name in self._timestamps.names}
        unknown = unknown_columns(table, self._reference)
        groups = unit_groups(table["unit"]) if "unit" in table.columns else None
        return self._batch(columns, read, mistyped, unknown, groups)

    def _batch(
        self,
        columns: dict[str, pl.Series],
        timestamps: Mapping[str, TimestampColumn],
        mistyped: Counter[str],
        unknown: Mapping[str, int],
        groups: UnitGroups | None,
    ) -> TrafficBatch:
        for name, read in timestamps.items():
            columns |= read.columns(name)
            mistyped.update(dict.fromkeys((name, *read.parts), read.mistyped))
        frame = pl.DataFrame(columns)
        features = {name: frame[feature_key(name)] for name in self._reference.features}
        predictions = {name: frame[name] for name in self._reference.predictions}
        return TrafficBatch(
            times=frame["time"].to_physical().to_numpy(),
            ids=frame["prediction_id"],
            columns=features | predictions,
            mistyped=mistyped,
            unknown_features=unknown,
            flags=count_flags(frame["flags"]),
            frame=frame,
            unit_groups=groups,
            timestamps={name: read.seconds for name, read in timestamps.items()},
        )

    def _record_type(self) -> type[Any]:
        """A record whose features are those of the reference, and of its types."""
        features = msgspec.defstruct(
            "Features",
            [
                (
                    field,
                    (_json_type(self._logged[name]) if name in self._logged else str) | None,
                    None,
                )
                for name, field in self._fields.items()
            ],
            rename={field: name for name, field in self._fields.items()},
            forbid_unknown_fields=True,
            # Records hold no cycles; the garbage collector need not look at millions of them.
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
                ("unit", str | None, None),
            ],
            gc=False,
        )


def _json_type(column: ColumnReference) -> Any:
    if isinstance(column, NumberReference):
        return float
    if not column.counts:
        return bool | str
    return bool if column.is_boolean else str


class NamedColumns:
    """Some fields of each record, and of its features only those named, as text.

    Batches are tables of `prediction_id`, `time` (UTC), `version`, the `fields` (`scores` as
    `scores.<name>`, one column per name) and `features.<name>`. `prediction` is text, or
    Float64 where no row of the batch has text. What a record does not have is null.
    """

    fallback_type = None

    def __init__(self, fields: Sequence[str] = (), features: Sequence[str] = ()) -> None:
        self._fields = tuple(fields)
        self._features = {name: f"f{i}" for i, name in enumerate(features)}
        self.record_type = self._record_type()

    def columns(self, stored: Sequence[str]) -> Sequence[str]:
        """The columns of these fields and features."""
        wanted = {*_ALWAYS, *self._fields}
        wanted |= {f"{kind}.{name}" for name in self._features for kind in ("features", "mixed")}
        with_scores = "scores" in self._fields
        return [c for c in stored if c in wanted or (with_scores and c.startswith("scores."))]

    def from_records(self, records: Sequence[Any], times: pl.Series) -> pl.DataFrame:
        """Decoded lines as a table."""
        columns = {
            "prediction_id": pl.Series([r.prediction_id for r in records], dtype=pl.String),
            "time": times,
            "version": pl.Series([r.version for r in records], dtype=pl.Int64),
        }
        for field in self._fields:
            values = [getattr(r, field) for r in records]
            if field == "scores":
                for name in dict.fromkeys(name for scores in values for name in scores):
                    scores = [scores.get(name) for scores in values]
                    columns[f"scores.{name}"] = pl.Series(scores, dtype=pl.Float64)
            elif field == "prediction" and any(isinstance(v, str) for v in values):
                columns[field] = pl.Series([str(v) for v in values], dtype=pl.String)
            else:
                columns[field] = pl.Series(values, dtype=_TYPES.get(field, pl.Float64))
        for name, field in self._features.items():
            values = [getattr(r.features, field) for r in records]
            columns[feature_key(name)] = feature_texts(values)
        return pl.DataFrame(columns)

    def from_table(self, table: pl.DataFrame) -> pl.DataFrame:
        """Rows of a Parquet file as a table of the same form."""
        missing = [
            pl.lit(None, dtype=_TYPES[field]).alias(field)
            for field in self._fields
            if field in _TYPES and field not in table.columns
        ]
        features = [_texts(table, name).alias(feature_key(name)) for name in self._features]
        mixed = [f"mixed.{name}" for name in self._features]
        return table.with_columns(*missing, *features).drop(mixed, strict=False)

    def _record_type(self) -> type[Any]:
        fields: list[Any] = [("prediction_id", str), ("time", str), ("version", int)]
        fields += [(field, *_FIELDS[field]) for field in self._fields]
        if self._features:
            value = str | bool | float | None
            features = msgspec.defstruct(
                "Features",
                [(field, value, None) for field in self._features.values()],
                rename={field: name for name, field in self._features.items()},
                gc=False,
            )
            fields.append(("features", features))
        return msgspec.defstruct("Record", fields, kw_only=True, gc=False)


def _texts(table: pl.DataFrame, name: str) -> pl.Series:
    """A feature of a Parquet file as text; null where the file has no such feature."""
    if f"mixed.{name}" in table.columns:
        return feature_texts(decoded_json(table[f"mixed.{name}"]))
    if feature_key(name) in table.columns:
        return table[feature_key(name)].cast(pl.String)
    return pl.Series([None] * len(table), dtype=pl.String)


class WholeRecords:
    """All of each record, in the form of `monitoring.traffic.parquet`.

    Without the fields in `without`, which saves reading them from Parquet.
    """

    record_type = TrafficRecord
    fallback_type = None

    def __init__(self, without: Sequence[str] = ()) -> None:
        self._without = frozenset(without)

    def columns(self, stored: Sequence[str]) -> Sequence[str]:
        """Every column but those that are not wanted."""
        return [c for c in stored if c not in self._without]

    def from_records(self, records: Sequence[TrafficRecord], times: pl.Series) -> pl.DataFrame:
        """Decoded lines as a table."""
        return table_of(records, times).drop(self._without, strict=False)

    def from_table(self, table: pl.DataFrame) -> pl.DataFrame:
        """Rows of a Parquet file as they are."""
        return table
