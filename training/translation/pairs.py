"""Classifiers of pairs of classes, put together by votes."""

import numpy as np

from training.translation.graph import GraphTensor


def ranked_votes(second_wins: GraphTensor, confidences: GraphTensor, n_classes: int) -> GraphTensor:
    """A margin per class: its votes, and a share of a vote that breaks ties.

    Each pair `(i, j)` with `i < j` has a column: whether class `j` wins (1.0 or 0.0), and how
    surely. The formula is scikit-learn's, for one class against another.
    """
    firsts, seconds = np.triu_indices(n_classes, k=1)
    first, second = np.eye(n_classes)[firsts], np.eye(n_classes)[seconds]
    votes = second_wins @ (second - first) + first.sum(axis=0)
    sums = confidences @ (second - first)
    return votes + sums / (sums.apply("Abs") + 1.0) / 3.0
