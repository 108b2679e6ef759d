"""The time line of a window in at most 128 slices, whose width grows with the time seen."""

import numpy as np
from numpy.typing import NDArray

from monitoring.traffic.batch import Times

TIME_BINS = 128
_FIRST_WIDTH = 1_000
"""Microseconds; doubles until the time seen fits."""


class Timeline:
    """Where a moment lies: slice `moment // width - first`.

    Slices are aligned to 1970, so doubling the width joins neighbours and keeps every count
    exact. Whoever counts by slice asks `fit` first, which says what to do to the counts.
    """

    def __init__(self) -> None:
        self.width = _FIRST_WIDTH
        self.first = 0
        self._last = 0
        self._empty = True

    def fit(self, times: Times) -> list["Rebin"]:
        """Make room for `times`; the changes that counts by slice must follow, in order."""
        if not len(times):
            return []
        low, high = int(times.min()), int(times.max())
        if self._empty:
            self._empty = False
            while high // self.width - low // self.width >= TIME_BINS:
                self.width *= 2
            self.first, self._last = low // self.width, high // self.width
            return []
        changes: list[Rebin] = []
        while max(self._last, high // self.width) - min(self.first, low // self.width) >= TIME_BINS:
            changes.append(Rebin(joins=True, shift=self.first % 2))
            self.width *= 2
            self.first //= 2
            self._last //= 2
        if low // self.width < self.first:
            changes.append(Rebin(joins=False, shift=self.first - low // self.width))
            self.first = low // self.width
        self._last = max(self._last, high // self.width)
        return changes

    def places(self, times: Times) -> NDArray[np.int64]:
        """The slice of each moment, after `fit`."""
        return times // self.width - self.first

    def middles(self) -> NDArray[np.float64]:
        """The middle of each slice in microseconds, shape `(TIME_BINS,)`."""
        return (np.arange(self.first, self.first + TIME_BINS, dtype=np.float64) + 0.5) * self.width


class Rebin:
    """A change of a time line, to be done to counts of shape `(TIME_BINS, ...)`."""

    def __init__(self, *, joins: bool, shift: int) -> None:
        self._joins = joins
        self._shift = shift

    def apply(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """The counts as they stand after the change."""
        moved = np.zeros_like(counts)
        if self._joins:
            np.add.at(moved, (np.arange(TIME_BINS) + self._shift) // 2, counts)
        else:
            moved[self._shift :] = counts[: TIME_BINS - self._shift]
        return moved
