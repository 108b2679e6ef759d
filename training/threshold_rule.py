"""How the threshold of a binary model is chosen: by the cost of mistakes, or by F-score."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RowCounts = NDArray[Any]
"""RowCounts of rows at each threshold, shape `(n_thresholds,)`."""


@dataclass(frozen=True)
class Cost:
    """The threshold with the lowest cost: of a false positive, and of a false negative."""

    fp: float = 1.0
    fn: float = 1.0

    def values(self, tp: RowCounts, fp: RowCounts, fn: RowCounts) -> RowCounts:
        """The cost per row, for counts at each threshold, shape `(n_thresholds,)`."""
        n_rows = float(fp.max() + tp.max()) or 1.0
        return (self.fp * fp + self.fn * fn) / n_rows


@dataclass(frozen=True)
class FScore:
    """The threshold with the highest F-score; recall counts `beta` times as much as precision."""

    beta: float = 1.0

    def values(self, tp: RowCounts, fp: RowCounts, fn: RowCounts) -> RowCounts:
        """The F-score (van Rijsbergen 1979), for counts at each threshold."""
        weight = self.beta**2
        total = (1 + weight) * tp + weight * fn + fp
        return np.where(total > 0, (1 + weight) * tp / np.maximum(total, 1), 0.0)


ThresholdRule = Cost | FScore
