"""Metrics of weighted rows, for many weightings at once: what a bootstrap needs.

Each function prepares a metric for one set of rows and returns a `WeightedMetric`. A weight is
how often a row counts, so weights of one give the metric itself.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from metrics.classification import Indices, f1_counts, present_classes
from metrics.regression import MIN_SPREAD, columns, squared_errors
from metrics.value import Values

Weights = NDArray[np.float64]
"""How often each row counts, shape `(n_weightings, n_rows)`."""
Resampled = NDArray[np.float64]
"""A metric for each weighting, shape `(n_weightings,)`; NaN where it is not defined."""


class WeightedMetric(Protocol):
    """A metric of fixed rows as a function of their weights."""

    def __call__(self, weights: Weights, /) -> Resampled:
        """The metric for each row of `weights`, shape `(n_weightings,)`."""


def weighted_mean(per_row: Values) -> WeightedMetric:
    """The mean of one number per row, shape `(n_rows,)`.

    >>> weighted_mean(np.array([1.0, 5.0]))(np.array([[1.0, 1.0], [3.0, 1.0]])).tolist()
    [3.0, 2.0]
    """
    return lambda weights: _means(weights, per_row[:, None])[:, 0]


def weighted_rmse(target: Values, prediction: Values) -> WeightedMetric:
    """`metrics.regression.rmse` of weighted rows."""
    squares = squared_errors(target, prediction)
    return lambda weights: np.sqrt(_means(weights, squares)).mean(axis=1)


def weighted_r2(target: Values, prediction: Values) -> WeightedMetric:
    """`metrics.regression.r2` of weighted rows."""
    values, residual = columns(target), squared_errors(target, prediction)
    centred = values - values.mean(axis=0)

    def r2(weights: Weights) -> Resampled:
        spread = _means(weights, centred**2) - _means(weights, centred) ** 2
        unexplained = _means(weights, residual) / np.maximum(spread, MIN_SPREAD)
        return np.asarray(np.mean(1 - unexplained, axis=1))

    return r2


def weighted_f1(target: Indices, prediction: Indices) -> WeightedMetric:
    """`metrics.classification.f1` of weighted rows; 0 where no row is positive."""
    return _weighted_f1(target, prediction, np.array([1]))


def weighted_macro_f1(target: Indices, prediction: Indices) -> WeightedMetric:
    """`metrics.classification.macro_f1` of weighted rows.

    Classes without a row of positive weight are left out of the mean.
    """
    return _weighted_f1(target, prediction, present_classes(target, prediction))


def _weighted_f1(target: Indices, prediction: Indices, classes: Indices) -> WeightedMetric:
    hit, named = f1_counts(target, prediction, classes)

    def f1(weights: Weights) -> Resampled:
        top, bottom = 2 * (weights @ hit), weights @ named
        each = np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)
        scores: Resampled = each.sum(axis=1) / np.maximum((bottom > 0).sum(axis=1), 1)
        return scores

    return f1


def weighted_roc_auc(target: NDArray[Any], score: Values) -> WeightedMetric:
    """`metrics.ranking.roc_auc` of weighted rows; NaN where one class has no weight."""
    order = np.argsort(score, kind="stable")
    positive, negative = order[target[order] == 1], order[target[order] != 1]
    first, last = (
        np.searchsorted(score[negative], score[positive], side="left"),
        np.searchsorted(score[negative], score[positive], side="right"),
    )

    def roc_auc(weights: Weights) -> Resampled:
        by_row = np.ascontiguousarray(weights.T)
        above, below = by_row[positive], by_row[negative]
        passed = np.vstack([np.zeros(len(weights)), below.cumsum(axis=0)])
        pairs = (above * (passed[first] + passed[last])).sum(axis=0) / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            shares: Resampled = pairs / (above.sum(axis=0) * passed[-1])
        return shares

    return roc_auc


def _means(weights: Weights, values: Values) -> Values:
    """Weighted means of columns, shape `(n_weightings, n_columns)`."""
    with np.errstate(invalid="ignore", divide="ignore"):
        means: Values = (weights @ values) / weights.sum(axis=1, keepdims=True)
    return means
