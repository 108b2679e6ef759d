"""A metric on a sample of rows: its value, standard error and 95 % interval."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from metrics.interval import Z95, wilson
from metrics.ranking import components_by_class
from metrics.value import Values


@dataclass(frozen=True)
class MetricEstimate:
    """A metric with its standard error and the ends of its 95 % interval."""

    value: float
    standard_error: float
    low: float
    high: float


def estimate_roc_auc(target: NDArray[Any], score: Values) -> MetricEstimate:
    """The area under the ROC curve with DeLong's standard error (see `metrics.ranking`).

    The interval is made on the log-odds scale, so that it stays within 0..1. All NaN where one
    class is absent.

    >>> estimate_roc_auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])).value
    0.75
    """
    is_positive = target == 1
    # Values are sorted twice as fast as their order is found, which `roc_auc` needs.
    positive, negative = np.sort(score[is_positive]), np.sort(score[~is_positive])
    if not len(positive) or not len(negative):
        return MetricEstimate(np.nan, np.nan, np.nan, np.nan)
    above, below = components_by_class(positive, negative)
    value = float(above.mean())
    error = float(np.sqrt(_variance(above) / len(positive) + _variance(below) / len(negative)))
    if not 0 < value < 1 or not error:
        return MetricEstimate(value, error, value, value)
    half = Z95 * error / (value * (1 - value))
    odds = float(special.logit(value))
    low, high = special.expit([odds - half, odds + half])
    return MetricEstimate(value, error, float(low), float(high))


def estimate_accuracy(correct: NDArray[np.bool_]) -> MetricEstimate:
    """The share of right decisions with Wilson's interval; `correct` has shape `(n_rows,)`.

    >>> found = estimate_accuracy(np.arange(263) < 81)
    >>> round(found.low, 4), round(found.high, 4)  # Newcombe (1998), table I
    (0.2553, 0.3662)
    """
    low, high = wilson(int(correct.sum()), len(correct))
    return MetricEstimate(float(correct.mean()), (high - low) / (2 * Z95), low, high)


def estimate_mean(losses: Values) -> MetricEstimate:
    """The mean of one number per row (Brier score, log loss, absolute error), `(n_rows,)`.

    The standard error of one row is 0.

    >>> round(estimate_mean(np.array([1.0, 2.0, 3.0])).standard_error ** 2, 9)  # 1 / 3
    0.333333333
    """
    value, error = float(losses.mean()), float(np.sqrt(_variance(losses) / len(losses)))
    return MetricEstimate(value, error, value - Z95 * error, value + Z95 * error)


def estimate_rmse(residuals: Values) -> MetricEstimate:
    """The root mean square of residuals, `(n_rows,)`; its standard error by the delta method.

    >>> estimate_rmse(np.array([3.0, -4.0, 0.0, 0.0])).value
    2.5
    """
    squares = estimate_mean(residuals**2)
    value = float(np.sqrt(squares.value))
    error = squares.standard_error / (2 * value) if value else 0.0
    return MetricEstimate(value, error, value - Z95 * error, value + Z95 * error)


def clustered_estimate(
    found: MetricEstimate, influence: Values, clusters: NDArray[Any]
) -> MetricEstimate:
    """The estimate for rows in clusters, such as users: its error is at least the given one.

    `influence` has the metric's influence per row, `clusters` any number per cluster, both of
    shape `(n_rows,)`. The variance is that of the clusters' sums (Deng, Knoblich, Lu 2018), and
    the interval grows like the error.

    >>> losses = np.repeat([1.0, 2.0, 3.0], 4)  # three clusters of four alike rows
    >>> found = clustered_estimate(estimate_mean(losses), losses - 2, np.repeat([7, 8, 9], 4))
    >>> round(found.standard_error ** 2, 9)  # as of three rows: 1 / 3
    0.333333333
    """
    _, index = np.unique(clusters, return_inverse=True)
    sums = np.bincount(index, weights=influence)
    n = len(sums)
    if n < 2 or not found.standard_error:  # noqa: PLR2004 - one cluster has no spread
        return found
    error = float(np.sqrt((sums**2).sum() * n / (n - 1))) / len(influence)
    growth = max(error / found.standard_error, 1.0)
    return MetricEstimate(
        found.value,
        found.standard_error * growth,
        found.value - growth * (found.value - found.low),
        found.value + growth * (found.high - found.value),
    )


def p_value_worse(
    now: MetricEstimate, baseline: float, baseline_error: float, *, greater_is_better: bool
) -> float:
    """One-sided p-value of Wald's test that the metric is not worse than its baseline.

    `baseline_error` is the baseline's standard error. Without any error the p-value is 0 or 1.

    >>> sample = MetricEstimate(0.76, 0.03, 0.70, 0.82)
    >>> round(p_value_worse(sample, 0.80, 0.04, greater_is_better=True), 4)  # z = -0.8
    0.2119
    """
    error = float(np.hypot(now.standard_error, baseline_error))
    fall = baseline - now.value if greater_is_better else now.value - baseline
    if not error:
        return float(fall <= 0)
    return float(special.ndtr(-fall / error))


def _variance(values: Values) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0
