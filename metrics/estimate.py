"""A metric on a sample of independent rows: its value, standard error and 95 % interval."""

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
