"""The difference between two variants, however often one looks; pure functions of arrays.

Every metric here is, up to a small rest, a mean of one number per row (its influence function;
Hampel 1974), so the difference of two is a sum over rows. Rows of one unit resemble each
other, so the sum is taken by unit first: units were randomised, and the variance is that
between them (Deng, Knoblich, Lu 2018, KDD, "Applying the delta method in metric
analytics").
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from metrics.classification import accuracy, brier, f1, log_loss
from metrics.ranking import roc_auc
from metrics.regression import mae, rmse
from metrics.value import MetricValue, Values, undefined

SEQUENCE_ALPHA = 0.05
MIN_UNITS = 100
"""Labelled units of each variant below which nothing is decided: the sequence is asymptotic."""
MIN_ROWS_PER_CLASS = 10
MIN_EVENTS = 20
"""Events in each variant below which nothing is decided: with a handful of errors, or of rows that
carry a heavy tail, the difference is not normal and its variance is not known."""


@dataclass(frozen=True)
class TrialRows:
    """Labelled rows of an experiment; all arrays have the shape `(n_rows,)`.

    `targets` and `predictions` are class indices, or values; `true_class_scores` are the scores
    of the class that was true. `units` identify who the predictions were for, `treated` rows are
    the challenger's, and `strata` number the weights of the split.
    """

    targets: Values
    predictions: Values
    scores: Values
    true_class_scores: Values
    units: NDArray[np.uint64]
    treated: NDArray[np.bool_]
    strata: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.targets)

    def where(self, mask: NDArray[np.bool_]) -> "TrialRows":
        """The rows for which the mask is True."""
        return TrialRows(**{name: values[mask] for name, values in vars(self).items()})


@dataclass(frozen=True)
class ClusteredEstimate:
    """A metric, or a difference of two, with its standard error over `units` units.

    `events` is the number of rare events that a difference rests on in the variant with fewer of
    them: for an error rate the errors to be expected there.
    """

    value: float
    standard_error: float
    units: int
    rows: int
    events: float = np.inf


class TrialMetric(Protocol):
    """A metric of rows with the influence of each."""

    def __call__(self, rows: TrialRows, /) -> MetricValue:
        """The metric; its value is NaN where the rows do not define it."""


@dataclass(frozen=True)
class ExperimentMetric:
    """A metric by which variants are compared."""

    of: TrialMetric
    greater_is_better: bool


def _roc_auc(rows: TrialRows) -> MetricValue:
    positive = int((rows.targets == 1).sum())
    if min(positive, len(rows) - positive) < MIN_ROWS_PER_CLASS:
        return undefined(len(rows))
    return roc_auc(rows.targets, rows.scores)


def _accuracy(rows: TrialRows) -> MetricValue:
    return accuracy(rows.targets, rows.predictions)


def _f1(rows: TrialRows) -> MetricValue:
    return f1(rows.targets, rows.predictions, zero_division=np.nan)


def _brier(rows: TrialRows) -> MetricValue:
    return brier(rows.targets, rows.scores)


def _log_loss(rows: TrialRows) -> MetricValue:
    return log_loss(rows.true_class_scores)


def _rmse(rows: TrialRows) -> MetricValue:
    return rmse(rows.targets, rows.predictions)


def _mae(rows: TrialRows) -> MetricValue:
    return mae(rows.targets, rows.predictions)


EXPERIMENT_METRICS: Mapping[str, ExperimentMetric] = {
    "roc_auc": ExperimentMetric(_roc_auc, greater_is_better=True),
    "accuracy": ExperimentMetric(_accuracy, greater_is_better=True),
    "f1": ExperimentMetric(_f1, greater_is_better=True),
    "brier": ExperimentMetric(_brier, greater_is_better=False),
    "log_loss": ExperimentMetric(_log_loss, greater_is_better=False),
    "rmse": ExperimentMetric(_rmse, greater_is_better=False),
    "mae": ExperimentMetric(_mae, greater_is_better=False),
}
METRICS_OF_TASK: Mapping[str, tuple[str, ...]] = {
    "binary": ("roc_auc", "accuracy", "f1", "brier", "log_loss"),
    "multiclass": ("accuracy", "log_loss"),
    "regression": ("rmse", "mae"),
}


def estimate_metric(rows: TrialRows, metric: str) -> ClusteredEstimate:
    """A metric of rows with its standard error."""
    found = EXPERIMENT_METRICS[metric].of(rows) if len(rows) else undefined(0)
    error, units = _clustered_error(found.influence / max(len(rows), 1), rows.units)
    return ClusteredEstimate(found.value, error, units, len(rows))


def estimate_difference(rows: TrialRows, metric: str) -> ClusteredEstimate | None:
    """Challenger minus production, taken within each stratum; None where it is not defined.

    Within one weight both variants see the same period, so a rush of hard cases moves both;
    between weights it would look like an effect. Strata are weighted by their rows. Those in
    which a variant has too few rows of a class for the metric are left out.

    The standard error is the larger of two: each variant by its own variance, and both by the
    variance that they have together, which is that under no difference. A small variant without
    an error yet would otherwise have no variance at all.
    """
    metric_of = EXPERIMENT_METRICS[metric].of
    kept, parts = np.zeros(len(rows), dtype=bool), []
    for stratum in np.unique(rows.strata):
        mine = rows.strata == stratum
        arms = [mine & rows.treated, mine & ~rows.treated]
        if not all(arm.any() for arm in arms):
            continue
        found = [metric_of(rows.where(arm)) for arm in arms]
        if not all(np.isfinite(of_arm.value) for of_arm in found):
            continue
        kept |= mine
        parts.append((int(mine.sum()), arms, found))
    if not parts:
        return None
    total = sum(n for n, _, _ in parts)
    value, terms = 0.0, np.zeros(len(rows))
    for n, arms, found in parts:
        for sign, arm, of_arm in zip((1, -1), arms, found, strict=True):
            value += sign * n / total * of_arm.value
            terms[arm] = sign * n / total * of_arm.influence / len(of_arm.influence)
    error, units = _clustered_error(terms[kept], rows.units[kept])
    pooled, events = _pooled_error(terms[kept], rows.units[kept], rows.treated[kept])
    return ClusteredEstimate(value, max(error, pooled), units, total, events)


def _pooled_error(
    terms: Values, units: NDArray[np.uint64], treated: NDArray[np.bool_]
) -> tuple[float, float]:
    """The standard error of a difference if both variants have one variance, and its events.

    The events of a variant are its units over the kurtosis of a unit's part: of a share p these
    are `n p`, of values without tails a third of the units, of a tail that one row carries one.
    """
    arms = [_unit_sums(terms[arm], units[arm]) for arm in (treated, ~treated)]
    scaled = np.concatenate([sums * len(sums) for sums in arms])
    variance = float((scaled**2).sum() / max(len(scaled) - 2, 1))
    if not variance:
        return 0.0, 0.0
    sizes = [len(sums) for sums in arms]
    kurtosis = float((scaled**4).mean()) / variance**2
    return float(np.sqrt(variance * sum(1 / n for n in sizes))), min(sizes) / max(kurtosis, 1.0)


def _clustered_error(terms: Values, units: NDArray[np.uint64]) -> tuple[float, int]:
    """The standard error of a sum over rows whose units are independent, and their number."""
    if not len(terms):
        return np.nan, 0
    sums = _unit_sums(terms, units)
    n = len(sums)
    return float(np.sqrt((sums**2).sum() * n / max(n - 1, 1))), n


def _unit_sums(terms: Values, units: NDArray[np.uint64]) -> Values:
    """The sum of the rows of each unit, `(n_units,)`."""
    _, unit_index = np.unique(units, return_inverse=True)
    sums: Values = np.bincount(unit_index, weights=terms).astype(np.float64)
    return sums


def _mixing(units: int, planned: int, alpha: float) -> float:
    """Units times rho^2, with the rho that makes the sequence narrowest at `planned` units."""
    best = -2 * np.log(alpha) + np.log(-2 * np.log(alpha)) + 1
    return float(units * best / planned)


def confidence_sequence(
    found: ClusteredEstimate, planned: int, alpha: float = SEQUENCE_ALPHA
) -> tuple[float, float]:
    """The ends of a difference's confidence sequence: they hold at every look at once.

    The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas
    (2024, Annals of Statistics 52, "Time-uniform central limit theory and asymptotic
    confidence sequences", theorem 2.2), with t units:

        standard_error * sqrt((1 + 1 / (t rho^2)) * log((t rho^2 + 1) / alpha^2))

    >>> estimate = ClusteredEstimate(0.0, 1.0, 10_000, 10_000)
    >>> low, high = confidence_sequence(estimate, planned=10_000)
    >>> round(high, 2)  # 1.96 for a single look
    3.04
    """
    mixing = _mixing(found.units, planned, alpha)
    if not mixing:
        return -np.inf, np.inf
    reach = found.standard_error * np.sqrt((1 + 1 / mixing) * np.log((mixing + 1) / alpha**2))
    return float(found.value - reach), float(found.value + reach)


def always_valid_p_value(found: ClusteredEstimate, planned: int) -> float:
    """The smallest alpha whose confidence sequence excludes zero; it holds at every look.

    Rho is fixed at the best one for 5 %, so that the p-value is below 0.05 exactly when the
    sequence excludes zero (Johari, Koomen, Pekelis, Walsh 2022, "Always valid inference").
    """
    mixing = _mixing(found.units, planned, SEQUENCE_ALPHA)
    if not mixing:
        return 1.0
    if not found.standard_error:
        return float(found.value == 0)
    surprise = (found.value / found.standard_error) ** 2 * mixing / (mixing + 1) / 2
    return float(min(1.0, np.sqrt(mixing + 1) * np.exp(-surprise)))
