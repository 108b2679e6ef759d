"""The scheduler: which windows of a model are due, and a loop that judges them.

Windows are adjacent and aligned to the clock (UTC): with 15 minutes, 12:00 to 12:15, 12:15 to
12:30. A window is judged once it is over and has no verdict yet. The verdicts on disk are the
only state, so a scheduler may be killed, started twice or be late: it goes on where they end.
"""

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
        return (layout.verdicts / name / f"{window_id(name, version, start, end)}.json").is_file()

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
        while True:
            try:
                version = served_version(self.store, self.layout, self.name)
                now = datetime.now(UTC)
                for verdict in judge_due(
                    self.layout, self.name, version, self.every, now, self.judge
                ):
                    report(verdict)
            except PlatformError as err:
                logger.error("%s: %s", self.name, err)  # noqa: TRY400 - the place is in the text
            except Exception:  # the next window must be judged, whatever was wrong with this one
                logger.exception("%s: the window was not judged", self.name)
            time.sleep(min(self.every.total_seconds(), MAX_SLEEP_S))
