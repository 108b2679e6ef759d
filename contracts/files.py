"""How files in `var/` are written: whole or not at all, and by one writer at a time.

Documents are files that other processes read while they are replaced, and whose writers may be
killed. Readers rely on never seeing half a file, and `slipway doctor` on the names of the
temporary files that dead writers left; so the way to write them is part of the contract.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from contracts.errors import Unwritable

TEMPORARY_PREFIX = ".incoming-"
"""Prefix of a file that is still being written; the number after it is the writer's PID."""
FILE_MODE = 0o640
"""Mode of new files, whatever the umask allows beyond it: they hold rows of requests."""
FOLDER_MODE = 0o750
"""Mode of new folders, likewise."""


def temporary_path(folder: Path) -> Path:
    """A path in `folder` for a file that this process writes and then renames into place."""
    return folder / f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parents; one that exists keeps its mode."""
    missing: list[Path] = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        path.mkdir(FOLDER_MODE, exist_ok=True)


def open_new(path: Path) -> BinaryIO:
    """An empty file to write to, with `FILE_MODE` if it did not exist."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    return os.fdopen(os.open(path, flags, FILE_MODE), "wb")


def flush(path: Path) -> None:
    """Flush a file, or the entries of a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, data: bytes, *, mode: int = FILE_MODE, to_disk: bool = True) -> None:
    """Replace the contents of a file, so that no reader sees half of them; makes its folder.

    With `to_disk=False` the file may be lost or empty after a power failure. Use that for data
    that is rewritten often and can be recomputed: each flush delays other writers of the disk.

    Raises:
        Unwritable: the file cannot be written; its old contents are unchanged.

    """
    temporary = temporary_path(path.parent)
    try:
        make_folder(path.parent)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        if to_disk:
            flush(temporary)
        temporary.replace(path)
    except OSError as err:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise unwritable(path, err) from err


@contextmanager
def try_lock(path: Path) -> Iterator[int | None]:
    """The descriptor of a lock file, locked while the block runs; None if another holds it.

    The operating system frees the lock when its last holder ends; a child process that inherits
    the descriptor holds it as well. The file is never removed: after a removal, two processes
    could each hold a lock on a different file of that name.

    Raises:
        Unwritable: the file cannot be created.

    """
    with lock_file(path) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield descriptor


@contextmanager
def lock_file(path: Path) -> Iterator[int]:
    """The descriptor of a lock file, not yet locked (`fcntl.flock`); makes the file.

    Raises:
        Unwritable: the file cannot be created.

    """
    try:
        make_folder(path.parent)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE)
    except OSError as err:
        raise unwritable(path, err) from err
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def unwritable(path: Path, err: OSError | str) -> Unwritable:
    """The error for a path that cannot be written, with the reason that the system gave."""
    reason = err if isinstance(err, str) else err.strerror or str(err)[:300]
    return Unwritable(
        f"{path}: expected a writable path, got {reason}",
        remedy="change its owner or mode, free space, or set SLIPWAY_VAR to another folder",
    )
