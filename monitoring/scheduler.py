"""The scheduler: which windows of a model are due, and a loop that judges them.

Windows are adjacent and aligned to the clock (UTC): with 15 minutes, 12:00 to 12:15, 12:15 to
12:30. A window is judged once it is over and has no verdict yet. The verdicts on disk are the
only state, so a scheduler may be killed, started twice or be late: it goes on where they end.

A clock that was ahead judges windows that are not over. Once it is right again, such verdicts are
set aside, and their windows are judged when they are over.
"""

import logging
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from contracts.errors import PlatformError
from contracts.names import Layout, window_id
from contracts.verdict import Verdict
from monitoring.baseline import served_version
from registry.store import Store

logger = logging.getLogger("slipway.monitor")

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
GRACE_PERIOD = timedelta(seconds=10)
"""A window is judged this long after its end: a batch may still be written."""
MAX_WINDOWS_BEHIND = 96
"""The most windows that a scheduler that starts late catches up on: the newest ones."""
MAX_SLEEP_S = 5.0
JUDGED_MEMORY = timedelta(days=2)
"""How long the process remembers when it judged a window."""


class Judge(Protocol):
    """Gives the verdict on a window."""

    def __call__(self, start: datetime, end: datetime, /) -> Verdict:
        """The verdict on `start <= time < end`; raises `PlatformError`."""


class IsJudged(Protocol):
    """Says whether a window has a verdict."""

    def __call__(self, start: datetime, end: datetime, /) -> bool:
        """Whether there is a verdict on `start <= time < end`."""


class Report(Protocol):
    """Shows a new verdict to a person or a program."""

    def __call__(self, verdict: Verdict, /) -> None:
        """Show a verdict."""


WindowSpan = tuple[datetime, datetime]
"""The start of a window, and its end, which is outside of it."""


def early_windows(
    now: datetime, monotonic_s: float, every: timedelta, judged: Mapping[WindowSpan, float]
) -> list[WindowSpan]:
    """The windows whose verdict, if there is one, was made before they were over.

    Those are windows that are not over now, and windows that this process has `judged` at a
    monotonic time when, by the present clock, they were not over.

    >>> noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    >>> hour = timedelta(hours=1)
    >>> judged = {(noon - 2 * hour, noon - hour): 500.0, (noon - hour, noon): 9999.0}
    >>> [start.hour for start, _ in early_windows(noon, 10_000.0, hour, judged)][-2:]
    [10, 11]
    """
    current = EPOCH + ((now - EPOCH) // every) * every
    ahead = [(current + n * every, current + (n + 1) * every) for n in range(MAX_WINDOWS_BEHIND)]
    offset = now - timedelta(seconds=monotonic_s)
    return ahead + [w for w, made_s in judged.items() if offset + timedelta(seconds=made_s) < w[1]]


def set_aside(layout: Layout, name: str, version: int, windows: Iterable[WindowSpan]) -> None:
    """Rename the verdicts on windows of a version, so that they no longer count."""
    for start, end in windows:
        path = verdict_path(layout, name, version, start, end)
        with suppress(FileNotFoundError):
            path.rename(path.with_suffix(".early"))
            logger.warning("%s: the clock was ahead; %s is judged again", name, path.stem)


def verdict_path(layout: Layout, name: str, version: int, start: datetime, end: datetime) -> Path:
    """The file of the verdict on a window of a version."""
    return layout.verdicts / name / f"{window_id(name, version, start, end)}.json"


def due_windows(
    now: datetime, every: timedelta, is_judged: IsJudged
) -> list[tuple[datetime, datetime]]:
    """The windows that are over and come after the last judged one, oldest first.

    Where none was judged before, only the newest is due.

    >>> noon = datetime(2026, 1, 31, 12, 1, tzinfo=UTC)
    >>> [start.hour for start, _ in due_windows(noon, timedelta(hours=1), lambda a, b: a.hour < 9)]
    [9, 10, 11]
    """
    end = EPOCH + ((now - GRACE_PERIOD - EPOCH) // every) * every
    due: list[tuple[datetime, datetime]] = []
    for _ in range(MAX_WINDOWS_BEHIND):
        if is_judged(end - every, end):
            return due[::-1]
        due.append((end - every, end))
        end -= every
    return due[:1]


def judge_due(
    layout: Layout, name: str, version: int, every: timedelta, now: datetime, judge: Judge
) -> list[Verdict]:
    """Judge every window of a version that is due; gives the verdicts.

    Raises:
        PlatformError: what `judge` raises; the verdicts before it are stored.

    """

    def is_judged(start: datetime, end: datetime) -> bool:
        return verdict_path(layout, name, version, start, end).is_file()

    return [judge(start, end) for start, end in due_windows(now, every, is_judged)]


@dataclass(frozen=True)
class Scheduler:
    """Judges the windows of the served version of one model, each of length `every`."""

    store: Store
    layout: Layout
    name: str
    every: timedelta
    judge: Judge

    def run(self, report: Report) -> None:
        """Judge what is due and report it, until the process is ended.

        A failure is logged and tried again: a tracking server that restarts at night must not
        end the monitoring.
        """
        judged: dict[WindowSpan, float] = {}

        def judge(start: datetime, end: datetime, /) -> Verdict:
            verdict = self.judge(start, end)
            judged[start, end] = time.monotonic()
            return verdict

        while True:
            try:
                version = served_version(self.store, self.layout, self.name)
                now = datetime.now(UTC)
                early = early_windows(now, time.monotonic(), self.every, judged)
                set_aside(self.layout, self.name, version, early)
                judged = {w: at for w, at in judged.items() if now - w[1] < JUDGED_MEMORY}
                for verdict in judge_due(self.layout, self.name, version, self.every, now, judge):
                    report(verdict)
            except PlatformError as err:
                logger.error("%s: %s", self.name, err)  # noqa: TRY400 - the place is in the text
            except Exception:  # the next window must be judged, whatever was wrong with this one
                logger.exception("%s: the window was not judged", self.name)
            time.sleep(min(self.every.total_seconds(), MAX_SLEEP_S))
