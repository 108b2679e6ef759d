"""How sure a difference is: the paired bootstrap, corrected for the number of attempts.

A resample draws rows with replacement, the same rows for both versions (Efron and Tibshirani
1993); its standard error, Student's t and its skewness give the bounds.
Percentiles would need some hundred thousand resamples at the confidence that a twentieth
attempt must reach.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from contracts.decision_rule import DecisionRule
from contracts.manifest import Task
from metrics.classification import brier_losses, hits, log_losses, true_class_score
from metrics.regression import absolute_errors
from metrics.weighted import (
    Resampled,
    WeightedMetric,
    Weights,
    weighted_f1,
    weighted_macro_f1,
    weighted_mean,
    weighted_r2,
    weighted_rmse,
    weighted_roc_auc,
)
from training.evaluation.paired import Sheet
from training.metrics import METRICS, Scores, Truth

ALPHA = 0.05
"""The share of worthless challengers that may be promoted, over all attempts at one exam."""
POWER = 0.8
RESAMPLES = 2000
"""The standard error moves by 1 / sqrt(2 * 2000) = 1.6 % from seed to seed, the skewness by
sqrt(6 / 2000) = 0.055."""
SEED = 20260401
CHUNK = 50
"""Resamples at once: 8 MB of weights at 20,000 rows."""

BY_CLASS = frozenset({"roc_auc", "f1", "macro_f1"})
"""Metrics that are as uncertain as the smallest class is small."""


@dataclass(frozen=True)
class Bounds:
    """A difference with one-sided bounds; above zero where the challenger is better."""

    difference: float
    low: float
    high: float
    error: float
    freedom: float


def alpha_of(attempt: int) -> float:
    """What is left of `ALPHA` for this attempt: alpha * 6 / (pi^2 k^2).

    The terms add up to alpha over any number of attempts (Euler 1735), so by Bonferroni's
    inequality no series of attempts promotes a worthless challenger more often than that,
    however the series ends: alpha-spending, Foster and Stine (2008), JRSS B 70.

    >>> round(alpha_of(1), 4), round(sum(alpha_of(k) for k in range(1, 100_000)), 4)
    (0.0304, 0.05)
    """
    return float(ALPHA * 6 / (np.pi * attempt) ** 2)


def draws(n_rows: int, seed: int = SEED) -> Iterator[Weights]:
    """The resamples, in chunks of shape `(CHUNK, n_rows)`; the same ones for the same exam."""
    rng = np.random.default_rng(seed)
    for _ in range(RESAMPLES // CHUNK):
        rows = rng.integers(0, n_rows, size=(CHUNK, n_rows))
        rows += np.arange(CHUNK)[:, None] * n_rows
        counted = np.bincount(rows.ravel(), minlength=CHUNK * n_rows)
        yield counted.reshape(CHUNK, n_rows).astype(np.float64)


def bounds(
    difference: float, drawn: Resampled, freedom: float, alpha: float, alpha_high: float = ALPHA
) -> Bounds:
    """The difference with its lower bound at `1 - alpha` and its upper at `1 - alpha_high`.

    `drawn` are the resampled differences, `freedom` the degrees of freedom of Student's t.
    """
    # A resample without one of the classes has no AUC; it says nothing and is left out.
    usable = drawn[np.isfinite(drawn)]
    # A resample varies like n - 1 rows, not n.
    error = float(usable.std(ddof=1)) * float(np.sqrt((freedom + 1) / freedom))
    return Bounds(
        difference=difference,
        low=difference - error * _skewed(float(stats.t.isf(alpha, freedom)), usable),
        high=difference + error * float(stats.t.isf(alpha_high, freedom)),
        error=error,
        freedom=freedom,
    )


def _skewed(quantile: float, drawn: Resampled) -> float:
    """Student's quantile, larger where the resamples lean to the bad side.

    A challenger that is a little better on most rows and much worse on a few looks better
    than it is in every exam with few of those rows, and its error looks smaller. Hall's (1992)
    transformation of t undoes this to the second order, JRSS B 54: with k the skewness of the
    resamples, 3 / k * ((1 + k * (t - k / 6)) ** (1/3) - 1). It is used against the challenger
    only; where they lean to the good side, t itself is on the safe side.
    """
    if drawn.max() == drawn.min():
        return quantile
    skewness = float(stats.skew(drawn))
    if skewness > -1e-6:  # noqa: PLR2004 - the formula divides by it, and tends to t
        return quantile
    return max(
        quantile, float(3 / skewness * (np.cbrt(1 + skewness * (quantile - skewness / 6)) - 1))
    )


def detectable(found: Bounds, alpha: float) -> float:
    """The true improvement whose lower bound is above zero in `POWER` of all exams like this."""
    quantiles = stats.t.isf(alpha, found.freedom) + stats.t.ppf(POWER, found.freedom)
    return float(found.error * quantiles)


def is_better(found: Bounds, margin: float) -> bool:
    """Whether an improvement counts: surely above zero, and not surely below the margin.

    Everything else is a tie. The second half is the test of equivalence of Schuirmann (1987):
    in a large exam an improvement may be certain and still too small to matter.
    """
    return found.low > 0 and found.high >= margin


def paired(
    task: Task, metric: str, truth: Truth, ours: Sheet, theirs: Sheet, alpha: float
) -> Bounds:
    """The improvement from their answers to ours on the same rows, with its bounds.

    `truth` as in `training.metrics`; the unit is the metric's, above zero is better.
    """
    plain, greater = METRICS[task][metric]
    sign = 1.0 if greater else -1.0
    mine, other = (resampled(task, metric, truth, sheet) for sheet in (ours, theirs))
    drawn = np.concatenate([mine(weights) - other(weights) for weights in draws(len(truth))])
    value = plain(truth, ours.scores, ours.threshold) - plain(
        truth, theirs.scores, theirs.threshold
    )
    return bounds(sign * value, sign * drawn, freedom_of(task, metric, truth, ours, theirs), alpha)


def freedom_of(task: Task, metric: str, truth: Truth, ours: Sheet, theirs: Sheet) -> float:
    """Degrees of freedom: the rows that speak for one of the two versions, less one.

    Rows that both answer alike say nothing of the difference. With few that speak, Student's
    t keeps a lucky handful from passing, much as the sign test would: four rows of four in
    favour come about once in 16 times by chance. Metrics that weigh classes against each
    other know no more than their smallest class tells.
    """
    speaking = int(_differing(task, metric, truth, ours, theirs).sum())
    if metric in BY_CLASS:
        speaking = min(speaking, int(np.unique(truth, return_counts=True)[1].min()))
    return float(max(speaking - 1, 1))


def _differing(
    task: Task, metric: str, truth: Truth, ours: Sheet, theirs: Sheet
) -> NDArray[np.bool_]:
    if metric not in {"accuracy", "f1", "macro_f1"}:
        return np.any(ours.scores != theirs.scores, axis=1)
    mine, other = (
        DecisionRule(task, sheet.threshold).class_indices(sheet.scores) for sheet in (ours, theirs)
    )
    if metric == "accuracy":
        return (mine == truth) != (other == truth)
    return mine != other


def resampled(task: Task, metric: str, truth: Truth, sheet: Sheet) -> WeightedMetric:
    """The metric of `training.metrics` on weighted rows, for many weightings at once.

    A metric that has no such form is computed resample by resample, slowly.
    """
    scores, threshold = sheet.scores, sheet.threshold
    answers = DecisionRule(task, threshold).class_indices(scores)
    if metric in ROW_LOSSES:
        return weighted_mean(ROW_LOSSES[metric](truth, scores, answers))
    if metric in WEIGHTED:
        return WEIGHTED[metric](truth, scores, answers)
    plain, _ = METRICS[task][metric]
    return lambda weights: np.array(
        [plain(truth[rows], scores[rows], threshold) for rows in map(_drawn, weights)]
    )


ROW_LOSSES: Mapping[str, Callable[[Truth, Scores, NDArray[np.int64]], NDArray[np.float64]]] = {
    "accuracy": lambda truth, _scores, answers: hits(truth, answers),
    "brier": lambda truth, scores, _answers: brier_losses(truth, scores[:, 1]),
    "log_loss": lambda truth, scores, _answers: log_losses(true_class_score(truth, scores)),
    "mae": lambda truth, scores, _answers: absolute_errors(truth, scores),
}
"""Metrics that are a mean over rows: each row's share, shape `(n_rows,)`."""
WEIGHTED: Mapping[str, Callable[[Truth, Scores, NDArray[np.int64]], WeightedMetric]] = {
    "roc_auc": lambda truth, scores, _answers: weighted_roc_auc(truth, scores[:, 1]),
    "f1": lambda truth, _scores, answers: weighted_f1(truth, answers),
    "macro_f1": lambda truth, _scores, answers: weighted_macro_f1(truth, answers),
    "rmse": lambda truth, scores, _answers: weighted_rmse(truth, scores),
    "r2": lambda truth, scores, _answers: weighted_r2(truth, scores),
}
"""The other metrics of weighted rows."""


def _drawn(weights: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(weights)), weights.astype(np.int64))
