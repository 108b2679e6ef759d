"""What compaction has made of a day of lines: `compacted.json` beside its Parquet files.

The document is the only truth: a Parquet file that it does not name is rubbish of a run that
was killed, and bytes of a segment that it names are in Parquet already. It is replaced
whole, so a reader sees a day before or after a compaction, never between.
"""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

import msgspec

from contracts.documents import Document
from contracts.files import alone

FOLDED = "compacted.json"
LOCK = ".lock"


class Folded(Document, frozen=True, kw_only=True):
    """A day that was compacted: its Parquet files, and how much of each segment is in them."""

    files: tuple[str, ...] = ()
    rows: int = 0
    torn_lines: int = 0
    segments: dict[str, int] = msgspec.field(default_factory=dict)


def folded_of(folder: Path) -> Folded:
    """What was compacted of a day; nothing where there is no document.

    Raises:
        InvalidDocument: the document was cut or edited.

    """
    path = folder / FOLDED
    try:
        return Folded.read(path.read_bytes(), str(path))
    except FileNotFoundError:
        return Folded()


def open_lines(folder: Path, folded: Folded) -> list[tuple[Path, int]]:
    """The segments of a day that are not (wholly) in Parquet, and where to start in each."""
    found = []
    for path in sorted(folder.glob("*.jsonl")):
        done = folded.segments.get(path.name, 0)
        if path.stat().st_size > done:
            found.append((path, done))
    return found


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Hold segments in place while they are read: compaction removes none meanwhile."""
    with contextlib.ExitStack() as stack:
        # A place where no lock can be made is one where compaction cannot remove either.
        with contextlib.suppress(OSError):
            file = stack.enter_context((folder / LOCK).open("ab"))
            fcntl.flock(file, fcntl.LOCK_SH)
        yield


@contextlib.contextmanager
def removing(folder: Path) -> Iterator[bool]:
    """Whether nobody reads, and nobody begins to until this ends.

    Raises:
        Unwritable: the lock cannot be made.

    """
    with alone(folder / LOCK) as descriptor:
        yield descriptor is not None
