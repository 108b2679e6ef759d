"""Whether scores mean what they say: of rows scored 0.8, eight in ten should be right."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.manifest import Task
from metrics.weighted import WeightedMetric, Weights
from training.evaluation.bootstrap import draws
from training.evaluation.paired import Sheet
from training.metrics import Truth

BINS = 10
TOLERANCE = {"binary": 0.02, "multiclass": 0.02, "regression": 0.05}
"""How much worse may be: two points of probability, or a twentieth of the target's deviation."""


ONE_SIDED_95 = 1.645
"""The normal quantile; a difference of absolute values leans, which says nothing of its rows."""


@dataclass(frozen=True)
class Worsening:
    """The challenger's error, production's, and the lower 95 % bound of what it is worse by."""

    here: float
    there: float
    low: float


def error_name(task: Task) -> str:
    """What is measured for a task, in words."""
    return "bias in deviations" if task == "regression" else "calibration error"


def worsening(task: Task, truth: Truth, ours: Sheet, theirs: Sheet) -> Worsening:
    """How much worse our answers are calibrated than theirs, on the same rows.

    For a classifier the error is the expected calibration error over ten bins with equally
    many rows (Nixon et al. 2019, arXiv:1904.01685), of the positive class or of the highest
    probability; for a regression the mean error of the worst output, in deviations.
    """
    mine, other = (_error(task, truth, sheet) for sheet in (ours, theirs))
    whole = np.ones((1, len(truth)))
    drawn = np.concatenate([mine(weights) - other(weights) for weights in draws(len(truth))])
    here, there = float(mine(whole)[0]), float(other(whole)[0])
    return Worsening(here, there, here - there - ONE_SIDED_95 * float(drawn.std(ddof=1)))


def _error(task: Task, truth: Truth, sheet: Sheet) -> WeightedMetric:
    if task == "regression":
        values = truth.reshape(len(truth), -1)
        gaps = (sheet.scores - values) / np.maximum(values.std(axis=0), 1e-300)
        return lambda weights: np.abs(weights @ gaps / _total(weights)).max(axis=1)
    if task == "binary":
        said, came = sheet.scores[:, 1], (truth == 1).astype(np.float64)
    else:
        said = sheet.scores.max(axis=1)
        came = (sheet.scores.argmax(axis=1) == truth).astype(np.float64)
    edges = np.quantile(said, np.arange(1, BINS) / BINS)
    inside = np.eye(BINS)[np.searchsorted(edges, said)]
    gaps = inside * (said - came)[:, None]
    return lambda weights: np.abs(weights @ gaps / _total(weights)).sum(axis=1)


def _total(weights: Weights) -> NDArray[np.float64]:
    return weights.sum(axis=1, keepdims=True)
