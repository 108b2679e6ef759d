"""The time line of a window in at most 128 time bins, whose width grows with the time seen."""

import numpy as np
from numpy.typing import NDArray

from monitoring.traffic.batch import Times

TIME_BINS = 128
_FIRST_WIDTH_US = 1_000
"""Microseconds; doubled until the time seen fits."""


class Timeline:
    """Time bins of equal width: a time in microseconds is in bin `time // width - first`.

    Bins are aligned to 1970, so doubling the width joins neighbours and keeps every count
    exact. Code that counts by time bin calls `fit` first and applies the changes to its counts.
    """

    def __init__(self) -> None:
        self.width = _FIRST_WIDTH_US
        self.first = 0
        self._last = 0
        self._is_empty = True

    def fit(self, times: Times) -> list["Rebin"]:
        """Make room for `times`; gives the changes that counts must follow, in order."""
        if not len(times):
            return []
        low, high = int(times.min()), int(times.max())
        if self._is_empty:
            self._is_empty = False
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

    def bins(self, times: Times) -> NDArray[np.int64]:
        """The time bin of each time, after `fit`; shape `(n_rows,)`."""
        return times // self.width - self.first

    def middles(self) -> NDArray[np.float64]:
        """The middle of each time bin in microseconds since 1970, shape `(TIME_BINS,)`."""
        return (np.arange(self.first, self.first + TIME_BINS, dtype=np.float64) + 0.5) * self.width


class Rebin:
    """A change of the time bins, to be applied to counts of shape `(TIME_BINS, ...)`.

    It `joins` pairs of neighbours or moves all by `shift` bins.
    """

    def __init__(self, *, joins: bool, shift: int) -> None:
        self._joins = joins
        self._shift = shift

    def apply(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """The counts after the change."""
        moved = np.zeros_like(counts)
        if self._joins:
            np.add.at(moved, (np.arange(TIME_BINS) + self._shift) // 2, counts)
        else:
            moved[self._shift :] = counts[: TIME_BINS - self._shift]
        return moved
