"""The steps of a compaction that traffic and labels share; each leaves a folder readable.

A run that is killed loses nothing and leaves nothing behind: Parquet files count from the
moment that the manifest names them, the next run removes what it does not name, and log files
are removed only after that, while nobody reads.
"""

import contextlib
import fcntl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex

from contracts.compaction import COMPACTION_FILE, CompactionManifest
from contracts.errors import PlatformError, Unwritable
from contracts.files import flush, try_lock, write_whole
from monitoring.traffic.compaction_manifest import open_log_files, read_compaction_manifest

SEALED_AFTER = timedelta(minutes=10)
"""A log file that nobody has written to for this long will not grow."""
_LOCK = ".compacting"


@dataclass(frozen=True)
class Compaction:
    """What a run did; `waiting` counts days that are still being written or read."""

    days: int = 0
    rows: int = 0
    torn_lines: int = 0
    removed_log_files: int = 0
    removed_days: int = 0
    waiting: int = 0
    removed_rows: int = 0


LogFiles = dict[Path, tuple[int, int]]
"""Log files to compact: the first byte that is not in Parquet yet, and the end of the file."""


@contextlib.contextmanager
def compaction_lock(folder: Path) -> Iterator[None]:
    """Let one compaction at a time work on a folder.

    Raises:
        PlatformError: another compaction is at work.
        Unwritable: the folder cannot be written while the block runs.

    """
    try:
        with try_lock(folder / _LOCK) as descriptor:
            if descriptor is None:
                raise PlatformError(
                    f"{folder}: another compaction of this folder is running",
                    remedy="wait until it ends",
                )
            yield
    except OSError as err:
        raise Unwritable(
            f"{folder}: expected a folder to compact, got {err.strerror or err}",
            remedy="give it to this user or free space; nothing is lost, run it again",
        ) from err


def oldest_kept(now: datetime, keep_days: int) -> datetime:
    """The beginning (UTC) of the oldest day that is kept; 0 days keep all."""
    if not keep_days:
        return datetime.min.replace(year=1970, tzinfo=UTC)
    day = now.astimezone(UTC) - timedelta(days=keep_days)
    return day.replace(hour=0, minute=0, second=0, microsecond=0)


def is_growing(folder: Path, now: datetime) -> bool:
    """Whether a log file of the folder may still be written to."""
    times = [path.stat().st_mtime for path in folder.glob("*.jsonl")]
    return max(times, default=0.0) > (now - SEALED_AFTER).timestamp()


def log_files_to_compact(folder: Path, before: CompactionManifest) -> LogFiles:
    """The log files of a folder that are not wholly in Parquet, by name."""
    return {path: (start, path.stat().st_size) for path, start in open_log_files(folder, before)}


def commit(
    folder: Path,
    before: CompactionManifest,
    names: Sequence[str],
    rows: int,
    torn: Sequence[bytes],
    log_files: LogFiles,
) -> CompactionManifest:
    """Write the manifest that makes new Parquet files count, and keep the `torn` lines apart."""
    for name in names:
        flush(folder / name)
    if torn:
        write_whole(folder / f"torn-{token_hex(8)}.txt", b"\n".join(torn) + b"\n")
    after = CompactionManifest(
        files=(*before.files, *names),
        rows=before.rows + rows,
        torn_lines=before.torn_lines + len(torn),
        log_files=before.log_files | {path.name: end for path, (_, end) in log_files.items()},
    )
    write_whole(folder / COMPACTION_FILE, after.write_pretty())
    return after


def remove_unnamed(folder: Path) -> None:
    """Remove the Parquet files of a run that was killed before it could name them."""
    named = set(read_compaction_manifest(folder).files)
    for path in folder.glob("part-*.parquet"):
        if path.name not in named:
            path.unlink()
    for path in folder.glob(".*.????????"):
        path.unlink()


def remove_log_files(folder: Path, prefix: str = "") -> int:
    """Remove log files that are in Parquet to the last byte; gives their number.

    To be called while nobody reads. Only names that start with `prefix` are considered. A file
    that a service still has open stays, whatever the clock says.
    """
    done = read_compaction_manifest(folder).log_files
    removed = 0
    for path in folder.glob(f"{prefix}*.jsonl"):
        if path.name not in done:
            continue
        with unwritten(path) as is_free:
            if is_free and path.stat().st_size == done[path.name]:
                path.unlink()
                removed += 1
    return removed


@contextlib.contextmanager
def unwritten(path: Path) -> Iterator[bool]:
    """Whether no process has a log file open for writing; none can lock it while the block runs.

    Writers hold a shared lock on their file (`services.inference.jsonl_log`).
    """
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
