"""Compaction of traffic: log files of past days become Parquet, and old days are removed."""

import contextlib
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

import polars as pl

from contracts.compaction import CompactionManifest
from contracts.names import Layout
from contracts.traffic import TrafficRecord
from monitoring.traffic.compaction_manifest import read_compaction_manifest, removal_lock
from monitoring.traffic.compaction_steps import (
    Compaction,
    LogFiles,
    commit,
    compaction_lock,
    is_growing,
    log_files_to_compact,
    oldest_kept,
    remove_log_files,
    remove_unnamed,
    unwritten,
)
from monitoring.traffic.decode import split_by_time
from monitoring.traffic.jsonl import JsonlReader
from monitoring.traffic.parquet import concat_tables, table_of, write_table

MAX_FILE_ROWS = 1_000_000
_TABLE_ROWS = 50_000


def compact_traffic(layout: Layout, name: str, *, now: datetime, keep_days: int = 0) -> Compaction:
    """Compact a model's traffic of the days before today (UTC), and remove old days.

    `keep_days` days are kept; 0 keeps all. Running it again changes nothing.

    Raises:
        PlatformError: another compaction of the model's traffic is running.
        InvalidDocument: a `compacted.json` cannot be read.
        Unwritable: the traffic folder cannot be written.

    """
    folder = layout.traffic(name)
    if not folder.is_dir():
        return Compaction()
    with compaction_lock(folder):
        return _compact_days(folder, now.astimezone(UTC), keep_days)


def _compact_days(folder: Path, now: datetime, keep_days: int) -> Compaction:
    today = now.date().isoformat()
    oldest = oldest_kept(now, keep_days).date().isoformat()
    past = sorted(path for path in folder.iterdir() if _is_day(path) and path.name < today)
    kept = [day for day in past if day.name >= oldest]
    days = rows = torn = waiting = 0
    for day in kept:
        if is_growing(day, now):
            waiting += 1
            continue
        remove_unnamed(day)
        before = read_compaction_manifest(day)
        after = compact_day(day)
        if after != before:
            days += 1
            rows += after.rows - before.rows
            torn += after.torn_lines - before.torn_lines
    log_files = removed_days = 0
    with removal_lock(folder) as is_free:
        if is_free:
            log_files = sum(remove_log_files(day) for day in kept)
            removed_days = sum(_remove_day(day) for day in past if day.name < oldest)
        else:
            waiting += 1
    return Compaction(days, rows, torn, log_files, removed_days, waiting)


def _is_day(path: Path) -> bool:
    try:
        datetime.strptime(path.name, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return False
    return path.is_dir()


def compact_day(day: Path) -> CompactionManifest:
    """Bring a day's lines that are not in Parquet yet there; gives the day's new manifest."""
    before = read_compaction_manifest(day)
    log_files = log_files_to_compact(day, before)
    if not log_files:
        return before
    lines = JsonlReader(TrafficRecord)
    names: list[str] = []
    rows = 0
    for table in _tables(log_files, lines):
        name = f"part-{token_hex(8)}.parquet"
        write_table(table, day / name)
        names.append(name)
        rows += len(table)
    return commit(day, before, names, rows, lines.torn, log_files)


def _tables(log_files: LogFiles, lines: JsonlReader[TrafficRecord]) -> Iterator[pl.DataFrame]:
    """The records of all log files in tables of about a million rows at most."""
    waiting: list[pl.DataFrame] = []
    for table in _small_tables(log_files, lines):
        waiting.append(table)
        if sum(map(len, waiting)) >= MAX_FILE_ROWS:
            yield concat_tables(waiting)
            waiting = []
    if waiting:
        yield concat_tables(waiting)


def _small_tables(log_files: LogFiles, lines: JsonlReader[TrafficRecord]) -> Iterator[pl.DataFrame]:
    records: list[TrafficRecord] = []
    for path, (start, end) in log_files.items():
        for block in lines.read(path, start, end):
            records += block
            if len(records) >= _TABLE_ROWS:
                yield _table(records, lines)
                records = []
    if records:
        yield _table(records, lines)


def _table(records: list[TrafficRecord], lines: JsonlReader[TrafficRecord]) -> pl.DataFrame:
    valid, times, timeless = split_by_time(records)
    lines.torn += [record.write() for record in timeless]
    return table_of(valid, times)


def _remove_day(day: Path) -> int:
    """Remove a day that nobody writes to; gives the number of removed days.

    Every log file is locked until the day is gone, so that nobody can begin to write to it.
    """
    with contextlib.ExitStack() as locks:
        files = {path.name for path in day.glob("*.jsonl")}
        if not all(locks.enter_context(unwritten(day / name)) for name in files):
            return 0
        # Renamed first: a day that is half removed must not be taken for a day.
        going = day.with_name(f".going-{day.name}-{token_hex(4)}")
        day.rename(going)
        appeared = [path for path in going.glob("*.jsonl") if path.name not in files]
        for path in appeared:
            # A writer whose clock is behind opened it in between.
            day.mkdir(exist_ok=True)
            path.rename(day / path.name)
        shutil.rmtree(going)
    return 0 if appeared else 1
