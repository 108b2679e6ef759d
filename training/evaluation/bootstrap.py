"""How certain an improvement is: the paired bootstrap, corrected for the number of attempts.

A resample draws rows with replacement, the same rows for both versions (Efron and Tibshirani
1993). The standard error of the resampled differences, Student's t and their skewness give the
bounds. Percentiles would need several hundred thousand resamples at the confidence that a
twentieth attempt has to reach, so `scipy.stats.bootstrap` cannot replace this.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from contracts.manifest import Task
from metrics.alpha_spending import ALPHA, detectable_difference
from metrics.bootstrap_metrics import Resampled, WeightedMetric, Weights
from training.evaluation.blocks import RowDependence, row_advantages, row_dependence
from training.evaluation.predictions import Predictions
from training.metrics import METRICS, Target

RESAMPLES = 2000
"""The standard error moves by 1 / sqrt(2 * 2000) = 1.6 % from seed to seed, the skewness by
sqrt(6 / 2000) = 0.055."""
SEED = 20260401
CHUNK = 50
"""Resamples computed together: 8 MB of weights at 20,000 rows."""

CLASS_METRICS = frozenset({"roc_auc", "f1", "macro_f1"})
"""Metrics whose uncertainty depends on the size of the smallest class."""
DECISION_METRICS = frozenset({"accuracy", "f1", "macro_f1"})
"""Metrics that read the decided class of a row, not its scores."""


@dataclass(frozen=True)
class Improvement:
    """How much better the challenger's metric is, with one-sided bounds, in the metric's unit.

    Above zero the challenger is better, whichever way the metric points.
    """

    difference: float
    low: float
    high: float
    standard_error: float
    dof: float

    def without_result(self, n_rows: int) -> "Improvement":
        """This uncertainty about no difference, whoever is better on these rows.

        The squared differences of rows are kept, so `standard_error` is that of rows whose mean
        is zero: it does not depend on the sign of the difference.
        """
        error = float(np.hypot(self.standard_error, self.difference / np.sqrt(max(n_rows, 1))))
        return Improvement(0.0, 0.0, 0.0, error, self.dof)


def bootstrap_weights(n_rows: int, seed: int = SEED, block: int = 1) -> Iterator[Weights]:
    """How often each resample draws each row, in chunks of shape `(CHUNK, n_rows)`.

    The same number of rows always gives the same resamples. Rows that resemble their neighbours
    are drawn in blocks of `block` rows, which go on at the first row after the last (the
    circular block bootstrap of Politis and Romano 1992); about as many rows are drawn as there
    are.
    """
    rng = np.random.default_rng(seed)
    for _ in range(RESAMPLES // CHUNK):
        if block > 1:
            yield _block_weights(n_rows, block, rng)
            continue
        rows = rng.integers(0, n_rows, size=(CHUNK, n_rows))
        rows += np.arange(CHUNK)[:, None] * n_rows
        counts = np.bincount(rows.ravel(), minlength=CHUNK * n_rows)
        yield counts.reshape(CHUNK, n_rows).astype(np.float64)


def _block_weights(n_rows: int, block: int, rng: np.random.Generator) -> Weights:
    starts = rng.integers(0, n_rows, size=(CHUNK, max(round(n_rows / block), 1)))
    weights = np.zeros((CHUNK, n_rows + block))
    for row, begin in zip(weights, starts, strict=True):
        # A block adds one from its first row to its last: a sum of steps up and down.
        np.add.at(row, begin, 1)
        np.add.at(row, begin + block, -1)
    covered = weights[:, :n_rows].cumsum(axis=1)
    beyond = covered[:, -1:] + weights[:, n_rows:].cumsum(axis=1)
    covered[:, :block] += beyond
    return covered


def improvement(
    difference: float, resampled: Resampled, dof: float, alpha: float, alpha_high: float = ALPHA
) -> Improvement:
    """A difference with its lower bound at `1 - alpha` and its upper bound at `1 - alpha_high`.

    `resampled` are the differences of the resamples, shape `(n_resamples,)`, and `dof` the
    degrees of freedom of Student's t.
    """
    # A resample without one of the classes has no AUC and is left out.
    usable = resampled[np.isfinite(resampled)]
    # A resample varies like n - 1 rows, not n.
    error = float(usable.std(ddof=1)) * float(np.sqrt((dof + 1) / dof))
    return Improvement(
        difference=difference,
        low=difference - error * _skewed(float(stats.t.isf(alpha, dof)), usable),
        high=difference + error * float(stats.t.isf(alpha_high, dof)),
        standard_error=error,
        dof=dof,
    )


def _skewed(quantile: float, resampled: Resampled) -> float:
    """Student's quantile, larger where the resamples lean to the bad side.

    A challenger that is slightly better on most rows and much worse on a few looks better than
    it is in every evaluation with few of those rows, and its error looks smaller. Hall's (1992)
    transformation of t corrects this to the second order, JRSS B 54: with k the skewness of the
    resamples, 3 / k * ((1 + k * (t - k / 6)) ** (1/3) - 1). It is applied against the challenger
    only; where the resamples lean to the good side, t itself is on the safe side.
    """
    if resampled.max() == resampled.min():
        return quantile
    skewness = float(stats.skew(resampled))
    if skewness > -1e-6:  # noqa: PLR2004 - the formula divides by it, and tends to t
        return quantile
    return max(
        quantile, float(3 / skewness * (np.cbrt(1 + skewness * (quantile - skewness / 6)) - 1))
    )


def detectable_improvement(found: Improvement, alpha: float) -> float:
    """The true improvement whose lower bound is above zero in 80 of 100 such evaluations.

    >>> many_rows = Improvement(0.0, 0.0, 0.0, standard_error=1.0, dof=1e9)
    >>> round(detectable_improvement(many_rows, 0.0304), 2)
    2.72
    """
    return detectable_difference(found.standard_error, found.dof, alpha)


def is_better(found: Improvement, margin: float) -> bool:
    """Whether an improvement counts: certainly above zero, and not certainly below the margin.

    Everything else is a tie. The second half is the equivalence test of Schuirmann (1987): on
    many rows an improvement may be certain and still too small to matter.

    >>> found = Improvement(0.002, low=0.001, high=0.003, standard_error=0.0005, dof=1000)
    >>> is_better(found, margin=0.0), is_better(found, margin=0.005)
    (True, False)
    """
    return found.low > 0 and found.high >= margin


def paired_improvement(
    task: Task,
    metric: str,
    target: Target,
    challenger: Predictions,
    production: Predictions,
    alpha: float,
    *,
    in_time_order: bool = False,
) -> Improvement:
    """The challenger's improvement over production on the same rows, with its bounds.

    `target` is as in `training.metrics`. If rows are `in_time_order` and neighbours resemble
    each other, they are resampled in blocks, and count for as many rows as they are independent
    ones.
    """
    definition = METRICS[task][metric]
    dependence = RowDependence()
    if in_time_order:
        of_decisions = metric in DECISION_METRICS or metric == "mae"
        dependence = row_dependence(
            row_advantages(task, target, challenger, production, of_decisions=of_decisions)
        )
    ours, theirs = (
        weighted_metric(task, metric, target, predictions)
        for predictions in (challenger, production)
    )
    resampled = np.concatenate(
        [
            ours(weights) - theirs(weights)
            for weights in bootstrap_weights(len(target), block=dependence.block)
        ]
    )
    difference = definition.value(
        target, challenger.scores, challenger.threshold
    ) - definition.value(target, production.scores, production.threshold)
    dof = degrees_of_freedom(task, metric, target, challenger, production)
    dof = max((dof + 1) / dependence.design_effect - 1, 1.0)
    resampled = difference + dependence.inflation * (resampled - difference)
    return improvement(definition.sign * difference, definition.sign * resampled, dof, alpha)


def weighted_metric(
    task: Task, metric: str, target: Target, predictions: Predictions
) -> WeightedMetric:
    """A metric of one version's predictions as a function of the weights of the rows."""
    definition = METRICS[task][metric]
    return definition.of_weighted_rows(target, predictions.scores, predictions.threshold)


def degrees_of_freedom(
    task: Task,
    metric: str,
    target: Target,
    challenger: Predictions,
    production: Predictions,
) -> float:
    """The number of rows on which the two versions differ, less one.

    Rows that both predict alike say nothing about the difference. With few that differ,
    Student's t keeps a lucky handful from passing, much as the sign test would: four rows of
    four in favour happen by chance once in 16 times. Metrics that weigh classes against each
    other have no more information than the smallest class has rows.
    """
    n_informative = int(_differing(task, metric, target, challenger, production).sum())
    if metric in CLASS_METRICS:
        smallest_class = int(np.unique(target, return_counts=True)[1].min())
        n_informative = min(n_informative, smallest_class)
    return float(max(n_informative - 1, 1))


def _differing(
    task: Task,
    metric: str,
    target: Target,
    challenger: Predictions,
    production: Predictions,
) -> NDArray[np.bool_]:
    """Which rows move the difference of the metric, shape `(n_rows,)`."""
    if metric not in DECISION_METRICS:
        return np.any(challenger.scores != production.scores, axis=1)
    ours, theirs = challenger.class_indices(task), production.class_indices(task)
    if metric == "accuracy":
        return (ours == target) != (theirs == target)
    return ours != theirs
