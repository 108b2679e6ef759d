"""Append-only JSON lines: the traffic log, the labels, the shadow's records.

Each process writes its own log files. One `write` per batch to a file opened with O_APPEND: what
`write` accepted is in the kernel, so a process that is killed afterwards loses nothing. A power
failure may lose the last seconds.

A write that fails is undone, so that no record is in the log of a prediction that nobody was given.

A file that somebody removed, renamed or replaced is noticed before the next write, which opens a
new one. That takes one `stat` of the path for each batch, about 2 us; the write itself takes about
as long. `fstat` of the descriptor takes 0.8 us, and does not notice that a file was renamed. A
check every few milliseconds, or events from inotify, would cost less and come too late, after
answers whose rows are nowhere.

While a file is open, its writer holds a shared lock (`flock`) on it: compaction removes only files
that it can lock for itself. The lock ends with the process.
"""

import fcntl
import logging
import os
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from threading import Thread

from contracts.errors import Unwritable
from contracts.files import FILE_MODE, make_folder

logger = logging.getLogger("bentoml.slipway")

NEWLINE = b"\n"
PROBE_INTERVAL_S = 1.0
PROBE_BYTES = 1 << 20
"""After a failed write the log is writable again once a file of this size can be written."""
FLUSH_BYTES = 4 << 20
"""A file is flushed to the disk each time it has grown by this much."""


class JsonlLog:
    """The log files that this process writes in `folder`, or with `by_day` in a folder per day.

    A file is closed when it reaches `max_file_bytes`, and at midnight UTC. `failed_at`: when the
    log was last found unwritable, in seconds of `time.monotonic`; None if it is writable.
    """

    def __init__(self, folder: Path, max_file_bytes: int, *, by_day: bool = True) -> None:
        self._folder = folder
        self._by_day = by_day
        self._max_file_bytes = max_file_bytes
        self._day = 0
        self._descriptor = -1
        self._path = ""
        self._inode = 0
        self._size = 0
        self._is_torn = False
        self._flushed = 0
        self._flushing: Thread | None = None
        self.failed_at: float | None = None

    def append(self, lines: Sequence[bytes], now: datetime) -> None:
        """Write records, given without their line breaks.

        Raises:
            OSError: they could not be written completely.

        """
        self.append_block(NEWLINE.join(lines) + NEWLINE, now)

    def append_block(self, data: bytes, now: datetime) -> None:
        """Write complete lines; all of them are in the file when this returns.

        Raises:
            OSError: they could not be written completely.

        """
        day = now.toordinal()
        written = 0
        try:
            if day != self._day or self._size >= self._max_file_bytes or self._is_replaced():
                self._open_file(now)
            if self._is_torn:
                # The last write stopped in the middle of a line: end that line first.
                data = NEWLINE + data
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        except OSError:
            self.failed_at = time.monotonic()
            self._undo(written)
            raise
        self.failed_at = None
        self._size += written
        self._is_torn = False
        if self._size - self._flushed >= FLUSH_BYTES:
            self._start_flush()

    def close(self) -> None:
        """Close the current file; the next append opens a new one."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._day = 0

    def is_writable(self) -> bool:
        """Whether the last write succeeded, or there would be space for the next one.

        After a failure, a file is written and removed to find out, at most once in
        `PROBE_INTERVAL_S`.
        """
        now = time.monotonic()
        if self.failed_at is not None and now - self.failed_at >= PROBE_INTERVAL_S:
            self.failed_at = None if has_space(self._folder) else now
        return self.failed_at is None

    def _undo(self, written: int) -> None:
        """Remove what a failed write has left of its lines."""
        if not written:
            return
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError:
            self._size += written
            self._is_torn = True

    def _is_replaced(self) -> bool:
        """Whether the path no longer names the open file; one system call."""
        try:
            return os.stat(self._path).st_ino != self._inode  # noqa: PTH116 - twice as fast
        except OSError:
            # It is gone, or its folder cannot be read: opening a new one says which.
            return True

    def _start_flush(self) -> None:
        """Flush the file in a thread, unless the last flush is still running."""
        if self._flushing is not None and self._flushing.is_alive():
            return
        span = (os.dup(self._descriptor), self._flushed, self._size)
        self._flushing = Thread(target=_flush, args=span, daemon=True)
        self._flushing.start()
        self._flushed = self._size

    def _open_file(self, now: datetime) -> None:
        self.close()
        day = f"{now:%Y-%m-%d}"
        name = f"{now:%H%M%S}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
        path = self._folder / day / name if self._by_day else self._folder / f"{day}-{name}"
        make_folder(path.parent)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, FILE_MODE)
        fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        self._path, self._inode = str(path), os.fstat(self._descriptor).st_ino
        self._day, self._size, self._flushed, self._is_torn = now.toordinal(), 0, 0, False


def _flush(descriptor: int, start: int, stop: int) -> None:
    """Flush a file to the disk and drop the bytes from `start` to `stop` from the page cache.

    Nobody reads the log soon, and without this it would fill the memory with its pages; getting
    a fresh page costs several times what filling one does.
    """
    try:
        getattr(os, "fdatasync", os.fsync)(descriptor)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, start, stop - start, os.POSIX_FADV_DONTNEED)
    except OSError as err:
        # What `write` accepted is still in the kernel, which retries on its own.
        logger.warning("log file not flushed to the disk: %s", err)
    finally:
        os.close(descriptor)


def _probe(folder: Path) -> Path:
    return folder / f".probe-{os.getpid()}-{secrets.token_hex(4)}"


def has_space(folder: Path) -> bool:
    """Whether a file of `PROBE_BYTES` can be written in a folder."""
    probe = _probe(folder)
    try:
        make_folder(folder)
        probe.write_bytes(bytes(PROBE_BYTES))
    except OSError:
        return False
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    return True


def check_writable(folder: Path) -> None:
    """Check that a log could be written in a folder; creates the folder.

    Raises:
        Unwritable: no file can be created there.

    """
    probe = _probe(folder)
    try:
        make_folder(folder)
        probe.touch()
        probe.unlink()
    except OSError as err:
        raise Unwritable(
            f"{folder}: expected a folder to write traffic to, got {err.strerror}",
            remedy="give it to this user, free space, or set SLIPWAY_VAR to another folder",
        ) from err
