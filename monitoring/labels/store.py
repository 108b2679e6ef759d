"""Labels: what turned out to be true, by prediction id; the last one wins.

JSON lines `{"prediction_id": ..., "truth": ..., "time": ...}` in `var/labels/<model>/*.jsonl`,
written by `add` or by anything that appends whole lines; compaction makes Parquet of them.
"""

import csv
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from secrets import token_hex

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.errors import InvalidData, InvalidDocument
from contracts.files import write_whole
from contracts.labels import FIELDS, Label, label_of, label_violations, parse_truth
from contracts.manifest import Manifest
from contracts.names import Layout
from monitoring.traffic.compaction_manifest import (
    open_log_files,
    read_compaction_manifest,
    reading_lock,
)
from monitoring.traffic.decode import TIME_FORMAT
from monitoring.traffic.jsonl import JsonlReader

CHUNK_ROWS = 100_000
SHOWN = 5
ADDED = "added-"
"""Files that `add` wrote begin so: they are whole, and no process holds them open."""


@dataclass(frozen=True)
class Added:
    """Labels that were taken from a file, and where they are now."""

    rows: int
    path: Path


@dataclass(frozen=True)
class Labels:
    """Labels as columns, one row a prediction, by rising `hashes` of the ids.

    `truths` are places in the list of classes, or values; NaN where the truth is none of
    them. `times` are microseconds since 1970. `replaced` are the labels that a later one of
    the same prediction replaced.
    """

    hashes: NDArray[np.uint64]
    truths: NDArray[np.float64]
    times: NDArray[np.int64]
    replaced: int = 0
    torn_lines: int = 0

    @property
    def unusable(self) -> int:
        """Labels whose truth is no class, or no number."""
        return int(np.isnan(self.truths).sum())


def folder_of(layout: Layout, name: str) -> Path:
    """Where a model's labels lie."""
    return layout.var / "labels" / name


def add(layout: Layout, manifest: Manifest, source: Path, *, now: datetime) -> Added:
    """Take labels from a CSV or JSON lines file with `prediction_id`, `truth` and maybe `time`.

    All or none: one wrong row refuses the file. Without a time a label is of `now`.

    Raises:
        InvalidData: the file or a row of it is not as expected; the first five are named.
        Unwritable: the folder of labels cannot be written.

    """
    labels: list[Label] = []
    faults: list[str] = []
    for place, row in _rows(source):
        violations = label_violations(row, manifest.classes, f"{place}: ")
        if violations:
            faults.append(str(violations[0]))
        elif isinstance(row, dict):
            labels.append(label_of(row, manifest.classes, now))
    if faults:
        shown = "; ".join(islice(faults, SHOWN))
        more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise InvalidData(f"{source}: {shown}{more}", remedy="mend the file; nothing was taken")
    if not labels:
        raise InvalidData(
            f"{source}: expected at least one label, got none", remedy="see docs/monitoring.md"
        )
    name = f"{ADDED}{now.astimezone(UTC):%Y%m%dT%H%M%S}-{token_hex(4)}.jsonl"
    path = folder_of(layout, manifest.name) / name
    write_whole(path, msgspec.json.Encoder().encode_lines(labels))
    return Added(len(labels), path)


def _rows(source: Path) -> Iterator[tuple[str, object]]:
    """The rows of a file with their places, as they are written."""
    try:
        if source.suffix.lower() == ".csv":
            yield from _csv_rows(source)
        else:
            yield from _json_rows(source)
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise InvalidData(
            f"{source}: expected a CSV (.csv) or JSON lines file, got {err}",
            remedy="see docs/monitoring.md",
        ) from err


def _csv_rows(source: Path) -> Iterator[tuple[str, object]]:
    with source.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        head = set(reader.fieldnames or ())
        if not {"prediction_id", "truth"} <= head or head - set(FIELDS):
            raise InvalidData(
                f"{source}: expected the columns prediction_id, truth and maybe time, "
                f"got {', '.join(sorted(map(str, head))) or 'none'}",
                remedy="name the columns in the first line",
            )
        for row in reader:
            # The cells beyond the head's columns stand under the name None.
            yield f"line {reader.line_num}", list(row.values()) if None in row else row


def _json_rows(source: Path) -> Iterator[tuple[str, object]]:
    with source.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = msgspec.json.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
                row = str(err)
            yield f"line {number}", row


def read(layout: Layout, name: str, classes: tuple[str, ...]) -> Labels:
    """Every label of a model, the last one of each prediction (by time, then by file).

    Raises:
        InvalidDocument: a compacted file cannot be read; without it numbers would be wrong.

    """
    folder = folder_of(layout, name)
    hashes: list[NDArray[np.uint64]] = []
    truths: list[NDArray[np.float64]] = []
    times: list[NDArray[np.int64]] = []
    torn = 0
    with reading_lock(folder):
        folded = read_compaction_manifest(folder)
        torn += folded.torn_lines
        tables = (stored(folder / file) for file in folded.files)
        lines = JsonlReader(Label)
        for table in chain(tables, _tables_of_lines(folder, lines)):
            hashes.append(hash_ids(table["prediction_id"]))
            truths.append(_truths(table["truth"], classes))
            times.append(table["time"].fill_null(0).to_numpy())
        torn += len(lines.torn)
    if not hashes:
        empty = np.empty(0)
        return Labels(empty.astype(np.uint64), empty, empty.astype(np.int64), 0, torn)
    return _last_ones(np.concatenate(hashes), np.concatenate(truths), np.concatenate(times), torn)


def stored(path: Path) -> pl.DataFrame:
    """The labels of a compacted file: `prediction_id`, `truth`, `time` in microseconds.

    Raises:
        InvalidDocument: it cannot be read; without it numbers would be wrong.

    """
    try:
        return pl.read_parquet(path, glob=False)
    except (OSError, pl.exceptions.PolarsError) as err:
        raise InvalidDocument(
            f"{path}: expected the labels that compaction wrote, got {str(err).splitlines()[0]}",
            remedy="restore the file, or remove it from compacted.json and add its labels again",
        ) from err


def tables_of(
    paths: Iterable[tuple[Path, int]], lines: JsonlReader[Label]
) -> Iterator[pl.DataFrame]:
    """Labels of files from a byte on, as tables of `prediction_id`, `truth` and `time`.

    The truth is a text (as JSON spells it, if it was none), the time in microseconds.
    """
    for path, start in paths:
        waiting: list[Label] = []
        for block in lines.read(path, start):
            waiting += block
            if len(waiting) >= CHUNK_ROWS:
                yield _table(waiting)
                waiting = []
        if waiting:
            yield _table(waiting)


def _tables_of_lines(folder: Path, lines: JsonlReader[Label]) -> Iterator[pl.DataFrame]:
    if folder.is_dir():
        yield from tables_of(open_log_files(folder, read_compaction_manifest(folder)), lines)


def _table(labels: list[Label]) -> pl.DataFrame:
    truths = [label.truth for label in labels]
    if all(type(truth) is float or type(truth) is int for truth in truths):
        truth = pl.Series("truth", truths, dtype=pl.Float64, strict=False)
    else:
        words = [t if isinstance(t, str) else msgspec.json.encode(t).decode() for t in truths]
        truth = pl.Series("truth", words, dtype=pl.String)
    times = pl.Series("time", [label.time for label in labels], dtype=pl.String)
    moments = times.str.to_datetime(TIME_FORMAT, time_unit="us", strict=False)
    ids = pl.Series("prediction_id", [label.prediction_id for label in labels])
    return pl.DataFrame([ids, truth, moments.to_physical().alias("time")])


def hash_ids(ids: pl.Series) -> NDArray[np.uint64]:
    """64-bit hashes of ids: 10 million meet 7 million others by chance in 4 of a million joins."""
    return ids.hash(seed=0).to_numpy()


def _truths(column: pl.Series, classes: tuple[str, ...]) -> NDArray[np.float64]:
    """Truths of a table as class indices, or as values; NaN where they are neither."""
    if not classes:
        return _finite(column.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy())
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


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(values), values, np.nan)


def _last_ones(
    hashes: NDArray[np.uint64], truths: NDArray[np.float64], times: NDArray[np.int64], torn: int
) -> Labels:
    order = np.argsort(hashes, kind="stable")
    hashes, truths, times = hashes[order], truths[order], times[order]
    again = hashes[1:] == hashes[:-1]
    if again.any():
        # Few labels are corrected; only those are put in the order of time.
        doubled = np.zeros(len(hashes), dtype=bool)
        doubled[1:] |= again
        doubled[:-1] |= again
        places = np.flatnonzero(doubled)
        sorted_places = places[np.lexsort((times[places], hashes[places]))]
        truths[places], times[places] = truths[sorted_places], times[sorted_places]
    last = np.append(~again, [True] * min(len(hashes), 1))
    return Labels(hashes[last], truths[last], times[last], int(again.sum()), torn)
