"""Metrics of a classifier's decisions and probabilities.

`target` and `prediction` are class indices (places in the manifest's list of classes), shape
`(n_rows,)`, of any numeric dtype; class 1 is the positive class of a binary model. The area
under the ROC curve is in `metrics.ranking`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.value import MetricValue, Values, mean_metric, undefined

Indices = NDArray[Any]

LOWEST_PROBABILITY = 1e-15
"""Probabilities of the true class below this count as this, so that no row's loss is infinite."""


def accuracy(target: Indices, prediction: Indices) -> MetricValue:
    """The share of right decisions.

    >>> accuracy(np.array([0, 1, 1, 1]), np.array([0, 1, 1, 0])).value
    0.75
    """
    return mean_metric(hits(target, prediction))


def hits(target: Indices, prediction: Indices) -> Values:
    """1.0 for each right decision and 0.0 for each wrong one, shape `(n_rows,)`."""
    return (prediction == target).astype(np.float64)


def brier(target: Indices, score: Values) -> MetricValue:
    """The mean square of the positive class's probability minus the outcome (Brier 1950).

    `score` is that probability, shape `(n_rows,)`. The example is scikit-learn's.

    >>> round(brier(np.array([0, 1, 1, 0]), np.array([0.1, 0.9, 0.8, 0.3])).value, 4)
    0.0375
    """
    return mean_metric(brier_losses(target, score))


def brier_losses(target: Indices, score: Values) -> Values:
    """The Brier score of each row, shape `(n_rows,)`."""
    losses: Values = (score - target) ** 2
    return losses


def log_loss(true_class_score: Values) -> MetricValue:
    """The mean negative logarithm of the probability of the true class, in nats.

    `true_class_score` has the shape `(n_rows,)`. The example is scikit-learn's, whose result
    is 0.21616...

    >>> round(log_loss(np.array([0.9, 0.9, 0.8, 0.65])).value, 5)
    0.21616
    """
    return mean_metric(log_losses(true_class_score))


def log_losses(true_class_score: Values) -> Values:
    """The log loss of each row, shape `(n_rows,)`, at most `-log(LOWEST_PROBABILITY)`."""
    losses: Values = -np.log(np.clip(true_class_score, LOWEST_PROBABILITY, 1))
    return losses


def true_class_score(target: Indices, scores: Values) -> Values:
    """The score of the class that was true, shape `(n_rows,)`.

    `scores` has the shape `(n_rows, n_classes)`.
    """
    chosen: Values = scores[np.arange(len(target)), target.astype(np.int64)]
    return chosen


def f1(target: Indices, prediction: Indices, *, zero_division: float = 0.0) -> MetricValue:
    """The F1 score of the positive class: 2 TP / (2 TP + FP + FN).

    `zero_division` is the value where no row is positive, neither by target nor by prediction.
    Below: TP 2, FP 1, FN 1.

    >>> round(f1(np.array([1, 1, 1, 0]), np.array([1, 1, 0, 1])).value, 4)
    0.6667
    """
    hit, named = f1_counts(target, prediction, np.array([1]))
    if not named.any():
        return MetricValue(zero_division, np.zeros(len(target)))
    return _mean_f1(hit, named)


def macro_f1(target: Indices, prediction: Indices) -> MetricValue:
    """The mean of the F1 scores of all classes that some row has as target or prediction.

    Below: 0.8 for class 0 (TP 2, FN 1), 2/3 for class 1 (TP 1, FP 1), 1 for class 2.

    >>> round(macro_f1(np.array([0, 0, 0, 1, 2]), np.array([0, 0, 1, 1, 2])).value, 6)
    0.822222
    """
    if not len(target):
        return undefined(0)
    return _mean_f1(*f1_counts(target, prediction, present_classes(target, prediction)))


def present_classes(target: Indices, prediction: Indices) -> Indices:
    """The class indices that some row has as target or prediction, rising."""
    return np.unique(np.concatenate([target, prediction]))


def f1_counts(target: Indices, prediction: Indices, classes: Indices) -> tuple[Values, Values]:
    """What each row adds to `TP` and to `2 TP + FP + FN`, each `(n_rows, n_classes)`.

    F1 of a class is twice the sum of the first over the sum of the second.
    """
    is_target, is_named = target[:, None] == classes, prediction[:, None] == classes
    return (is_target & is_named).astype(np.float64), is_target + is_named.astype(np.float64)


def _mean_f1(hit: Values, named: Values) -> MetricValue:
    each = 2 * hit.sum(axis=0) / named.sum(axis=0)
    influence = (2 * hit - each * named) / named.mean(axis=0)
    return MetricValue(float(each.mean()), influence.mean(axis=1))
