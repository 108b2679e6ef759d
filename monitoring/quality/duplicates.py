"""How many prediction ids come more than once, in memory that does not grow."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

KEPT = 2_000_000
"""Hashes kept at once: 16 MB. Up to as many rows the count is exact."""


class DuplicateCount:
    """Adaptive sampling (Wegman 1984; Flajolet 1990) on 64-bit hashes of the ids.

    While there is room every hash is kept; then only those that end in 0, in 00, ... in
    binary. Equal ids have equal hashes, so the share of duplicates among those kept is the
    share among all.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._most = kept
        self._pieces: list[NDArray[np.uint64]] = []
        self._size = 0
        self._mask = np.uint64(0)

    def add(self, ids: pl.Series) -> None:
        """Count more ids (a null is no id)."""
        hashes = ids.drop_nulls().hash(seed=0).to_numpy()
        kept = hashes[(hashes & self._mask) == 0] if self._mask else hashes
        self._pieces.append(kept)
        self._size += len(kept)
        while self._size > self._most:
            self._mask = np.uint64(int(self._mask) * 2 + 1)
            whole = np.concatenate(self._pieces)
            self._pieces = [whole[(whole & self._mask) == 0]]
            self._size = len(self._pieces[0])

    def found(self) -> tuple[int, int]:
        """Rows whose id came before, and rows looked at."""
        if not self._size:
            return 0, 0
        whole = np.concatenate(self._pieces)
        return len(whole) - len(np.unique(whole)), len(whole)
