"""How a file comes to be in `var/`: whole or not at all, and one writer at a time.

The documents at the doors are files that other processes read while they are replaced, and
whose writers may be killed. So the way to write one belongs to the contract: readers rely on
never seeing half a file, and `slipway doctor` on the name of what a dead writer left.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from contracts.errors import Unwritable

INCOMING = ".incoming-"
"""What begins so is being written; the number after it is the process that writes."""
EVERYBODY = 0o666
"""Permissions of a new file, of which the user's mask takes away what it wants."""


def incoming(folder: Path) -> Path:
    """A path in `folder` for what this process writes, before it is renamed into place."""
    return folder / f"{INCOMING}{os.getpid()}-{secrets.token_hex(4)}"


def flush(path: Path) -> None:
    """Bring a file, or the list of a folder's files, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, data: bytes, *, mode: int = EVERYBODY, to_disk: bool = True) -> None:
    """Put `data` into a file, so that no reader ever sees half of it; makes its folder.

    Not `to_disk`, it may be lost or empty when the machine itself goes down, which is for what
    is written often and counted anew: each flush makes other writers of that disk wait.

    Raises:
        Unwritable: the place cannot be written; what was there is still there.

    """
    beside = incoming(path.parent)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
        if to_disk:
            flush(beside)
        beside.replace(path)
    except OSError as err:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise unwritable(path, err) from err


@contextmanager
def alone(path: Path) -> Iterator[int | None]:
    """The descriptor of a lock file while the block holds it; None where somebody else does.

    The operating system frees it when its last holder is gone: a process that is given the
    descriptor holds it as well. The file stays, since who removed it could hold another lock
    than who waits for it.

    Raises:
        Unwritable: the file cannot be made.

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
    """The descriptor of a file that is there to be locked (`fcntl.flock`), not yet locked.

    Raises:
        Unwritable: the file cannot be made.

    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, EVERYBODY)
    except OSError as err:
        raise unwritable(path, err) from err
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def unwritable(place: Path, err: OSError | str) -> Unwritable:
    """The error for a place of this machine that must be written and cannot be."""
    got = err if isinstance(err, str) else err.strerror or str(err)[:300]
    return Unwritable(
        f"{place}: expected a place to write to, got {got}",
        remedy="give it to this user, free space, or set SLIPWAY_VAR to another folder",
    )
