"""The monitor as a job: which windows are due, again and again, wherever it was interrupted.

Windows stand side by side on the clock (UTC): with 15 minutes, 12:00 to 12:15, 12:15 to 12:30.
A window is judged once it is over and its verdict is not there yet. What is there is the files,
so the job may be killed, started twice, or be late: it goes on where they end.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from contracts.errors import PlatformError
from contracts.names import Layout, window_id
from contracts.verdict import Verdict
from monitoring.baseline import served_version
from registry.store import Store

logger = logging.getLogger("slipway.monitor")

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
SETTLE = timedelta(seconds=10)
"""A window is judged this long after its end: a batch may still be written."""
MOST_BEHIND = 96
"""A job that starts late catches up on so many windows at the most, the newest."""
LONGEST_SLEEP_S = 5.0

Judge = Callable[[datetime, datetime], Verdict]


def due_windows(
    now: datetime, every: timedelta, is_judged: Callable[[datetime, datetime], bool]
) -> list[tuple[datetime, datetime]]:
    """The windows that are over and not judged since the last one that is, oldest first.

    Where none was judged before, only the newest is due.

    >>> noon = datetime(2026, 1, 31, 12, 1, tzinfo=UTC)
    >>> [start.hour for start, _ in due_windows(noon, timedelta(hours=1), lambda a, b: a.hour < 9)]
    [9, 10, 11]
    """
    end = EPOCH + ((now - SETTLE - EPOCH) // every) * every
    due: list[tuple[datetime, datetime]] = []
    for _ in range(MOST_BEHIND):
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
        PlatformError: what `judge` raises; the windows before are kept.

    """

    def is_judged(start: datetime, end: datetime) -> bool:
        return (layout.verdicts / name / f"{window_id(name, version, start, end)}.json").is_file()

    return [judge(start, end) for start, end in due_windows(now, every, is_judged)]


@dataclass(frozen=True)
class Job:
    """Judges the windows of one model; `judge` gives the verdict on one of them."""

    store: Store
    layout: Layout
    name: str
    every: timedelta
    judge: Judge

    def run(self, tell: Callable[[Verdict], None]) -> None:
        """Judge what is due, again and again, until the process is ended.

        What fails is logged and tried again: a monitor that ended in the night because the
        tracking server was restarted would be none.
        """
        while True:
            try:
                version = served_version(self.store, self.layout, self.name)
                now = datetime.now(UTC)
                for verdict in judge_due(
                    self.layout, self.name, version, self.every, now, self.judge
                ):
                    tell(verdict)
            except PlatformError as err:
                logger.error("%s: %s", self.name, err)  # noqa: TRY400 - the place is in the text
            time.sleep(min(self.every.total_seconds(), LONGEST_SLEEP_S))
