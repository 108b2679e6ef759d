"""Compaction: the lines of past days become Parquet, and days past retention are removed.

A run that is killed loses nothing and leaves nothing behind: Parquet files count from the
moment that `compacted.json` names them (`compaction_manifest.py`), the next run removes what it
does not name, and segments are removed only after, while nobody reads.
"""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import polars as pl

from contracts.errors import PlatformError, Unwritable
from contracts.files import flush, try_lock, write_whole
from contracts.labels import Label
from contracts.names import Layout
from contracts.traffic import TrafficRecord
from monitoring.labels import store as labels
from monitoring.traffic.compaction_manifest import (
    COMPACTION_FILE,
    CompactionManifest,
    open_log_files,
    read_compaction_manifest,
    removal_lock,
)
from monitoring.traffic.jsonl import JsonlReader
from monitoring.traffic.parquet import table_of, together, write_table
from monitoring.traffic.retention import without_labels_before

SEALED_AFTER = timedelta(minutes=10)
"""A segment of a past day that nobody has written to for this long will not grow."""
FILE_ROWS = 1_000_000
_TABLE_ROWS = 50_000
_COMPACTING = ".compacting"


@dataclass(frozen=True)
class Compaction:
    """What a run did; `waiting` are days that are still written to or read."""

    days: int = 0
    rows: int = 0
    torn_lines: int = 0
    removed_segments: int = 0
    removed_days: int = 0
    waiting: int = 0
    removed_rows: int = 0


def run(layout: Layout, name: str, *, now: datetime, keep_days: int = 0) -> Compaction:
    """Compact a model's traffic of the days before today (UTC), and remove what is too old.

    `keep_days` days are kept; 0 keeps all. Running it again changes nothing.

    Raises:
        PlatformError: another compaction of the model runs.
        InvalidDocument: a `compacted.json` that cannot be read.
        Unwritable: the traffic folder cannot be written.

    """
    folder = layout.traffic(name)
    if not folder.is_dir():
        return Compaction()
    try:
        with _alone(folder):
            return _run(folder, now.astimezone(UTC), keep_days)
    except OSError as err:
        raise Unwritable(
            f"{folder}: expected a folder to compact, got {err.strerror or err}",
            remedy="give it to this user or free space; nothing is lost, run it again",
        ) from err


def run_labels(layout: Layout, name: str, *, now: datetime, keep_days: int = 0) -> Compaction:
    """Put a model's labels into Parquet, as `run` does with a day of traffic.

    With `keep_days` labels from before the oldest day of traffic that is kept are removed.

    Only files that `labels.add` wrote are removed. A service keeps its file of labels open
    for as long as it runs: that file stays, and is read from where Parquet ends.

    Raises:
        PlatformError: another compaction of the model's labels runs.
        InvalidDocument: a `compacted.json` that cannot be read.
        Unwritable: the folder of labels cannot be written.

    """
    folder = labels.folder_of(layout, name)
    if not folder.is_dir():
        return Compaction()
    try:
        with _alone(folder):
            if _grows(folder, now.astimezone(UTC)):
                return Compaction(waiting=1)
            _remove_rubbish(folder)
            before, after = read_compaction_manifest(folder), _compact_labels(folder)
            with removal_lock(folder) as free:
                gone = _remove_segments(folder, labels.ADDED) if free else 0
                old = without_labels_before(folder, _oldest(now, keep_days)) if free else 0
    except OSError as err:
        raise Unwritable(
            f"{folder}: expected a folder to compact, got {err.strerror or err}",
            remedy="give it to this user or free space; nothing is lost, run it again",
        ) from err
    return Compaction(
        days=int(after != before),
        rows=after.rows - before.rows,
        torn_lines=after.torn_lines - before.torn_lines,
        removed_segments=gone,
        removed_rows=old,
        waiting=int(not free),
    )


def _compact_labels(folder: Path) -> CompactionManifest:
    before = read_compaction_manifest(folder)
    segments = {
        path: (start, path.stat().st_size) for path, start in open_log_files(folder, before)
    }
    if not segments:
        return before
    lines = JsonlReader(Label)
    # Within a file the order is that of writing: of two labels of one moment the later wins.
    tables = list(labels.tables_of(((p, start) for p, (start, _) in segments.items()), lines))
    name = f"part-{len(before.files):06d}-{token_hex(8)}.parquet"
    if tables:
        whole = pl.concat(tables, how="vertical_relaxed")
        whole.write_parquet(folder / name, compression="lz4")
    return _named(folder, before, [name] if tables else [], sum(map(len, tables)), lines, segments)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with try_lock(folder / _COMPACTING) as descriptor:
        if descriptor is None:
            raise PlatformError(
                f"{folder}: expected no other compaction, got one that runs",
                remedy="wait until it ends",
            )
        yield


def _run(folder: Path, now: datetime, keep_days: int) -> Compaction:
    today = now.date().isoformat()
    past = sorted(p for p in folder.iterdir() if _is_day(p) and p.name < today)
    oldest = _oldest(now, keep_days).date().isoformat()
    days = rows = torn = waiting = 0
    for day in past:
        if day.name < oldest:
            continue
        if _grows(day, now):
            waiting += 1
            continue
        _remove_rubbish(day)
        before = read_compaction_manifest(day)
        after = compact_day(day)
        if after != before:
            days += 1
            rows += after.rows - before.rows
            torn += after.torn_lines - before.torn_lines
    segments = removed_days = 0
    with removal_lock(folder) as free:
        if free:
            segments = sum(_remove_segments(day) for day in past if day.name >= oldest)
            removed_days = sum(_remove_day(day) for day in past if day.name < oldest)
        else:
            waiting += 1
    return Compaction(days, rows, torn, segments, removed_days, waiting)


def _oldest(now: datetime, keep_days: int) -> datetime:
    """The beginning (UTC) of the oldest day that is kept; 0 days keep all."""
    if not keep_days:
        return datetime.min.replace(year=1970, tzinfo=UTC)
    day = now.astimezone(UTC) - timedelta(days=keep_days)
    return day.replace(hour=0, minute=0, second=0, microsecond=0)


def _is_day(path: Path) -> bool:
    try:
        datetime.strptime(path.name, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return False
    return path.is_dir()


def _grows(day: Path, now: datetime) -> bool:
    times = [p.stat().st_mtime for p in day.glob("*.jsonl")]
    return max(times, default=0.0) > (now - SEALED_AFTER).timestamp()


def compact_day(day: Path) -> CompactionManifest:
    """Put a day's lines that are not in Parquet yet there; what is compacted of it now."""
    before = read_compaction_manifest(day)
    segments = {path: (start, path.stat().st_size) for path, start in open_log_files(day, before)}
    if not segments:
        return before
    lines = JsonlReader(TrafficRecord)
    names: list[str] = []
    rows = 0
    for table in _tables(segments, lines):
        name = f"part-{token_hex(8)}.parquet"
        write_table(table, day / name)
        names.append(name)
        rows += len(table)
    return _named(day, before, names, rows, lines, segments)


def _named(
    folder: Path,
    before: CompactionManifest,
    names: list[str],
    rows: int,
    lines: JsonlReader[Any],
    segments: dict[Path, tuple[int, int]],
) -> CompactionManifest:
    """Write the document that makes new Parquet files count."""
    for name in names:
        flush(folder / name)
    if lines.torn:
        write_whole(folder / f"torn-{token_hex(8)}.txt", b"\n".join(lines.torn) + b"\n")
    after = CompactionManifest(
        files=(*before.files, *names),
        rows=before.rows + rows,
        torn_lines=before.torn_lines + len(lines.torn),
        log_files=before.log_files | {path.name: end for path, (_, end) in segments.items()},
    )
    write_whole(folder / COMPACTION_FILE, after.write_pretty())
    return after


def _tables(
    segments: dict[Path, tuple[int, int]], lines: JsonlReader[TrafficRecord]
) -> Iterator[pl.DataFrame]:
    """The records of all segments in tables of at most about a million rows."""
    waiting: list[pl.DataFrame] = []
    for table in _small_tables(segments, lines):
        waiting.append(table)
        if sum(map(len, waiting)) >= FILE_ROWS:
            yield together(waiting)
            waiting = []
    if waiting:
        yield together(waiting)


def _small_tables(
    segments: dict[Path, tuple[int, int]], lines: JsonlReader[TrafficRecord]
) -> Iterator[pl.DataFrame]:
    records: list[TrafficRecord] = []
    for path, (start, end) in segments.items():
        for block in lines.read(path, start, end):
            records += block
            if len(records) >= _TABLE_ROWS:
                yield _table(records, lines)
                records = []
    if records:
        yield _table(records, lines)


def _table(records: list[TrafficRecord], lines: JsonlReader[TrafficRecord]) -> pl.DataFrame:
    table, timeless = table_of(records)
    lines.torn += [record.write() for record in timeless]
    return table


def _remove_rubbish(day: Path) -> None:
    """Parquet files of a run that was killed before it could name them."""
    named = set(read_compaction_manifest(day).files)
    for path in day.glob("part-*.parquet"):
        if path.name not in named:
            path.unlink()
    for path in day.glob(".*.????????"):
        path.unlink()


def _remove_segments(day: Path, prefix: str = "") -> int:
    """Segments that are in Parquet to the last byte."""
    done = read_compaction_manifest(day).log_files
    gone = 0
    for path in day.glob(f"{prefix}*.jsonl"):
        if path.name in done and path.stat().st_size == done[path.name]:
            path.unlink()
            gone += 1
    return gone


def _remove_day(day: Path) -> int:
    # Renamed first: a day that is half removed must not be taken for a day.
    going = day.with_name(f".going-{day.name}-{token_hex(4)}")
    day.rename(going)
    shutil.rmtree(going)
    return 1
