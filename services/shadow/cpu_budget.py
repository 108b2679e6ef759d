"""How many rows may be scored now, so that scoring takes a fixed share of one core."""

import time
from collections.abc import Sequence
from typing import TypeVar

MAX_SAVED_S = 1.0
"""Unused time is saved for at most this long."""
INITIAL_ROWS = 64
"""Rows that the first poll may score, before the cost of a row is known."""
NEWEST_WEIGHT = 0.2
"""Weight of the newest measurement in the moving average of a row's cost."""

T = TypeVar("T")


class CpuBudget:
    """A budget of CPU time that grows by `share` seconds per second; 0 < share <= 1.

    The lowest priority is not enough: Linux lets an idle-class process run on for a millisecond
    or two when processes of another session want its core, and it evicts their caches. A share
    below a hundredth delays less than a hundredth of the requests.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._credit_s = share * MAX_SAVED_S
        self._row_s = self._credit_s / INITIAL_ROWS
        self._earned_to = time.monotonic()

    def rows(self) -> int:
        """The number of rows that the budget pays for now."""
        now = time.monotonic()
        self._credit_s += self._share * (now - self._earned_to)
        self._credit_s = min(self._credit_s, self._share * MAX_SAVED_S)
        self._earned_to = now
        # A row that costs more than can ever be saved is scored now and then, on credit.
        return max(int(self._credit_s / self._row_s), int(self._credit_s > 0))

    def sample(self, items: Sequence[T], at_least: int = 0) -> Sequence[T]:
        """An evenly spaced sample, as large as the budget or `at_least` allows, in order."""
        rows = max(self.rows(), at_least)
        return items[:: _ceil_div(len(items), rows)] if rows and items else ()

    def pay(self, used_s: float) -> None:
        """Subtract CPU time that was used."""
        self._credit_s -= used_s

    def learn(self, used_s: float, rows: int) -> None:
        """Update the cost of a row: scoring `rows` took `used_s`, overhead not included."""
        self._row_s += NEWEST_WEIGHT * (used_s / rows - self._row_s)


def _ceil_div(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)
