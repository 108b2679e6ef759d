"""The area under the ROC curve, by Mann and Whitney's count of pairs.

DeLong, DeLong and Clarke-Pearson (1988), "Comparing the areas under two or more correlated
receiver operating characteristic curves: a nonparametric approach", Biometrics 44, give it a
standard error from the rank of each row in the other class; Sun and Xu (2014), IEEE Signal
Processing Letters 21, compute that by sorting.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.value import MetricValue, Values, undefined


def roc_auc(target: NDArray[Any], score: Values) -> MetricValue:
    """The share of pairs in which the positive row has the higher score; ties count half.

    `target` is 1 for a positive row, shape `(n_rows,)`; `score` has the same shape. NaN where
    one class is absent. The example is scikit-learn's.

    >>> roc_auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])).value
    0.75
    """
    positive = target == 1
    n_rows, n_positive = len(positive), int(positive.sum())
    n_negative = n_rows - n_positive
    if not n_positive or not n_negative:
        return undefined(n_rows)
    components = delong_components(target, score)
    value = float(components[positive].mean())
    size = np.where(positive, n_rows / n_positive, n_rows / n_negative)
    return MetricValue(value, (components - value) * size)


def delong_components(target: NDArray[Any], score: Values) -> Values:
    """The share of the other class that each row is ranked rightly against, `(n_rows,)`.

    For a positive row these are the negatives below it, for a negative row the positives above
    it; ties count half. The mean over the rows of either class is the AUC.

    >>> delong_components(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])).tolist()
    [1.0, 0.5, 0.5, 1.0]
    """
    # Looked up in their order, scores walk through memory instead of jumping about in it.
    order = np.argsort(score, kind="stable")
    is_positive = target[order] == 1
    positive, negative = order[is_positive], order[~is_positive]
    components = np.empty(len(score))
    components[positive], components[negative] = components_by_class(
        score[positive], score[negative]
    )
    return components


def components_by_class(positive: Values, negative: Values) -> tuple[Values, Values]:
    """DeLong's components of the positive and of the negative rows, from their rising scores.

    >>> [part.tolist() for part in components_by_class(np.array([0.35, 0.8]), np.array([0.1, 0.4]))]
    [[0.5, 1.0], [1.0, 0.5]]
    """
    return share_below(negative, positive), 1 - share_below(positive, negative)


def share_below(among: Values, values: Values) -> Values:
    """The share of `among` below each value, equal ones by half; `among` rises, not empty.

    >>> share_below(np.array([1.0, 2.0, 2.0, 3.0]), np.array([0.0, 2.0, 9.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    left = np.searchsorted(among, values, side="left")
    right = np.searchsorted(among, values, side="right")
    shares: Values = (left + right) / (2 * len(among))
    return shares
