"""How many neighbouring rows of an evaluation resemble each other.

The rows of a retraining's evaluation are the newest traffic in the order of time: neighbours may
come from one user, one hour, one machine. Resampled one by one they would pass for more
information than they are.
"""

from dataclasses import dataclass

import numpy as np

from contracts.manifest import Task
from metrics.regression import absolute_errors, squared_errors
from metrics.value import Values
from training.evaluation.predictions import Predictions
from training.metrics import Target

MIN_BLOCKS = 8
"""A block is at most this part of the rows, so that there is something to resample."""
MIN_LAGS = 5


def row_advantages(
    task: Task,
    target: Target,
    challenger: Predictions,
    production: Predictions,
    *,
    of_decisions: bool,
) -> Values:
    """By how much the challenger is better on each row, `(n_rows,)`, in a loss of the task.

    With `of_decisions` a row counts as right or wrong, else by how near its scores are.
    """
    losses = [
        _losses(task, target, version, of_decisions=of_decisions)
        for version in (challenger, production)
    ]
    advantages: Values = losses[1] - losses[0]
    return advantages


def _losses(task: Task, target: Target, predictions: Predictions, *, of_decisions: bool) -> Values:
    if task == "regression":
        values = np.asarray(target, dtype=np.float64)
        squares = squared_errors(values, predictions.scores).mean(axis=1)
        return absolute_errors(values, predictions.scores) if of_decisions else squares
    if of_decisions:
        return (predictions.class_indices(task) != target).astype(np.float64)
    scores = predictions.scores[np.arange(len(target)), np.asarray(target, dtype=np.int64)]
    losses: Values = (1 - scores) ** 2
    return losses


@dataclass(frozen=True)
class RowDependence:
    """How neighbouring rows depend: what a bootstrap of blocks needs to allow for it.

    `block` is the length of a block. `design_effect` rows tell as much as one independent row.
    Blocks cut dependence off at their ends: a standard error from them is too small by the
    factor `inflation`.
    """

    block: int = 1
    design_effect: float = 1.0
    inflation: float = 1.0


def row_dependence(series: Values) -> RowDependence:
    """The dependence of neighbours in a series `(n_rows,)`; that of independent rows if none shows.

    The best length of a block for the circular block bootstrap of a mean: Politis and White
    (2004), "Automatic block-length selection for the dependent bootstrap", Econometric Reviews
    23, with the correction of Patton, Politis and White (2009). With the autocovariances R(k) up
    to twice the last lag that differs from zero, weighted by a flat-top window, it is
    `(2 G^2 / D)^(1/3) n^(1/3)`, G the sum of `|k| R(k)`, D 4/3 of the squared sum of R(k).

    >>> row_dependence(np.random.default_rng(0).normal(size=1_000)).block
    1
    >>> runs = np.repeat(np.random.default_rng(0).normal(size=100), 20)
    >>> 10 < row_dependence(runs).block < 80
    True
    """
    n = len(series)
    centred = series - series.mean() if n else series
    variance = float(centred @ centred) / max(n, 1)
    n_lags = min(int(np.ceil(np.sqrt(n))) + MIN_LAGS, n // 2)
    if not variance or n_lags <= MIN_LAGS:
        return RowDependence()
    covariances = np.array([float(centred[: n - k] @ centred[k:]) / n for k in range(n_lags + 1)])
    last = _last_lag(covariances[1:] / variance, n)
    if not last:
        return RowDependence()
    lags = np.arange(1, min(2 * last, n_lags) + 1)
    # The flat top has little bias; by chance it may be small, or negative, as a triangle is not.
    flat_top = np.clip(2 * (1 - lags / (2 * last)), 0, 1)
    triangle = np.clip(1 - lags / (last + 1), 0, 1)
    sums = [variance + 2 * float(window @ covariances[lags]) for window in (flat_top, triangle)]
    spectrum = max(sums)
    window = flat_top if sums[0] >= sums[1] else triangle
    slope = 2 * float((window * lags) @ covariances[lags])
    if spectrum <= variance:
        return RowDependence()
    best = (2 * max(slope, 0.0) ** 2 / (4 / 3 * spectrum**2)) ** (1 / 3) * n ** (1 / 3)
    block = int(np.clip(np.ceil(best), last, max(n // MIN_BLOCKS, last)))
    in_blocks = variance + 2 * float(np.clip(1 - lags / block, 0, 1) @ covariances[lags])
    inflation = max(spectrum / in_blocks, 1.0) if in_blocks > 0 else 1.0
    return RowDependence(block, spectrum / variance, float(np.sqrt(inflation)))


def _last_lag(correlations: Values, n: int) -> int:
    """The last lag before several in a row that do not differ from zero; 0 if none does."""
    limit = 2 * np.sqrt(np.log10(n) / n)
    in_a_row = max(MIN_LAGS, int(np.ceil(np.sqrt(np.log10(n)))))
    small = np.abs(correlations) < limit
    for first in range(len(small)):
        if small[first : first + in_a_row].all():
            return first
    return len(small)
