"""The traffic log, and that of labels: a file for each process, model and day, written first.

One `write` a batch to a file opened with O_APPEND: what `write` took is in the kernel, so a
process that is killed afterwards loses nothing; a machine that loses power may lose the last
seconds.
"""

import logging
import os
import secrets
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from threading import Thread

from contracts.errors import Unwritable

logger = logging.getLogger("bentoml.slipway")

NEWLINE = b"\n"
SETTLE_BYTES = 4 << 20
"""After so many bytes more they are brought to the disk, and their memory is given back."""


class TrafficLog:
    """The segments of one model that this process writes, below `folder`, or in a folder a day."""

    def __init__(self, folder: Path, segment_bytes: int, *, by_day: bool = True) -> None:
        self._folder = folder
        self._by_day = by_day
        self._limit = segment_bytes
        self._day = ""
        self._descriptor = -1
        self._size = 0
        self._torn = False
        self._settled = 0
        self._settling: Thread | None = None

    def append(self, lines: Sequence[bytes], now: datetime) -> None:
        """Write records, one line each: see `append_block`."""
        self.append_block(NEWLINE.join(lines) + NEWLINE, now)

    def append_block(self, data: bytes, now: datetime) -> None:
        """Write whole lines; all of them are in the file when this returns.

        Raises:
            OSError: the file could not be written whole; nothing may be answered.

        """
        day = f"{now:%Y-%m-%d}"
        if day != self._day or self._size >= self._limit:
            self._open_segment(day, now)
        if self._torn:
            # The last write stopped in the middle of a line: let that line end here.
            data = NEWLINE + data
        written = 0
        try:
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        finally:
            self._size += written
            self._torn = written < len(data) and (written > 0 or self._torn)
        if self._size - self._settled >= SETTLE_BYTES:
            self._settle()

    def close(self) -> None:
        """Seal the segment."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._day = ""

    def _settle(self) -> None:
        """Begin to bring what was written to the disk, unless the last time is not over yet."""
        if self._settling is not None and self._settling.is_alive():
            return
        place = (os.dup(self._descriptor), self._settled, self._size)
        self._settling = Thread(target=_bring_to_disk, args=place, daemon=True)
        self._settling.start()
        self._settled = self._size

    def _open_segment(self, day: str, now: datetime) -> None:
        self.close()
        name = f"{now:%H%M%S}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
        path = self._folder / day / name if self._by_day else self._folder / f"{day}-{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o644)
        self._day, self._size, self._settled, self._torn = day, 0, 0, False


def _bring_to_disk(descriptor: int, start: int, stop: int) -> None:
    """Bring a file to the disk, and give back the memory of the bytes from `start` to `stop`.

    A log that is only written would else fill the machine's memory with pages that nobody
    reads, and taking a fresh page costs several times what filling one does.
    """
    try:
        getattr(os, "fdatasync", os.fsync)(descriptor)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, start, stop - start, os.POSIX_FADV_DONTNEED)
    except OSError as err:
        # What `write` took is still in the kernel, which will try again by itself.
        logger.warning("traffic log: could not bring it to the disk: %s", err)
    finally:
        os.close(descriptor)


def check_writable(folder: Path) -> None:
    """Refuse to start where no traffic could be logged.

    Raises:
        Unwritable: a file cannot be made in `folder`.

    """
    probe = folder / f".probe-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as err:
        raise Unwritable(
            f"{folder}: expected a folder to write traffic to, got {err.strerror}",
            remedy="give it to this user, free space, or set SLIPWAY_VAR to another folder",
        ) from err
