"""Compaction of labels: they become Parquet, and go with the traffic that they belong to."""

from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

import polars as pl
from msgspec.structs import replace

from contracts.compaction import COMPACTION_FILE, CompactionManifest
from contracts.files import open_new, write_whole
from contracts.labels import Label
from contracts.names import Layout
from monitoring.labels.ingest import ADDED_PREFIX
from monitoring.labels.store import read_compacted_labels, tables_of
from monitoring.traffic.compaction_manifest import read_compaction_manifest, removal_lock
from monitoring.traffic.compaction_steps import (
    Compaction,
    commit,
    compaction_lock,
    is_growing,
    log_files_to_compact,
    oldest_kept,
    remove_log_files,
    remove_unnamed,
)
from monitoring.traffic.jsonl import JsonlReader


def compact_labels(layout: Layout, name: str, *, now: datetime, keep_days: int = 0) -> Compaction:
    """Bring a model's labels into Parquet.

    With `keep_days`, labels from before the oldest day of traffic that is kept are removed.

    Only files that `add_labels` wrote are removed. A service keeps its file of labels open for
    as long as it runs: that file stays, and is read from where Parquet ends.

    Raises:
        PlatformError: another compaction of the model's labels is running.
        InvalidDocument: a `compacted.json`, or a file that it names, cannot be read.
        Unwritable: the folder of labels cannot be written.

    """
    folder = layout.labels(name)
    if not folder.is_dir():
        return Compaction()
    with compaction_lock(folder):
        if is_growing(folder, now.astimezone(UTC)):
            return Compaction(waiting=1)
        remove_unnamed(folder)
        before, after = read_compaction_manifest(folder), _compacted(folder)
        removed = old = 0
        with removal_lock(folder) as is_free:
            if is_free:
                removed = remove_log_files(folder, ADDED_PREFIX)
                old = _remove_before(folder, oldest_kept(now, keep_days))
    return Compaction(
        days=int(after != before),
        rows=after.rows - before.rows,
        torn_lines=after.torn_lines - before.torn_lines,
        removed_log_files=removed,
        removed_rows=old,
        waiting=int(not is_free),
    )


def _compacted(folder: Path) -> CompactionManifest:
    before = read_compaction_manifest(folder)
    log_files = log_files_to_compact(folder, before)
    if not log_files:
        return before
    lines = JsonlReader(Label)
    # Within a file the order is that of writing: of two labels of one time the later one wins.
    pieces = ((path, start, end) for path, (start, end) in log_files.items())
    tables = list(tables_of(pieces, lines))
    names = []
    if tables:
        names = [f"part-{len(before.files):06d}-{token_hex(8)}.parquet"]
        whole = pl.concat(tables, how="vertical_relaxed")
        _write(whole, folder / names[0])
    return commit(folder, before, names, sum(map(len, tables)), lines.torn, log_files)


def _write(labels: pl.DataFrame, path: Path) -> None:
    with open_new(path) as file:
        labels.write_parquet(file, compression="lz4")


def _remove_before(folder: Path, oldest: datetime) -> int:
    """Remove compacted labels from before a time; gives their number.

    A label is known after its prediction was made, so one that is older than the oldest day of
    traffic belongs to a prediction that was removed. A label without a time stays.

    New files are written first, then named, and the old ones go last: a run that is killed in
    between leaves files that the next one removes. To be called while nobody reads.
    """
    before = read_compaction_manifest(folder)
    first = int(oldest.timestamp() * 1e6)
    kept: list[str] = []
    removed = 0
    for name in before.files:
        table = read_compacted_labels(folder / name)
        young = table.filter(pl.col("time").is_null() | (pl.col("time") >= first))
        removed += len(table) - len(young)
        if len(young) == len(table):
            kept.append(name)
        elif len(young):
            kept.append(f"{name.rsplit('-', 1)[0]}-{token_hex(8)}.parquet")
            _write(young, folder / kept[-1])
    if removed:
        after: CompactionManifest = replace(before, files=tuple(kept), rows=before.rows - removed)
        write_whole(folder / COMPACTION_FILE, after.write_pretty())
        for name in set(before.files) - set(kept):
            (folder / name).unlink(missing_ok=True)
    return removed
