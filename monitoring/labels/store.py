"""Labels: the true outcomes of predictions, by prediction id; the last one counts.

JSON lines `{"prediction_id": ..., "truth": ..., "time": ...}` in `var/labels/<model>/*.jsonl`,
written by `monitoring.labels.ingest`, by the service or by anything that appends whole lines;
compaction makes Parquet of them.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.errors import InvalidDocument, first_line
from contracts.labels import Label, parse_truth
from contracts.names import Layout
from monitoring.traffic.compaction_manifest import (
    open_log_files,
    read_compaction_manifest,
    reading_lock,
)
from monitoring.traffic.decode import parse_times
from monitoring.traffic.jsonl import JsonlReader

_TABLE_ROWS = 100_000

LogPiece = tuple[Path, int, int | None]
"""A log file, the byte to read from, and the byte to read to (None: to its end)."""


@dataclass(frozen=True)
class Labels:
    """A model's labels as arrays of shape `(n_labels,)`, one per prediction, by `id_hashes`.

    `id_hashes` are `hash_ids` of the prediction ids, strictly rising. `targets` are class
    indices or values, NaN where the truth is neither. `times` are microseconds since 1970.
    `replaced` counts labels that a later one of the same prediction replaced.
    """

    id_hashes: NDArray[np.uint64]
    targets: NDArray[np.float64]
    times: NDArray[np.int64]
    replaced: int = 0
    torn_lines: int = 0

    def __len__(self) -> int:
        return len(self.id_hashes)

    @property
    def unusable(self) -> int:
        """Labels whose truth is no class, or no number."""
        return int(np.isnan(self.targets).sum())


def read_labels(layout: Layout, name: str, classes: tuple[str, ...]) -> Labels:
    """Every label of a model, the last one of each prediction (by time, then by file).

    `classes` are the model's, empty for a regression.

    Raises:
        InvalidDocument: a compacted file cannot be read; without it numbers would be wrong.

    """
    folder = layout.labels(name)
    hashes: list[NDArray[np.uint64]] = []
    targets: list[NDArray[np.float64]] = []
    times: list[NDArray[np.int64]] = []
    with reading_lock(folder):
        # Read once: between two readings a compaction could move lines from the log files that
        # the second no longer names to Parquet files that the first did not name yet.
        compacted = read_compaction_manifest(folder)
        lines = JsonlReader(Label)
        pieces = ((path, start, None) for path, start in open_log_files(folder, compacted))
        for table in chain(
            (read_compacted_labels(folder / file) for file in compacted.files),
            tables_of(pieces, lines),
        ):
            hashes.append(hash_ids(table["prediction_id"]))
            targets.append(_targets(table["truth"], classes))
            times.append(table["time"].fill_null(0).to_numpy())
    torn = compacted.torn_lines + len(lines.torn)
    if not hashes:
        empty = np.empty(0)
        return Labels(empty.astype(np.uint64), empty, empty.astype(np.int64), 0, torn)
    return _last_ones(np.concatenate(hashes), np.concatenate(targets), np.concatenate(times), torn)


def read_compacted_labels(path: Path) -> pl.DataFrame:
    """The labels of a compacted file: `prediction_id`, `truth`, `time` in microseconds.

    Raises:
        InvalidDocument: it cannot be read; without it numbers would be wrong.

    """
    try:
        return pl.read_parquet(path, glob=False)
    except (OSError, pl.exceptions.PolarsError) as err:
        raise InvalidDocument(
            f"{path}: expected the labels that compaction wrote, got {first_line(err)}",
            remedy="restore the file, or remove it from compacted.json and add its labels again",
        ) from err


def tables_of(pieces: Iterable[LogPiece], lines: JsonlReader[Label]) -> Iterator[pl.DataFrame]:
    """Labels of log files as tables of `prediction_id`, `truth` and `time`.

    The truth is a number in all rows, or text (as JSON spells it, if it was none); the time is
    in microseconds. `lines` collects torn lines.
    """
    for path, start, end in pieces:
        waiting: list[Label] = []
        for block in lines.read(path, start, end):
            waiting += block
            if len(waiting) >= _TABLE_ROWS:
                yield _table(waiting)
                waiting = []
        if waiting:
            yield _table(waiting)


def _table(labels: list[Label]) -> pl.DataFrame:
    truths = [label.truth for label in labels]
    if all(type(truth) is float or type(truth) is int for truth in truths):
        truth = pl.Series("truth", truths, dtype=pl.Float64, strict=False)
    else:
        texts = [t if isinstance(t, str) else msgspec.json.encode(t).decode() for t in truths]
        truth = pl.Series("truth", texts, dtype=pl.String)
    times = parse_times([label.time for label in labels])
    ids = pl.Series("prediction_id", [label.prediction_id for label in labels])
    return pl.DataFrame([ids, truth, times.to_physical()])


def hash_ids(ids: pl.Series) -> NDArray[np.uint64]:
    """64-bit hashes of ids, shape `(n_rows,)`.

    10 million ids meet one of 7 million others by chance in 4 of a million joins.
    """
    return ids.hash(seed=0).to_numpy()


def _targets(column: pl.Series, classes: tuple[str, ...]) -> NDArray[np.float64]:
    """Truths of a table as class indices, or as values; NaN where they are neither."""
    if not classes:
        values = column.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
        return np.where(np.isfinite(values), values, np.nan)
    known = {
        truth: _class_index(truth, classes) for truth in column.unique().drop_nulls().to_list()
    }
    if not known:
        return np.full(len(column), np.nan)
    return column.replace_strict(known, default=np.nan, return_dtype=pl.Float64).to_numpy()


def _class_index(truth: str | float, classes: tuple[str, ...]) -> float:
    """The class that a truth of a table names; text may be JSON of a number or a boolean."""
    name = parse_truth(truth, classes)
    if name is None and isinstance(truth, str):
        with suppress(msgspec.DecodeError):
            name = parse_truth(msgspec.json.decode(truth, type=bool | float), classes)
    return float(classes.index(str(name))) if name is not None else np.nan


def _last_ones(
    hashes: NDArray[np.uint64], targets: NDArray[np.float64], times: NDArray[np.int64], torn: int
) -> Labels:
    """The labels by rising hashes, of each prediction the one with the latest time."""
    order = np.argsort(hashes, kind="stable")
    hashes, targets, times = hashes[order], targets[order], times[order]
    is_repeated = hashes[1:] == hashes[:-1]
    if is_repeated.any():
        # Few labels are corrected; only those are sorted by time.
        several = np.zeros(len(hashes), dtype=bool)
        several[1:] |= is_repeated
        several[:-1] |= is_repeated
        rows = np.flatnonzero(several)
        by_time = rows[np.lexsort((times[rows], hashes[rows]))]
        targets[rows], times[rows] = targets[by_time], times[by_time]
    last = np.append(~is_repeated, [True] * min(len(hashes), 1))
    return Labels(hashes[last], targets[last], times[last], int(is_repeated.sum()), torn)
