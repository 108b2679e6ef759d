"""Logged traffic in blocks, ready to be scored again: features by column, and what was answered."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.manifest import Manifest
from contracts.names import Layout
from contracts.schema import Value
from contracts.times import utc_text
from monitoring.traffic.compaction_manifest import (
    CompactionManifest,
    open_log_files,
    read_compaction_manifest,
    reading_lock,
)
from monitoring.traffic.decode import feature_key
from monitoring.traffic.jsonl import JsonlReader
from monitoring.traffic.window import ReadStats, TimeWindow, days, read_stored

BLOCK_ROWS = 4096
TIME_TEXT = "%Y-%m-%dT%H:%M:%S%.6fZ"


class _Record(msgspec.Struct, gc=False):
    prediction_id: str
    time: str
    version: int
    features: dict[str, Value]
    prediction: str | float
    score: float
    scores: dict[str, float]
    variant: str = "production"


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
    with reading_lock(layout.traffic(window.model)):
        for folder in days(layout, window):
            compacted = read_compaction_manifest(folder)
            yield from _from_lines(folder, compacted, manifest, window, stats)
            yield from _from_parquet(folder, compacted, manifest, window, stats)


def _from_lines(
    folder: Path,
    compacted: CompactionManifest,
    manifest: Manifest,
    window: TimeWindow,
    stats: ReadStats,
) -> Iterator[Block]:
    first, last = utc_text(window.start), utc_text(window.end)
    for path, start in open_log_files(folder, compacted):
        stats.files += 1
        lines = JsonlReader(_Record)
        waiting: list[_Record] = []
        for found in lines.read(path, start):
            inside = [r for r in found if first <= r.time < last]
            mine = [r for r in inside if window.version in (None, r.version)]
            stats.other_versions += len(inside) - len(mine)
            waiting += mine
            while len(waiting) >= BLOCK_ROWS:
                yield _of_records(waiting[:BLOCK_ROWS], manifest)
                del waiting[:BLOCK_ROWS]
        if waiting:
            yield _of_records(waiting, manifest)
        stats.torn_lines += len(lines.torn)


def _of_records(records: Sequence[_Record], manifest: Manifest) -> Block:
    names, known = manifest.schema.names, frozenset(manifest.schema.names)
    outputs = manifest.classes or manifest.outputs
    unknown = [i for i, r in enumerate(records) if not r.features.keys() <= known]
    nan = np.nan
    return Block(
        ids=[r.prediction_id for r in records],
        times=[r.time for r in records],
        versions=np.array([r.version for r in records], dtype=np.int64),
        variants=[r.variant for r in records],
        predictions=[r.prediction for r in records],
        score=np.array([r.score for r in records], dtype=np.float64),
        scores=np.array([[r.scores.get(o, nan) for o in outputs] for r in records]),
        features={name: [r.features.get(name) for r in records] for name in names},
        unknown_features=_unknown_features({i: records[i].features for i in unknown}, known),
    )


def _from_parquet(
    folder: Path,
    compacted: CompactionManifest,
    manifest: Manifest,
    window: TimeWindow,
    stats: ReadStats,
) -> Iterator[Block]:
    stats.torn_lines += compacted.torn_lines
    for name in compacted.files:
        stats.files += 1
        try:
            frame = read_stored(folder / name, window, _columns(folder / name))
        except (OSError, pl.exceptions.PolarsError) as err:
            stats.torn_files.append(f"{folder / name}: {str(err).splitlines()[0]}")
            continue
        if window.version is not None:
            mine = frame.filter(pl.col("version") == window.version)
            stats.other_versions += len(frame) - len(mine)
            frame = mine
        for piece in frame.iter_slices(BLOCK_ROWS):
            yield _of_table(piece, manifest)


def _columns(path: Path) -> tuple[str, ...]:
    """The columns of a stored table that a replay needs: all but those about the request."""
    names = pl.scan_parquet(path, glob=False).collect_schema().names()
    return tuple(n for n in names if n not in {"flags", "latency_ms", "request_id", "model"})


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
        texts = table[f"mixed.{name}"]
        return [None if text is None else msgspec.json.decode(text) for text in texts]
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
