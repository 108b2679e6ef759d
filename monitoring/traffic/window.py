"""The traffic of a model in a window of time, file by file; what is torn is counted."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs

from contracts.names import Layout
from contracts.reference import Reference
from contracts.times import parse_utc, utc_text
from contracts.traffic import TrafficRecord
from contracts.verdict import Window
from monitoring.traffic import decode as col
from monitoring.traffic.batch import TrafficBatch
from monitoring.traffic.compaction_manifest import (
    CompactionManifest,
    open_log_files,
    read_compaction_manifest,
    reading_lock,
)
from monitoring.traffic.jsonl import JsonlReader

CHUNK_ROWS = 50_000
FRAME_COLUMNS = ("prediction_id", "time", "version", "variant", "flags")
UNREAD = cs.by_name("latency_ms", "request_id", "model", require_all=False) | cs.starts_with(
    "scores."
)
"""What a stored table has beside that."""


@dataclass
class ReadStats:
    """What was met on the way through the files."""

    files: int = 0
    torn_lines: int = 0
    torn_files: list[str] = field(default_factory=list)
    other_versions: int = 0
    versions: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class TimeWindow:
    """Which traffic is wanted: of one version (None: of all), `start <= time < end`."""

    model: str
    version: int | None
    start: datetime
    end: datetime


def window_seconds(window: Window) -> float:
    """The length of a document's window."""
    return (parse_utc(window.end) - parse_utc(window.start)).total_seconds()


def is_same_length(seconds: float, others: float) -> bool:
    """Whether two windows count as equally long: they differ by at most a tenth."""
    return math.isclose(seconds, others, rel_tol=0.1)


def read_window(
    layout: Layout, span: TimeWindow, reference: Reference, reading_of: ReadStats
) -> Iterator[tuple[TrafficBatch, pl.DataFrame]]:
    """Pieces of a window: the columns to be counted, and the table they were taken from.

    Lines that are not traffic records (a torn last line, another program's) and files that
    cannot be read are skipped and counted in `reading_of`, as are other versions.
    """
    with reading_lock(layout.traffic(span.model)):
        for folder in days(layout, span):
            folded = read_compaction_manifest(folder)
            yield from _from_lines(folder, folded, span, reference, reading_of)
            yield from _from_parquet(folder, folded, span, reference, reading_of)


def days(layout: Layout, span: TimeWindow) -> list[Path]:
    """The folders that may hold records of the window, oldest first.

    A segment is named by the day of its first record; its writer turns it at midnight, so the
    day before the window is looked at only for clocks that were set back.
    """
    first = (span.start.astimezone(UTC) - timedelta(days=1)).date().isoformat()
    last = span.end.astimezone(UTC).date().isoformat()
    folders = layout.traffic(span.model).glob("*")
    return sorted(p for p in folders if first <= p.name <= last and p.is_dir())


def _from_lines(
    folder: Path, folded: CompactionManifest, span: TimeWindow, reference: Reference, met: ReadStats
) -> Iterator[tuple[TrafficBatch, pl.DataFrame]]:
    maker = col.ColumnMaker(reference)
    strict = col.record_type(reference)
    for path, start in open_log_files(folder, folded):
        met.files += 1
        lines: JsonlReader[Any] = JsonlReader(strict, TrafficRecord)
        for records in _batches(lines.read(path, start), strict, span, met):
            yield from _piece(*maker.frame(records), reference, met)
        met.torn_lines += len(lines.torn)


def _batches(
    blocks: Iterator[list[Any]], strict: type[Any], span: TimeWindow, met: ReadStats
) -> Iterator[list[Any]]:
    """The window's records, those of the reference's types apart from the others."""
    first, last = utc_text(span.start), utc_text(span.end)
    waiting: dict[bool, list[Any]] = {True: [], False: []}
    for block in blocks:
        for record in block:
            if not first <= record.time < last:
                continue
            if span.version is not None and record.version != span.version:
                met.other_versions += 1
                met.versions.add(record.version)
                continue
            waiting[type(record) is strict].append(record)
        for kind, records in waiting.items():
            if len(records) >= CHUNK_ROWS:
                yield records
                waiting[kind] = []
    yield from (records for records in waiting.values() if records)


def _from_parquet(
    folder: Path, folded: CompactionManifest, span: TimeWindow, reference: Reference, met: ReadStats
) -> Iterator[tuple[TrafficBatch, pl.DataFrame]]:
    met.torn_lines += folded.torn_lines
    for name in folded.files:
        met.files += 1
        try:
            frame = read_stored(folder / name, span)
        except (OSError, pl.exceptions.PolarsError) as err:
            met.torn_files.append(f"{folder / name}: {str(err).splitlines()[0]}")
            continue
        frame = _of_version(frame, span, met)
        made: dict[str, pl.Series] = {key: frame[key] for key in FRAME_COLUMNS}
        mistyped: Counter[str] = Counter()
        for key, column in reference.predictions.items():
            made[key], mistyped[key] = col.stored_series(column, frame, key)
        for key, column in reference.features.items():
            place = col.feature_key(key)
            made[place], mistyped[key] = col.stored_series(column, frame, place)
        unknown_features = col.unknown_columns(frame, reference)
        yield from _piece(pl.DataFrame(made), mistyped, unknown_features, reference, met)


def _of_version(frame: pl.DataFrame, span: TimeWindow, met: ReadStats) -> pl.DataFrame:
    if span.version is None:
        return frame
    mine = frame.filter(pl.col("version") == span.version)
    if len(mine) < len(frame):
        met.other_versions += len(frame) - len(mine)
        met.versions.update(frame["version"].unique().to_list())
        met.versions.discard(span.version)
    return mine


def read_stored(path: Path, span: TimeWindow, wanted: tuple[str, ...] = ()) -> pl.DataFrame:
    """The rows of a compacted file that may be in the window; `wanted` columns, or all.

    Raises:
        OSError: there is no such file.
        polars.exceptions.PolarsError: it is not (whole) Parquet.

    """
    scan = pl.scan_parquet(path, glob=False)
    frame = (scan.select(wanted) if wanted else scan.drop(UNREAD)).collect()
    # Tables are stored in the order of time: most lie in the window from end to end.
    if not len(frame) or (frame["time"][0] >= span.start and frame["time"][-1] < span.end):
        return frame
    return frame.filter((pl.col("time") >= span.start) & (pl.col("time") < span.end))


def _piece(
    frame: pl.DataFrame,
    mistyped: Mapping[str, int],
    unknown_features: Mapping[str, int],
    reference: Reference,
    met: ReadStats,
) -> Iterator[tuple[TrafficBatch, pl.DataFrame]]:
    """The table as rows to count; a record whose time is none is torn."""
    torn = frame["time"].null_count()
    if torn:
        met.torn_lines += torn
        frame = frame.filter(pl.col("time").is_not_null())
    if not len(frame):
        return
    features = {name: frame[col.feature_key(name)] for name in reference.features}
    predictions = {name: frame[name] for name in reference.predictions}
    yield (
        TrafficBatch(
            times=frame["time"].to_physical().to_numpy(),
            ids=frame["prediction_id"],
            columns={**features, **predictions},
            mistyped=mistyped,
            unknown_features=unknown_features,
            flags=col.flags_of(frame["flags"]),
        ),
        frame,
    )
