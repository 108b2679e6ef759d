"""Whether scores mean what they say: of the rows scored 0.8, eight in ten should be positive."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.manifest import Task
from metrics.bootstrap_metrics import WeightedMetric, Weights
from training.evaluation.bootstrap import bootstrap_weights
from training.evaluation.predictions import Predictions
from training.metrics import Target

BINS = 10
CALIBRATION_TOLERANCE = {"binary": 0.02, "multiclass": 0.02, "regression": 0.05}
"""How much worse a challenger may be: two points of probability, or a twentieth of the target's
standard deviation."""
ONE_SIDED_95 = 1.645
"""The normal quantile. Student's t is not used here: a difference of absolute values is skewed,
which says nothing about its rows."""


@dataclass(frozen=True)
class CalibrationErrors:
    """Both versions' errors, and the lower 95 % bound of how much worse the challenger's is."""

    challenger: float
    production: float
    worse_by_low: float


def error_name(task: Task) -> str:
    """The name of the error that is measured for a task."""
    return "bias in deviations" if task == "regression" else "calibration error"


def calibration_errors(
    task: Task, target: Target, challenger: Predictions, production: Predictions
) -> CalibrationErrors:
    """How much worse the challenger is calibrated than production, on the same rows.

    For a classifier the error is the expected calibration error over ten bins with equally
    many rows (Nixon et al. 2019, arXiv:1904.01685), of the positive class or of the highest
    probability. For a regression it is the mean error of the worst output, in standard
    deviations of its target.
    """
    ours, theirs = (_error(task, target, p) for p in (challenger, production))
    every_row_once = np.ones((1, len(target)))
    resampled = np.concatenate(
        [ours(weights) - theirs(weights) for weights in bootstrap_weights(len(target))]
    )
    here, there = float(ours(every_row_once)[0]), float(theirs(every_row_once)[0])
    spread = float(resampled.std(ddof=1))
    return CalibrationErrors(here, there, here - there - ONE_SIDED_95 * spread)


def _error(task: Task, target: Target, predictions: Predictions) -> WeightedMetric:
    scores = predictions.scores
    if task == "regression":
        values = target.reshape(len(target), -1)
        gaps = (scores - values) / np.maximum(values.std(axis=0), 1e-300)
        return lambda weights: np.abs(weights @ gaps / _total(weights)).max(axis=1)
    if task == "binary":
        probability, outcome = scores[:, 1], (target == 1).astype(np.float64)
    else:
        probability = scores.max(axis=1)
        outcome = (scores.argmax(axis=1) == target).astype(np.float64)
    edges = np.quantile(probability, np.arange(1, BINS) / BINS)
    in_bin = np.eye(BINS)[np.searchsorted(edges, probability)]
    gaps = in_bin * (probability - outcome)[:, None]
    return lambda weights: np.abs(weights @ gaps / _total(weights)).sum(axis=1)


def _total(weights: Weights) -> NDArray[np.float64]:
    return weights.sum(axis=1, keepdims=True)
