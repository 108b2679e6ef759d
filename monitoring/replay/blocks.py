"""Logged traffic in blocks, ready to be scored again: features by column, and what was answered."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.manifest import Manifest
from contracts.names import Layout
from contracts.schema import Value
from monitoring.traffic.decode import decoded_json, feature_key
from monitoring.traffic.projections import WholeRecords
from monitoring.traffic.reader import read_traffic
from monitoring.traffic.window import ReadStats, TimeWindow

BLOCK_ROWS = 4096
_UNUSED = ("flags", "latency_ms", "request_id", "model")
TIME_TEXT = "%Y-%m-%dT%H:%M:%S%.6fZ"


@dataclass(frozen=True)
class Block:
    """Rows of one file; every field but the last has one entry per row.

    `features` has the columns of the schema that will score the rows, by name. `score` has the
    shape `(n_rows,)`; `scores` has the shape `(n_rows, n_outputs)` in the manifest's order, NaN
    where a record has no score of that name. `unknown_features` holds, by row, all features of
    the rows that have some the schema does not know: a null counts as not given, since Parquet
    cannot distinguish the two.
    """

    ids: Sequence[str]
    times: Sequence[str]
    versions: NDArray[np.int64]
    variants: Sequence[str]
    predictions: Sequence[str | float]
    score: NDArray[np.float64]
    scores: NDArray[np.float64]
    features: Mapping[str, Sequence[Value]]
    unknown_features: Mapping[int, Mapping[str, Value]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def head(self, n: int) -> "Block":
        """The first `n` rows."""
        if n >= len(self):
            return self
        return Block(
            self.ids[:n],
            self.times[:n],
            self.versions[:n],
            self.variants[:n],
            self.predictions[:n],
            self.score[:n],
            self.scores[:n],
            {name: values[:n] for name, values in self.features.items()},
            {row: features for row, features in self.unknown_features.items() if row < n},
        )


def read_blocks(
    layout: Layout, manifest: Manifest, window: TimeWindow, stats: ReadStats
) -> Iterator[Block]:
    """The traffic of a window as columns of a manifest's schema, file by file, block by block.

    Files and lines that cannot be read are counted in `stats`, as are the rows of versions other
    than the window's.
    """
    for table in read_traffic(layout, window, WholeRecords(without=_UNUSED), stats):
        for rows in table.iter_slices(BLOCK_ROWS):
            yield _of_table(rows, manifest)


def _of_table(table: pl.DataFrame, manifest: Manifest) -> Block:
    names = manifest.schema.names
    given = [c.partition(".")[2] for c in table.columns if c.startswith(("features.", "mixed."))]
    features = {name: _values(table, name) for name in dict.fromkeys((*names, *given))}
    known = frozenset(names)
    unknown = {
        i for n in given if n not in known for i, v in enumerate(features[n]) if v is not None
    }
    whole = {i: {n: values[i] for n, values in features.items()} for i in sorted(unknown)}
    outputs = manifest.classes or manifest.outputs
    scores = [_numbers(table, f"scores.{output}") for output in outputs]
    return Block(
        ids=table["prediction_id"].to_list(),
        times=table["time"].dt.strftime(TIME_TEXT).to_list(),
        versions=table["version"].to_numpy(),
        variants=table["variant"].cast(pl.String).to_list(),
        predictions=table["prediction"].to_list(),
        score=_numbers(table, "score"),
        scores=np.column_stack(scores),
        features={name: features[name] for name in names},
        unknown_features=_unknown_features(whole, known),
    )


def _values(table: pl.DataFrame, name: str) -> list[Value]:
    key = feature_key(name)
    if key in table.columns:
        return table[key].to_list()
    if f"mixed.{name}" in table.columns:
        return decoded_json(table[f"mixed.{name}"])
    return [None] * len(table)


def _numbers(table: pl.DataFrame, key: str) -> NDArray[np.float64]:
    if key not in table.columns:
        return np.full(len(table), np.nan)
    return table[key].cast(pl.Float64).fill_null(np.nan).to_numpy()


def _unknown_features(
    rows: Mapping[int, Mapping[str, Value]], known: frozenset[str]
) -> dict[int, Mapping[str, Value]]:
    """The rows that have a value for a feature outside `known`, with all values they have."""
    given = {i: {n: v for n, v in row.items() if v is not None} for i, row in rows.items()}
    return {i: row for i, row in given.items() if not row.keys() <= known}
