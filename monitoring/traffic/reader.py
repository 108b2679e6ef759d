"""The reader of the traffic log: of a window, what a projection asks for.

Each day of the log is a folder of log files (JSON lines) and, once it is compacted, Parquet
files. Lines that are not traffic records, records without a valid time and files that cannot
be read are skipped and counted here, and nowhere else. At most one Parquet file, or some
50,000 lines, are in memory at once.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import polars as pl

from contracts.compaction import CompactionManifest
from contracts.errors import first_line
from contracts.names import Layout
from contracts.times import utc_text
from monitoring.traffic.compaction_manifest import (
    open_log_files,
    read_compaction_manifest,
    reading_lock,
)
from monitoring.traffic.decode import split_by_time
from monitoring.traffic.jsonl import JsonlReader
from monitoring.traffic.window import ReadStats, TimeWindow, day_folders

BATCH_ROWS = 50_000

Batch = TypeVar("Batch")
Batch_co = TypeVar("Batch_co", covariant=True)


class Projection(Protocol[Batch_co]):
    """What is read of each record, and what rows of the log become."""

    @property
    def record_type(self) -> type[Any]:
        """What a line is decoded to: it has `prediction_id`, `time` and `version` at least."""

    @property
    def fallback_type(self) -> type[Any] | None:
        """What a line is decoded to that is not of `record_type`; None: it is torn."""

    def columns(self, stored: Sequence[str]) -> Sequence[str]:
        """Which of the columns of a Parquet file are read."""

    def from_records(self, records: Sequence[Any], times: pl.Series) -> Batch_co:
        """Decoded lines, all of one type, with their times (Datetime in UTC)."""

    def from_table(self, table: pl.DataFrame) -> Batch_co:
        """Rows of a Parquet file."""


def read_traffic(
    layout: Layout, window: TimeWindow, projection: Projection[Batch], stats: ReadStats
) -> Iterator[Batch]:
    """The traffic of a window in batches, day by day; each batch has at least one row.

    `stats` is updated on the way.

    Raises:
        InvalidDocument: a `compacted.json` was cut or edited.

    """
    with reading_lock(layout.traffic(window.model)):
        for folder in day_folders(layout, window):
            yield from read_day(folder, window, projection, stats)


def read_day(
    folder: Path,
    window: TimeWindow,
    projection: Projection[Batch],
    stats: ReadStats,
    prediction_id: str = "",
) -> Iterator[Batch]:
    """The rows of one day's folder that are in the window; of one prediction only, if named.

    To be used within `reading_lock`.

    Raises:
        InvalidDocument: the folder's `compacted.json` was cut or edited.

    """
    compacted = read_compaction_manifest(folder)
    stats.torn_lines += compacted.torn_lines
    yield from _from_log_files(folder, compacted, window, projection, stats, prediction_id)
    yield from _from_parquet(folder, compacted, window, projection, stats, prediction_id)


def _from_log_files(
    folder: Path,
    compacted: CompactionManifest,
    window: TimeWindow,
    projection: Projection[Batch],
    stats: ReadStats,
    prediction_id: str,
) -> Iterator[Batch]:
    for path, start in open_log_files(folder, compacted):
        stats.files += 1
        lines: JsonlReader[Any] = JsonlReader(
            projection.record_type, projection.fallback_type, prediction_id.encode()
        )
        blocks = lines.read(path, start)
        for found in _batches(blocks, projection.record_type, window, stats):
            records = found
            if prediction_id:
                records = [r for r in records if r.prediction_id == prediction_id]
            valid, times, timeless = split_by_time(records)
            stats.torn_lines += len(timeless)
            if valid:
                yield projection.from_records(valid, times)
        stats.torn_lines += len(lines.torn)


def _batches(
    blocks: Iterator[list[Any]], record_type: type[Any], window: TimeWindow, stats: ReadStats
) -> Iterator[list[Any]]:
    """The window's records, those of `record_type` apart from those of the fallback type."""
    first, last = utc_text(window.start), utc_text(window.end)
    waiting: dict[bool, list[Any]] = {True: [], False: []}
    for block in blocks:
        for record in block:
            # Texts of this form sort as the times that they name.
            if not first <= record.time < last:
                continue
            if window.version is not None and record.version != window.version:
                stats.other_versions += 1
                continue
            waiting[type(record) is record_type].append(record)
        for kind, records in waiting.items():
            if len(records) >= BATCH_ROWS:
                yield records
                waiting[kind] = []
    yield from (records for records in waiting.values() if records)


def _from_parquet(
    folder: Path,
    compacted: CompactionManifest,
    window: TimeWindow,
    projection: Projection[Batch],
    stats: ReadStats,
    prediction_id: str,
) -> Iterator[Batch]:
    for name in compacted.files:
        stats.files += 1
        try:
            table = _read_table(folder / name, projection, prediction_id)
        except (OSError, pl.exceptions.PolarsError) as err:
            stats.torn_files.append(f"{folder / name}: {first_line(err)}")
            continue
        table = _of_version(_in_window(table, window), window, stats)
        if len(table):
            yield projection.from_table(table)


def _read_table(path: Path, projection: Projection[Any], prediction_id: str) -> pl.DataFrame:
    scan = pl.scan_parquet(path, glob=False)
    columns = projection.columns(scan.collect_schema().names())
    if prediction_id:
        scan = scan.filter(pl.col("prediction_id") == prediction_id)
    return scan.select(columns).collect()


def _in_window(table: pl.DataFrame, window: TimeWindow) -> pl.DataFrame:
    # Tables are stored in the order of time: most lie in the window from end to end.
    if not len(table) or (table["time"][0] >= window.start and table["time"][-1] < window.end):
        return table
    return table.filter((pl.col("time") >= window.start) & (pl.col("time") < window.end))


def _of_version(table: pl.DataFrame, window: TimeWindow, stats: ReadStats) -> pl.DataFrame:
    if window.version is None:
        return table
    mine = table.filter(pl.col("version") == window.version)
    stats.other_versions += len(table) - len(mine)
    return mine
