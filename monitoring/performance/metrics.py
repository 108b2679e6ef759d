"""Metrics against the truth, each with its standard error; pure functions of arrays.

`truths` are places in the list of classes, or values; shape `(n_rows,)`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Numbers = NDArray[np.float64]
Z95 = 1.959963984540054


@dataclass(frozen=True)
class Measured:
    """A metric, its standard error, and its 95 % interval."""

    value: float
    error: float
    low: float
    high: float


def roc_auc(truths: Numbers, scores: Numbers) -> Measured:
    """The area under the ROC curve with DeLong's error (1988), by two sorts.

    The interval is made on the log-odds scale, so that it stays within 0..1. NaN where one
    class is absent.

    >>> roc_auc(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.4, 0.35, 0.8])).value
    0.75
    """
    positive, negative = np.sort(scores[truths == 1]), np.sort(scores[truths == 0])
    m, n = len(positive), len(negative)
    if not m or not n:
        return Measured(np.nan, np.nan, np.nan, np.nan)
    # The share of negatives below each positive, and of positives above each negative.
    above = _below(negative, positive)
    below = 1 - _below(positive, negative)
    value = float(above.mean())
    error = float(np.sqrt(_variance(above) / m + _variance(below) / n))
    if not 0 < value < 1 or not error:
        return Measured(value, error, value, value)
    half = Z95 * error / (value * (1 - value))
    odds = float(special.logit(value))
    low, high = special.expit([odds - half, odds + half])
    return Measured(value, error, float(low), float(high))


def _below(among: Numbers, values: Numbers) -> Numbers:
    """The share of `among` below each value, equals by half; both rise."""
    left = np.searchsorted(among, values, side="left")
    right = np.searchsorted(among, values, side="right")
    return (left + right) / (2 * len(among))


def accuracy(correct: NDArray[np.bool_]) -> Measured:
    """The share of right answers with Wilson's interval (1927)."""
    low, high = wilson(int(correct.sum()), len(correct))
    return Measured(float(correct.mean()), (high - low) / (2 * Z95), low, high)


def wilson(hits: int, n: int, z: float = Z95) -> tuple[float, float]:
    """The interval of a share of `n` (Wilson 1927), at 95 % unless `z` says otherwise.

    >>> [round(end, 3) for end in wilson(25, 500)]
    [0.034, 0.073]
    """
    if not n:
        return 0.0, 1.0
    share = hits / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n * n))
    return max(float(middle - half), 0.0), min(float(middle + half), 1.0)


def mean_loss(losses: Numbers) -> Measured:
    """A mean with its standard error (Brier score, log loss, absolute error)."""
    value, error = float(losses.mean()), float(np.sqrt(_variance(losses) / len(losses)))
    return Measured(value, error, value - Z95 * error, value + Z95 * error)


def rmse(errors: Numbers) -> Measured:
    """The root of the mean square; its error by the delta method."""
    squares = mean_loss(errors**2)
    value = float(np.sqrt(squares.value))
    error = squares.error / (2 * value) if value else 0.0
    return Measured(value, error, value - Z95 * error, value + Z95 * error)


def chance_worse(
    now: Measured, baseline: float, baseline_error: float, *, greater_is_better: bool
) -> float:
    """One-sided p-value that the metric is not worse than at training (Wald)."""
    error = float(np.hypot(now.error, baseline_error))
    fall = baseline - now.value if greater_is_better else now.value - baseline
    if not error:
        return float(fall <= 0)
    return float(special.ndtr(-fall / error))


def _variance(values: Numbers) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0
