"""The difference between two variants, however often one looks; pure functions of arrays.

Every metric here is, up to a small rest, a mean of one number a row (its influence function;
Hampel 1974), so the difference of two is a sum over rows. Rows of one unit resemble each
other, so the sum is taken by unit first: the units are what was randomised, and the variance
is that between them (Deng, Knoblich, Lu 2018, KDD, "Applying the delta method in metric
analytics").
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrics.classification import accuracy, brier, f1, log_loss
from metrics.ranking import roc_auc
from metrics.regression import mae, rmse
from metrics.value import MetricValue, Values, undefined

ALPHA = 0.05
FEWEST_UNITS = 100
"""Labelled units of each variant below which nothing is decided: the sequence is asymptotic."""
FEWEST_OF_A_CLASS = 10


@dataclass(frozen=True)
class Answered:
    """Labelled rows of an experiment; all arrays have the shape `(n_rows,)`.

    `truths` and `answers` are places among the classes, or values; `certain` is the score of
    the class that was true. `units` name who was asked for, `treated` are the challenger's,
    `strata` number the weights that were in force.
    """

    truths: Values
    answers: Values
    scores: Values
    certain: Values
    units: NDArray[np.uint64]
    treated: NDArray[np.bool_]
    strata: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.truths)

    def where(self, rows: NDArray[np.bool_]) -> "Answered":
        """Some of the rows."""
        return Answered(**{name: values[rows] for name, values in vars(self).items()})


@dataclass(frozen=True)
class Difference:
    """Challenger minus production, with its standard error over `units` units."""

    value: float
    error: float
    units: int
    rows: int


def _roc_auc(rows: Answered) -> MetricValue:
    positive = int((rows.truths == 1).sum())
    if min(positive, len(rows) - positive) < FEWEST_OF_A_CLASS:
        return undefined(len(rows))
    return roc_auc(rows.truths, rows.scores)


METRICS: Mapping[str, tuple[Callable[[Answered], MetricValue], bool]] = {
    "roc_auc": (_roc_auc, True),
    "accuracy": (lambda rows: accuracy(rows.truths, rows.answers), True),
    "f1": (lambda rows: f1(rows.truths, rows.answers, zero_division=np.nan), True),
    "brier": (lambda rows: brier(rows.truths, rows.scores), False),
    "log_loss": (lambda rows: log_loss(rows.certain), False),
    "rmse": (lambda rows: rmse(rows.truths, rows.answers), False),
    "mae": (lambda rows: mae(rows.truths, rows.answers), False),
}
"""By name: the metric with its influence, and whether greater is better."""
OF_TASK: Mapping[str, tuple[str, ...]] = {
    "binary": ("roc_auc", "accuracy", "f1", "brier", "log_loss"),
    "multiclass": ("accuracy", "log_loss"),
    "regression": ("rmse", "mae"),
}


def level(rows: Answered, metric: str) -> Difference:
    """The metric itself, with its standard error."""
    found = METRICS[metric][0](rows) if len(rows) else undefined(0)
    error, units = _clustered(found.influence / max(len(rows), 1), rows.units)
    return Difference(found.value, error, units, len(rows))


def difference(rows: Answered, metric: str) -> Difference | None:
    """Challenger minus production, taken within each stratum; None where it cannot be had.

    Within one weight both variants live through the same times, so a rush of hard cases
    moves both; between weights it would look like an effect. Strata count by their rows.
    Those in which a variant has too few rows of a class for the metric are left out.
    """
    function = METRICS[metric][0]
    kept, parts = np.zeros(len(rows), dtype=bool), []
    for stratum in np.unique(rows.strata):
        mine = rows.strata == stratum
        arms = [mine & rows.treated, mine & ~rows.treated]
        if not all(arm.any() for arm in arms):
            continue
        found = [function(rows.where(arm)) for arm in arms]
        if not all(np.isfinite(of_arm.value) for of_arm in found):
            continue
        kept |= mine
        parts.append((int(mine.sum()), arms, found))
    if not parts:
        return None
    total = sum(n for n, _, _ in parts)
    value, moved = 0.0, np.zeros(len(rows))
    for n, arms, found in parts:
        for sign, arm, of_arm in zip((1, -1), arms, found, strict=True):
            value += sign * n / total * of_arm.value
            moved[arm] = sign * n / total * of_arm.influence / len(of_arm.influence)
    error, units = _clustered(moved[kept], rows.units[kept])
    return Difference(value, error, units, total)


def _clustered(moved: Values, units: NDArray[np.uint64]) -> tuple[float, int]:
    """The standard error of a sum over rows whose units are independent, and their number."""
    if not len(moved):
        return np.nan, 0
    names, places = np.unique(units, return_inverse=True)
    sums = np.bincount(places, weights=moved)
    n = len(names)
    return float(np.sqrt((sums**2).sum() * n / max(n - 1, 1))), n


def _mixing(units: int, planned: int, alpha: float) -> float:
    """Units times rho^2, with the rho that makes the sequence narrowest at `planned` units."""
    best = -2 * np.log(alpha) + np.log(-2 * np.log(alpha)) + 1
    return float(units * best / planned)


def sequence(found: Difference, planned: int, alpha: float = ALPHA) -> tuple[float, float]:
    """The difference's ends in a confidence sequence: they hold at every look at once.

    The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas
    (2024, Annals of Statistics 52, "Time-uniform central limit theory and asymptotic
    confidence sequences", theorem 2.2), with t units:

        error * sqrt((1 + 1 / (t rho^2)) * log((t rho^2 + 1) / alpha^2))

    >>> low, high = sequence(Difference(0.0, 1.0, 10_000, 10_000), planned=10_000)
    >>> round(high, 2)  # 1.96 for a single look
    3.04
    """
    mixing = _mixing(found.units, planned, alpha)
    if not mixing:
        return -np.inf, np.inf
    reach = found.error * np.sqrt((1 + 1 / mixing) * np.log((mixing + 1) / alpha**2))
    return float(found.value - reach), float(found.value + reach)


def p_value(found: Difference, planned: int) -> float:
    """The always-valid p-value: the smallest alpha whose sequence excludes no difference.

    With rho fixed at what 5 % wants, so that it is below 0.05 exactly when the sequence
    excludes zero (Johari, Koomen, Pekelis, Walsh 2022, "Always valid inference").
    """
    mixing = _mixing(found.units, planned, ALPHA)
    if not mixing:
        return 1.0
    if not found.error:
        return float(found.value == 0)
    surprise = (found.value / found.error) ** 2 * mixing / (mixing + 1) / 2
    return float(min(1.0, np.sqrt(mixing + 1) * np.exp(-surprise)))
