"""Metrics of a regression.

`target` and `prediction` have the shape `(n_rows,)` or `(n_rows, n_outputs)`. A metric of
several outputs is the mean over them: each counts alike, in its own unit.
"""

import numpy as np

from metrics.value import MetricValue, Values, mean_metric

MIN_SPREAD = 1e-300
"""The least variance of a target that R2 divides by, so that a constant one gives no NaN."""


def rmse(target: Values, prediction: Values) -> MetricValue:
    """The root of the mean square error; its influence is by the delta method.

    The example is scikit-learn's: a mean square error of 0.375.

    >>> round(rmse(np.array([3.0, -0.5, 2.0, 7.0]), np.array([2.5, 0.0, 2.0, 8.0])).value, 6)
    0.612372
    """
    squares = squared_errors(target, prediction)
    means = squares.mean(axis=0)
    roots = np.sqrt(means)
    # The root has no slope at zero, where every error is zero and no row moves it.
    influence = np.divide(squares - means, 2 * roots, out=np.zeros_like(squares), where=roots > 0)
    return MetricValue(float(roots.mean()), influence.mean(axis=1))


def squared_errors(target: Values, prediction: Values) -> Values:
    """The squared error of each row and output, shape `(n_rows, n_outputs)`."""
    squares: Values = (columns(prediction) - columns(target)) ** 2
    return squares


def mae(target: Values, prediction: Values) -> MetricValue:
    """The mean absolute error. The example is scikit-learn's.

    >>> mae(np.array([3.0, -0.5, 2.0, 7.0]), np.array([2.5, 0.0, 2.0, 8.0])).value
    0.5
    """
    return mean_metric(absolute_errors(target, prediction))


def absolute_errors(target: Values, prediction: Values) -> Values:
    """The absolute error of each row, its mean over outputs, shape `(n_rows,)`."""
    errors: Values = np.abs(columns(prediction) - columns(target)).mean(axis=1)
    return errors


def r2(target: Values, prediction: Values) -> MetricValue:
    """The coefficient of determination: 1 minus the residual over the total sum of squares.

    The example is scikit-learn's.

    >>> round(r2(np.array([3.0, -0.5, 2.0, 7.0]), np.array([2.5, 0.0, 2.0, 8.0])).value, 3)
    0.949
    """
    residual, centred = squared_errors(target, prediction), centred_squares(target)
    spread = np.maximum(centred.mean(axis=0), MIN_SPREAD)
    unexplained = residual.mean(axis=0) / spread
    influence = (unexplained * centred - residual) / spread
    return MetricValue(float(np.mean(1 - unexplained)), influence.mean(axis=1))


def centred_squares(target: Values) -> Values:
    """The square of each target minus the mean of its output, shape `(n_rows, n_outputs)`."""
    values = columns(target)
    squares: Values = (values - values.mean(axis=0)) ** 2
    return squares


def columns(values: Values) -> Values:
    """Values of one or several outputs as `(n_rows, n_outputs)`."""
    return values.reshape(len(values), -1)
