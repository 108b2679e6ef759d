"""The files that tell the service what to serve: which version in which role, which split."""

from contracts.errors import InvalidDocument
from contracts.files import unwritable, write_whole
from contracts.manifest import Pointer
from contracts.names import PRODUCTION, Layout
from contracts.split import TrafficSplit


def read_pointer(layout: Layout, name: str, alias: str = PRODUCTION) -> Pointer | None:
    """The pointer of an alias; None if there is none, or it cannot be read."""
    path = layout.pointer(name, alias)
    try:
        return Pointer.read(path.read_bytes(), str(path))
    except (FileNotFoundError, InvalidDocument):
        return None


def write_pointer(layout: Layout, pointer: Pointer) -> Pointer:
    """Write a pointer, unless the present one has the same target; returns the one in force.

    Raises:
        Unwritable: the file cannot be written.

    """
    present = read_pointer(layout, pointer.name, pointer.alias)
    if present is not None and same_target(present, pointer):
        return present
    write_whole(layout.pointer(pointer.name, pointer.alias), pointer.write_pretty())
    return pointer


def same_target(present: Pointer | None, pointer: Pointer) -> bool:
    """Whether both point at the same files, here and in BentoML's model store."""
    return present is not None and _target(present) == _target(pointer)


def _target(pointer: Pointer) -> tuple[int, str, str]:
    return pointer.version, pointer.digest, pointer.bento_tag


def remove_pointer(layout: Layout, name: str, alias: str = PRODUCTION) -> bool:
    """Delete the pointer of an alias; returns whether there was one.

    Raises:
        Unwritable: it cannot be deleted.

    """
    path = layout.pointer(name, alias)
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as err:
        raise unwritable(path, err) from err
    return True


def read_split(layout: Layout, name: str) -> TrafficSplit | None:
    """The split in force on this machine; None if there is none, or it cannot be read."""
    path = layout.split(name)
    try:
        return TrafficSplit.read(path.read_bytes(), str(path))
    except (FileNotFoundError, InvalidDocument):
        return None
