"""The compaction manifest: `compacted.json`, next to the Parquet files of a day's traffic.

The document is the only truth. A Parquet file that it does not name was left by a run that was
killed; bytes of a log file that it counts are in Parquet already. It is replaced as a whole, so
a reader sees a day before a compaction or after it, never in between.
"""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from contracts.compaction import COMPACTION_FILE, CompactionManifest
from contracts.files import try_lock

LOCK = ".lock"


def read_compaction_manifest(folder: Path) -> CompactionManifest:
    """The compaction manifest of a day's folder; an empty one where there is no document.

    Raises:
        InvalidDocument: the document was cut or edited.

    """
    path = folder / COMPACTION_FILE
    try:
        return CompactionManifest.read(path.read_bytes(), str(path))
    except FileNotFoundError:
        return CompactionManifest()


def open_log_files(folder: Path, compacted: CompactionManifest) -> list[tuple[Path, int]]:
    """The log files that are not wholly in Parquet, by name, with the byte to read each from."""
    found = []
    for path in sorted(folder.glob("*.jsonl")):
        done = compacted.log_files.get(path.name, 0)
        if path.stat().st_size > done:
            found.append((path, done))
    return found


@contextlib.contextmanager
def reading_lock(folder: Path) -> Iterator[None]:
    """Keep log files in place while the block reads them: compaction removes none during it."""
    with contextlib.ExitStack() as stack:
        # Where no lock can be made, compaction cannot remove files either.
        with contextlib.suppress(OSError):
            file = stack.enter_context((folder / LOCK).open("ab"))
            fcntl.flock(file, fcntl.LOCK_SH)
        yield


@contextlib.contextmanager
def removal_lock(folder: Path) -> Iterator[bool]:
    """Keep readers out while the block runs; gives False if somebody reads the folder already.

    Raises:
        Unwritable: the lock cannot be made.

    """
    with try_lock(folder / LOCK) as descriptor:
        yield descriptor is not None
