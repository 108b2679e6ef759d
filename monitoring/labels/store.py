"""Labels: what turned out to be true, by prediction id; the last one wins.

JSON lines `{"prediction_id": ..., "truth": ..., "time": ...}` in `var/labels/<model>/*.jsonl`,
written by `add` or by anything that appends whole lines; compaction makes Parquet of them.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from math import isfinite
from pathlib import Path
from secrets import token_hex
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.errors import InvalidData, InvalidDocument
from contracts.files import write_whole
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
COLUMNS = frozenset({"prediction_id", "truth", "time"})


class Label(msgspec.Struct, frozen=True, gc=False):
    """What turned out to be true of a prediction; `time` is when that was known, RFC 3339."""

    prediction_id: str
    truth: str | float | bool
    time: str


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
        fault = _fault(row, manifest)
        if fault:
            faults.append(f"{place}: {fault}")
        else:
            labels.append(_label(row, manifest, now))
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


def _rows(source: Path) -> Iterator[tuple[str, dict[str, Any]]]:
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


def _csv_rows(source: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with source.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        head = set(reader.fieldnames or ())
        if not {"prediction_id", "truth"} <= head or head - COLUMNS:
            raise InvalidData(
                f"{source}: expected the columns prediction_id, truth and maybe time, "
                f"got {', '.join(sorted(map(str, head))) or 'none'}",
                remedy="name the columns in the first line",
            )
        for row in reader:
            yield f"line {reader.line_num}", row


def _json_rows(source: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with source.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = msgspec.json.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
                yield f"line {number}", {"": str(err)}
                continue
            yield f"line {number}", row if isinstance(row, dict) else {"": repr(row)[:60]}


def _fault(row: dict[str, Any], manifest: Manifest) -> str:
    """What is wrong with a row, or nothing."""
    if None in row or not {"prediction_id", "truth"} <= row.keys() <= COLUMNS:
        return f"expected prediction_id, truth and maybe time, got {str(row)[:80]}"
    if not isinstance(row["prediction_id"], str) or not row["prediction_id"]:
        return f"prediction_id: expected a text, got {row['prediction_id']!r}"
    if np.isnan(_truth(row["truth"], manifest.classes)):
        expected = f"one of {', '.join(manifest.classes)}" if manifest.classes else "a number"
        return f"truth: expected {expected}, got {row['truth']!r}"
    time = row.get("time")
    if time and (not isinstance(time, str) or _moment(time) is None):
        return f"time: expected RFC 3339 with a zone, got {time!r}"
    return ""


def _label(row: dict[str, Any], manifest: Manifest, now: datetime) -> Label:
    moment = _moment(row["time"]) if row.get("time") else now
    truth = row["truth"]
    if not manifest.classes:
        truth = float(truth)
    return Label(row["prediction_id"], truth, _text(moment or now))


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _text(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def _truth(value: Any, classes: tuple[str, ...]) -> float:
    """A truth as its place among the classes, or as a number; NaN for neither."""
    if classes:
        word = str(value).lower() if isinstance(value, bool) else str(value)
        return float(classes.index(word)) if word in classes else np.nan
    if isinstance(value, bool) or value is None:
        return np.nan
    try:
        number = float(value)
    except (TypeError, ValueError):
        return np.nan
    return number if isfinite(number) else np.nan


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
    if not classes:
        return _finite(column.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy())
    if column.dtype.is_numeric():
        column = pl.Series([f"{v:g}" for v in column])
    places = {word: float(i) for i, word in enumerate(classes)}
    return (
        column.cast(pl.String)
        .replace_strict(places, default=np.nan, return_dtype=pl.Float64)
        .to_numpy()
    )


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
