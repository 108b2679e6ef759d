"""How many answers are scored: as many as a share of one core is enough for."""

import time
from collections.abc import Sequence
from typing import TypeVar

SAVED_S = 1.0
"""For so long a share that was not used is kept."""
FIRST = 64
"""Rows to score before it is known what a row takes."""
RECENT = 0.2
"""The weight of the newest look in what a row takes."""

T = TypeVar("T")


class Pace:
    """Choose so many lines that looking at them takes `share` of one core's time, in the mean.

    The lowest priority alone keeps nobody's turn: a process that runs on what others leave is
    not put aside at once when they want it back (Linux lets it run on for a millisecond or two
    where the others are of another session), and it takes their cache. A share below a
    hundredth is in the way of less than a hundredth of the requests.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._credit_s = share * SAVED_S
        self._row_s = self._credit_s / FIRST
        self._earned_to = time.monotonic()

    def rows(self) -> int:
        """How many can be paid now."""
        now = time.monotonic()
        self._credit_s += self._share * (now - self._earned_to)
        self._credit_s = min(self._credit_s, self._share * SAVED_S)
        self._earned_to = now
        # A row that takes more than can be saved is scored now and then, on credit.
        return max(int(self._credit_s / self._row_s), int(self._credit_s > 0))

    def chosen(self, lines: Sequence[T], least: int = 0) -> Sequence[T]:
        """As many of the lines as can be paid, and `least` in any case; evenly spaced."""
        rows = max(self.rows(), least)
        return lines[:: -(-len(lines) // rows)] if rows and lines else ()

    def pay(self, used_s: float) -> None:
        """Take what a look used of a core's time off the credit."""
        self._credit_s -= used_s

    def learn(self, used_s: float, rows: int) -> None:
        """So long it took to score so many rows; what else a look takes is no row's."""
        self._row_s += RECENT * (used_s / rows - self._row_s)
