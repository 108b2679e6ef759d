"""A metric's value with the influence of each row, from which every standard error follows.

Up to a rest that vanishes with the number of rows, a metric is a mean of one number per row,
its influence function (Hampel 1974, "The influence curve and its role in robust estimation",
JASA 69). So the variance between rows, or between clusters of rows, of that number is the
variance of the metric.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class MetricValue:
    """The value of a metric, and by how much each row moves it.

    `influence` has the shape `(n_rows,)`, is in the metric's unit and adds up to zero: the
    value without row `i` is about `value - influence[i] / n_rows`.
    """

    value: float
    influence: Values


def mean_metric(per_row: Values) -> MetricValue:
    """The mean of one number per row, shape `(n_rows,)`.

    >>> mean_metric(np.array([1.0, 2.0, 6.0]))
    MetricValue(value=3.0, influence=array([-2., -1.,  3.]))
    """
    mean = float(per_row.mean())
    return MetricValue(mean, per_row - mean)


def undefined(n_rows: int) -> MetricValue:
    """A metric that these rows do not define, such as an AUC of one class: NaN."""
    return MetricValue(float("nan"), np.zeros(n_rows))
