"""Which class a model decides for, and which of its scores is monitored for drift."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from contracts.manifest import Manifest, Task

DEFAULT_THRESHOLD = 0.5
POSITIVE = 1
"""The index of a binary model's positive class among its classes."""

Scores = NDArray[np.float64]
"""The scores of rows, shape `(n_rows, n_outputs)`: one probability per class, or one value per
output of a regression."""


@dataclass(frozen=True)
class DecisionRule:
    """How scores become a decision, the same in training, in the service and in monitoring.

    A binary model decides for its second class when that one's score is at least `threshold`,
    a multiclass model for the class with the highest score, the first of them in a tie. A
    regression decides nothing; its class index is 0.
    """

    task: Task
    threshold: float = DEFAULT_THRESHOLD

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """The rule of a model version."""
        threshold = manifest.threshold
        return cls(manifest.task, DEFAULT_THRESHOLD if threshold is None else threshold)

    def class_indices(self, scores: Scores) -> NDArray[np.int64]:
        """The index of each row's class, shape `(n_rows,)`.

        >>> DecisionRule("binary", 0.3).class_indices(np.array([[0.7, 0.3], [0.8, 0.2]])).tolist()
        [1, 0]
        """
        if self.task == "regression":
            return np.zeros(len(scores), dtype=np.int64)
        if self.task == "binary":
            return (scores[:, POSITIVE] >= self.threshold).astype(np.int64)
        return np.asarray(scores.argmax(axis=1))

    def distance_to_tie(self, scores: Scores) -> NDArray[np.float64]:
        """How far the scores of each row are from another decision, shape `(n_rows,)`.

        >>> DecisionRule("binary", 0.5).distance_to_tie(np.array([[0.25, 0.75]])).tolist()
        [0.25]
        """
        if self.task == "regression":
            return np.full(len(scores), np.inf)
        if self.task == "binary":
            return np.abs(scores[:, POSITIVE] - self.threshold)
        ordered = np.sort(scores, axis=1)
        return np.asarray(ordered[:, -1] - ordered[:, -2])

    def class_index_list(self, rows: Sequence[Sequence[float]]) -> list[int]:
        """`class_indices` of rows that are lists of scores: for a few rows faster than numpy.

        >>> DecisionRule("multiclass").class_index_list([[0.2, 0.4, 0.4], [0.6, 0.3, 0.1]])
        [1, 0]
        """
        if self.task == "regression":
            return [0] * len(rows)
        if self.task == "binary":
            threshold = self.threshold
            return [POSITIVE if scores[POSITIVE] >= threshold else 0 for scores in rows]
        return [scores.index(max(scores)) for scores in rows]

    def monitored_scores(self, scores: Scores) -> Scores:
        """The score of each row that is monitored for drift, shape `(n_rows,)`.

        That is the positive class's of a binary model, the highest of a multiclass model, and
        the first value of a regression.
        """
        if self.task == "multiclass":
            return np.asarray(scores.max(axis=1))
        return scores[:, self.monitored_index(0)]

    def monitored_index(self, class_index: int) -> int:
        """Which score of a row is monitored, given the class that was decided for."""
        if self.task == "binary":
            return POSITIVE
        return class_index if self.task == "multiclass" else 0
