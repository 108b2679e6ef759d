"""A random sample of a window: a fixed number of rows, each drawn with the same chance."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

SAMPLE_SEED = 0


class Reservoir:
    """`size` rows of a stream of tables, each row of the stream with the same chance.

    Every row draws a number, and the rows with the smallest are kept: the same distribution as
    Vitter's reservoir (1985), a table at a time.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._rng = np.random.default_rng(SAMPLE_SEED)
        self._worst = 1.0
        self._kept: list[pl.DataFrame] = []
        self._draws: list[NDArray[np.float64]] = []

    def add(self, frame: pl.DataFrame) -> None:
        """Offer more rows."""
        draws = self._rng.random(len(frame))
        good = np.flatnonzero(draws < self._worst)
        if len(good) > self._size:
            good = np.sort(good[np.argpartition(draws[good], self._size)[: self._size]])
        if not len(good):
            return
        self._kept.append(_without_categories(frame[good]))
        self._draws.append(draws[good])
        if sum(map(len, self._draws)) > 2 * self._size:
            self._compact()

    def frame(self) -> pl.DataFrame:
        """The rows that were drawn, at most `size`."""
        if self._kept:
            self._compact()
        return self._kept[0] if self._kept else pl.DataFrame()

    def _compact(self) -> None:
        """Keep only the `size` rows with the smallest numbers, as one table."""
        whole, draws = pl.concat(self._kept, how="diagonal_relaxed"), np.concatenate(self._draws)
        order = np.argsort(draws, kind="stable")[: self._size]
        self._kept, self._draws = [whole[order]], [draws[order]]
        if len(order) == self._size:
            self._worst = float(draws[order[-1]])


def _without_categories(frame: pl.DataFrame) -> pl.DataFrame:
    """Categories as text: their lists differ from file to file and could not be concatenated."""
    return frame.cast({pl.Categorical: pl.String})
