"""Windows of time, and what was met on the way through the traffic log of one."""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from contracts.names import Layout
from contracts.times import parse_utc, utc_text
from contracts.verdict import Window


@dataclass(frozen=True)
class TimeWindow:
    """Which traffic of a model: of one version (None: of all), `start <= time < end`."""

    model: str
    version: int | None
    start: datetime
    end: datetime


@dataclass
class ReadStats:
    """What a reader of the traffic log met.

    `files` counts log files and Parquet files, `torn_lines` lines that are not traffic records
    (cut off, or of another program) or have no valid time, `other_versions` rows of versions
    other than the window's. `torn_files` names files that could not be read, and why.
    """

    files: int = 0
    torn_lines: int = 0
    torn_files: list[str] = field(default_factory=list)
    other_versions: int = 0


def day_folders(layout: Layout, window: TimeWindow) -> list[Path]:
    """The folders that may hold records of a window, oldest first.

    A log file is named by the day of its first record, and the service starts a new one at
    midnight. So the day before the window matters only where clocks were set back.
    """
    first = (window.start.astimezone(UTC) - timedelta(days=1)).date().isoformat()
    last = window.end.astimezone(UTC).date().isoformat()
    folders = layout.traffic(window.model).glob("*")
    return sorted(path for path in folders if first <= path.name <= last and path.is_dir())


def window_read(window: TimeWindow, rows: int, stats: ReadStats) -> Window:
    """A window as documents describe it, with what was met on the way through its traffic."""
    return Window(
        start=utc_text(window.start),
        end=utc_text(window.end),
        rows=rows,
        files=stats.files,
        torn_lines=stats.torn_lines,
        other_versions=stats.other_versions,
    )


def window_seconds(window: Window) -> float:
    """The length of a document's window."""
    return (parse_utc(window.end) - parse_utc(window.start)).total_seconds()


def is_same_length(seconds: float, others: float) -> bool:
    """Whether two windows count as equally long: they differ by at most a tenth."""
    return math.isclose(seconds, others, rel_tol=0.1)
