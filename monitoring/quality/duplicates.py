"""Repeated prediction ids are counted, in memory that does not grow."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

MAX_HASHES = 2_000_000
"""Hashes in memory: 16 MB. Up to this many rows the count is exact."""


class DuplicateCount:
    """The share of rows whose id occurred before, by adaptive sampling of ids.

    Adaptive sampling (Wegman 1984; Flajolet 1990) works on 64-bit hashes of the ids. Up to
    `max_hashes` every hash is kept; then only those that end in 0, in 00, ... in binary. Equal
    ids have equal hashes, so the share of duplicates among the kept ones is that among all.
    """

    def __init__(self, max_hashes: int = MAX_HASHES) -> None:
        self._max = max_hashes
        self._pieces: list[NDArray[np.uint64]] = []
        self._size = 0
        self._mask = np.uint64(0)

    def add(self, ids: pl.Series) -> None:
        """Count more ids; a null is no id."""
        hashes = ids.drop_nulls().hash(seed=0).to_numpy()
        kept = hashes[(hashes & self._mask) == 0] if self._mask else hashes
        self._pieces.append(kept)
        self._size += len(kept)
        while self._size > self._max:
            self._mask = np.uint64(int(self._mask) * 2 + 1)
            whole = np.concatenate(self._pieces)
            self._pieces = [whole[(whole & self._mask) == 0]]
            self._size = len(self._pieces[0])

    def found(self) -> tuple[int, int]:
        """Sampled rows whose id occurred before, and all sampled rows."""
        if not self._size:
            return 0, 0
        whole = np.concatenate(self._pieces)
        return len(whole) - len(np.unique(whole)), len(whole)
