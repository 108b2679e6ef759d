"""The traffic of a model in a window of time, file by file; what is torn is counted."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from contracts.names import Layout
from contracts.traffic import TrafficRecord

CHUNK_ROWS = 50_000
_decode = msgspec.json.Decoder(TrafficRecord).decode


@dataclass
class Reading:
    """What was met on the way through the files."""

    files: int = 0
    torn_lines: int = 0
    other_versions: int = 0
    outside: int = 0
    versions: set[int] = field(default_factory=set)


def read_window(
    layout: Layout, name: str, version: int, start: datetime, end: datetime, reading: Reading
) -> Iterator[list[TrafficRecord]]:
    """Chunks of a version's records with `start <= time < end`, at most 50,000 at once.

    Lines that are not traffic records (a torn last line, another program's) are skipped and
    counted in `reading`, as are other versions.
    """
    first, last = utc_text(start), utc_text(end)
    chunk: list[TrafficRecord] = []
    for path in segments(layout, name, start, end):
        reading.files += 1
        for record in _records(path, reading):
            if not first <= record.time < last:
                reading.outside += 1
            elif record.version != version:
                reading.other_versions += 1
                reading.versions.add(record.version)
            else:
                chunk.append(record)
                if len(chunk) >= CHUNK_ROWS:
                    yield chunk
                    chunk = []
    if chunk:
        yield chunk


def segments(layout: Layout, name: str, start: datetime, end: datetime) -> list[Path]:
    """The files that may hold records of the window, oldest first.

    A segment is named by the day of its first record; its writer turns it at midnight, so the
    day before the window is looked at only for clocks that were set back.
    """
    first = (start - timedelta(days=1)).date().isoformat()
    last = end.date().isoformat()
    folders = (p for p in layout.traffic(name).glob("*") if first <= p.name <= last)
    return sorted(path for folder in folders for path in folder.glob("*.jsonl"))


def _records(path: Path, reading: Reading) -> Iterator[TrafficRecord]:
    with path.open("rb") as lines:
        for line in lines:
            if not line.strip():
                continue
            try:
                yield _decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                reading.torn_lines += 1


def utc_text(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds: as text in the order of time.

    >>> utc_text(datetime(2026, 1, 31, 12, tzinfo=UTC))
    '2026-01-31T12:00:00.000000Z'
    """
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
