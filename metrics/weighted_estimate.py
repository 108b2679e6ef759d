"""A metric on rows of unequal weight: its value, standard error and 95 % interval.

Weights make the rows of one sample resemble those of another (Horvitz and Thompson 1952, "A
generalization of sampling without replacement from a finite universe", JASA 47). The standard
error is that of a ratio of weighted sums by linearisation: each row's influence times its weight.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.estimate import MetricEstimate
from metrics.interval import Z95
from metrics.value import Values

RowWeights = NDArray[np.float64]
"""The weight of each row, not negative, shape `(n_rows,)`."""


def estimate_weighted_mean(losses: Values, weights: RowWeights) -> MetricEstimate:
    """The weighted mean of one number per row, both `(n_rows,)`; NaN without any weight.

    >>> found = estimate_weighted_mean(np.array([1.0, 5.0]), np.array([3.0, 1.0]))
    >>> found.value
    2.0
    """
    total = float(weights.sum())
    if not total:
        return MetricEstimate(np.nan, np.nan, np.nan, np.nan)
    value = float(losses @ weights / total)
    return _interval(value, float(np.sqrt(((weights * (losses - value)) ** 2).sum()) / total))


def estimate_weighted_rmse(residuals: Values, weights: RowWeights) -> MetricEstimate:
    """The root of the weighted mean square of residuals, `(n_rows,)`, by the delta method.

    >>> estimate_weighted_rmse(np.array([5.0, 0.0]), np.array([1.0, 3.0])).value
    2.5
    """
    squares = estimate_weighted_mean(residuals**2, weights)
    value = float(np.sqrt(squares.value))
    return _interval(value, squares.standard_error / (2 * value) if value else 0.0)


def estimate_weighted_roc_auc(
    target: NDArray[Any], score: Values, weights: RowWeights
) -> MetricEstimate:
    """The share of pairs, by the product of their weights, with the positive row ranked higher.

    `target` is 1 for a positive row; all have the shape `(n_rows,)`. NaN where a class has no
    weight. With equal weights it is the AUC with DeLong's standard error.

    >>> target, score = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])
    >>> estimate_weighted_roc_auc(target, score, np.ones(4)).value
    0.75
    """
    is_positive = (target == 1) & (weights > 0)
    is_negative = (target != 1) & (weights > 0)
    positive, negative = _Class(score, weights, is_positive), _Class(score, weights, is_negative)
    if not positive.total or not negative.total:
        return MetricEstimate(np.nan, np.nan, np.nan, np.nan)
    above = negative.share_below(positive.scores)
    below = 1 - positive.share_below(negative.scores)
    value = float(above @ positive.weights / positive.total)
    error = np.hypot(
        np.linalg.norm(positive.weights * (above - value)) / positive.total,
        np.linalg.norm(negative.weights * (below - value)) / negative.total,
    )
    return _interval(value, float(error))


def effective_rows(weights: RowWeights) -> float:
    """How many rows of equal weight tell as much: Kish (1965), `sum(w)^2 / sum(w^2)`.

    >>> effective_rows(np.array([1.0, 1.0, 0.0, 0.0]))
    2.0
    """
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


class _Class:
    """The rows of one class with their weights, by rising score."""

    def __init__(self, score: Values, weights: RowWeights, mask: NDArray[np.bool_]) -> None:
        order = np.argsort(score[mask], kind="stable")
        self.scores, self.weights = score[mask][order], weights[mask][order]
        self.total = float(self.weights.sum())
        self._below = np.concatenate([[0.0], np.cumsum(self.weights)])

    def share_below(self, values: Values) -> Values:
        """The share of the weight below each value, equal ones by half."""
        left = self._below[np.searchsorted(self.scores, values, side="left")]
        right = self._below[np.searchsorted(self.scores, values, side="right")]
        shares: Values = (left + right) / (2 * self.total)
        return shares


def _interval(value: float, error: float) -> MetricEstimate:
    return MetricEstimate(value, error, value - Z95 * error, value + Z95 * error)
