"""Traffic records as a table in Parquet, and back; nothing is lost on the way.

`features.<name>` has a feature's values as numbers, booleans or text; where one file holds
values of several types, `mixed.<name>` has them as JSON. `scores.<name>` are the scores,
`flags` the flags joined by commas.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from msgspec import UNSET

from contracts.files import open_new
from contracts.flags import split_flags
from contracts.times import utc_text
from contracts.traffic import TrafficRecord
from monitoring.traffic.flags import joined_flags

MAX_ENCODED_VALUES = 10_000
"""A column of more distinct texts is stored as text, not as categories."""


def table_of(records: Sequence[TrafficRecord], times: pl.Series) -> pl.DataFrame:
    """Records as a table; `times` are theirs, parsed."""
    columns: dict[str, pl.Series] = {
        "prediction_id": pl.Series([r.prediction_id for r in records], dtype=pl.String),
        "time": times,
        "version": pl.Series([r.version for r in records], dtype=pl.Int64),
        "variant": pl.Series([r.variant for r in records], dtype=pl.String),
        "prediction": _predictions(records),
        "score": pl.Series([r.score for r in records], dtype=pl.Float64),
        "flags": joined_flags(r.flags for r in records),
        "latency_ms": pl.Series([r.latency_ms for r in records], dtype=pl.Float64),
        "request_id": pl.Series([r.request_id for r in records], dtype=pl.String),
        "model": pl.Series([r.model for r in records], dtype=pl.String),
    }
    if any(r.unit for r in records):
        columns["unit"] = pl.Series([r.unit or None for r in records], dtype=pl.String)
    if any(r.assigned for r in records):
        columns |= _assignments(records)
    if any(r.trace_id for r in records):
        traces = [r.trace_id or None for r in records]
        columns["trace_id"] = pl.Series(traces, dtype=pl.String)
    for name in _names(r.scores for r in records):
        values = [r.scores.get(name) for r in records]
        columns[f"scores.{name}"] = pl.Series(values, dtype=pl.Float64)
    for name in _names(r.features for r in records):
        key, series = _feature(name, [r.features.get(name) for r in records])
        columns[key] = series
    return pl.DataFrame(columns)


def concat_tables(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Tables of one model as one; a feature that differs in type among them becomes JSON in all."""
    names = _names(dict.fromkeys(t.columns) for t in tables)
    features = [n.removeprefix("features.") for n in names if n.startswith("features.")]
    unlike = {
        name for name in features if len({kind for t in tables if (kind := _kind(t, name))}) > 1
    }
    return pl.concat([_mixed(t, unlike) for t in tables], how="diagonal_relaxed")


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Write a table in the order of time, with categories, so that it reads fast.

    Raises:
        OSError: the file cannot be written.

    """
    texts = [
        c
        for c in table.columns
        if table.schema[c] == pl.String
        and (c.startswith("features.") or c in {"variant", "assigned", "prediction", "model"})
        and table[c].n_unique() <= MAX_ENCODED_VALUES
    ]
    stored = table.sort("time", maintain_order=True).cast(dict.fromkeys(texts, pl.Categorical))
    with open_new(path) as file:
        stored.write_parquet(file, compression="lz4", row_group_size=250_000)


def record_of(row: Mapping[str, Any]) -> TrafficRecord:
    """A row of a stored table as the record it was."""
    grouped: dict[str, dict[str, Any]] = {"features": {}, "mixed": {}, "scores": {}}
    for key, value in row.items():
        group, dot, name = key.partition(".")
        if dot:
            grouped[group][name] = value
    mixed = {
        name: None if text is None else msgspec.json.decode(text)
        for name, text in grouped["mixed"].items()
    }
    return TrafficRecord(
        prediction_id=row["prediction_id"],
        time=utc_text(row["time"]),
        model=row["model"],
        version=row["version"],
        variant=row["variant"],
        features=grouped["features"] | mixed,
        prediction=row["prediction"],
        score=row["score"],
        scores={k: v for k, v in grouped["scores"].items() if v is not None},
        flags=split_flags(row["flags"]),
        latency_ms=row["latency_ms"],
        request_id=row["request_id"],
        unit=row.get("unit") or UNSET,
        assigned=row.get("assigned") or UNSET,
        weight=UNSET if row.get("weight") is None else row["weight"],
        trace_id=row.get("trace_id") or UNSET,
    )


def _assignments(records: Sequence[TrafficRecord]) -> dict[str, pl.Series]:
    """What is known of a split, where one was in force; null elsewhere."""
    return {
        "assigned": pl.Series([r.assigned or None for r in records], dtype=pl.String),
        "weight": pl.Series(
            [None if r.weight is UNSET else r.weight for r in records], dtype=pl.Float64
        ),
    }


def _names(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every key, in the order in which each came first."""
    found: dict[str, None] = {}
    for mapping in mappings:
        if mapping.keys() - found.keys():
            found |= dict.fromkeys(mapping)
    return list(found)


def _predictions(records: Sequence[TrafficRecord]) -> pl.Series:
    values = [r.prediction for r in records]
    if any(isinstance(v, str) for v in values):
        return pl.Series([str(v) for v in values], dtype=pl.String)
    return pl.Series(values, dtype=pl.Float64)


def _feature(name: str, values: Sequence[Any]) -> tuple[str, pl.Series]:
    types = {type(v) for v in values} - {type(None)}
    plain: Any = None
    if not types:
        plain = pl.Null
    elif types == {bool}:
        plain = pl.Boolean
    elif types == {str}:
        plain = pl.String
    elif types == {int} and all(v is None or -(2**63) <= v < 2**63 for v in values):
        plain = pl.Int64
    elif (types <= {int, float} and all(v is None or abs(v) <= 2**53 for v in values)) or types == {
        float
    }:
        plain = pl.Float64
    if plain is not None:
        return f"features.{name}", pl.Series(values, dtype=plain)
    return f"mixed.{name}", pl.Series([_json(v) for v in values], dtype=pl.String)


def _json(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _kind(table: pl.DataFrame, name: str) -> str:
    if f"mixed.{name}" in table.columns:
        return "mixed"
    kind = table.schema.get(f"features.{name}", pl.Null())
    if kind == pl.Null:
        return ""
    return "number" if kind.is_numeric() else str(kind)


def _mixed(table: pl.DataFrame, names: set[str]) -> pl.DataFrame:
    """The table with these features as JSON."""
    for name in names:
        key = f"features.{name}"
        if key in table.columns:
            values = pl.Series(
                f"mixed.{name}", [_json(v) for v in table[key].to_list()], dtype=pl.String
            )
            table = table.drop(key).with_columns(values)
    return table
