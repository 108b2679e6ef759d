"""One version's predictions for the rows of an evaluation."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.decision_rule import DecisionRule, Scores
from contracts.manifest import ScoreKind, Task


@dataclass(frozen=True)
class Predictions:
    """Scores of shape `(n_rows, n_outputs)`, and the threshold of a binary version.

    `kind` says what the scores of a classifier are.
    """

    scores: Scores
    threshold: float
    kind: ScoreKind = "probability"

    def class_indices(self, task: Task) -> NDArray[np.int64]:
        """The class that each row is decided for, shape `(n_rows,)`; 0 for a regression.

        >>> Predictions(np.array([[0.7, 0.3], [0.4, 0.6]]), 0.5).class_indices("binary").tolist()
        [0, 1]
        """
        return DecisionRule(task, self.threshold).class_indices(self.scores)

    def take(self, rows: NDArray[Any]) -> "Predictions":
        """The predictions for some of the rows, given by a mask or by positions."""
        return Predictions(self.scores[rows], self.threshold, self.kind)
