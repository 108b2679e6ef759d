"""Metrics on held-out rows, each with its 95 % bootstrap interval."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.decision_rule import DecisionRule
from contracts.manifest import Metric, Task
from metrics.classification import accuracy, brier, f1, log_loss, macro_f1, true_class_score
from metrics.ranking import roc_auc
from metrics.regression import mae, r2, rmse

Scores = NDArray[np.float64]
Truth = NDArray[Any]

RESAMPLES = 200
"""Bootstrap resamples (Efron 1979, percentile interval); the ends move by less than a tenth
of the interval's width from seed to seed at this number."""
MOST_ROWS = 5_000
"""Held-out rows beyond this add seconds to the bootstrap and nothing to the interval's use."""


def _binary(scores: Scores, threshold: float) -> NDArray[np.int64]:
    return DecisionRule("binary", threshold).class_indices(scores)


def _multiclass(scores: Scores, threshold: float) -> NDArray[np.int64]:
    return DecisionRule("multiclass", threshold).class_indices(scores)


def _log_loss(truth: Truth, scores: Scores, _threshold: float) -> float:
    return log_loss(true_class_score(truth, scores)).value


_Function = Callable[[Truth, Scores, float], float]
METRICS: Mapping[Task, Mapping[str, tuple[_Function, bool]]] = {
    "binary": {
        "roc_auc": (lambda truth, scores, _: roc_auc(truth, scores[:, 1]).value, True),
        "accuracy": (lambda truth, scores, at: accuracy(truth, _binary(scores, at)).value, True),
        "f1": (lambda truth, scores, at: f1(truth, _binary(scores, at)).value, True),
        "brier": (lambda truth, scores, _: brier(truth, scores[:, 1]).value, False),
        "log_loss": (_log_loss, False),
    },
    "multiclass": {
        "accuracy": (
            lambda truth, scores, at: accuracy(truth, _multiclass(scores, at)).value,
            True,
        ),
        "macro_f1": (
            lambda truth, scores, at: macro_f1(truth, _multiclass(scores, at)).value,
            True,
        ),
        "log_loss": (_log_loss, False),
    },
    "regression": {
        "rmse": (lambda truth, scores, _: rmse(truth, scores).value, False),
        "mae": (lambda truth, scores, _: mae(truth, scores).value, False),
        "r2": (lambda truth, scores, _: r2(truth, scores).value, True),
    },
}
"""By task and name: the function and whether greater is better. `truth` are places in the
list of classes, or values."""


def holdout_metrics(
    task: Task, truth: Truth, scores: Scores, *, threshold: float, seed: int
) -> dict[str, Metric]:
    """Every metric of the task with its interval.

    `truth` has shape `(n_rows,)` (class numbers or values; several outputs have a column each),
    `scores` `(n_rows, n_outputs)`.
    """
    rng = np.random.default_rng(seed)
    n_rows = len(truth)
    samples = [rng.integers(0, n_rows, size=min(n_rows, MOST_ROWS)) for _ in range(RESAMPLES)]
    # A resample without one of the classes has no AUC; it says nothing and is left out.
    samples = [rows for rows in samples if task != "binary" or len(set(truth[rows])) > 1]
    return {
        name: _with_interval(function, greater, truth, scores, threshold, samples)
        for name, (function, greater) in METRICS[task].items()
    }


def _with_interval(
    function: _Function,
    greater: bool,
    truth: Truth,
    scores: Scores,
    threshold: float,
    samples: list[NDArray[np.int64]],
) -> Metric:
    drawn = [function(truth[rows], scores[rows], threshold) for rows in samples]
    # The percentile interval of a smaller resample is wider than the whole set's.
    shrink = np.sqrt(len(samples[0]) / len(truth)) if samples else 1.0
    value = function(truth, scores, threshold)
    low, high = np.percentile(drawn, [2.5, 97.5]) if drawn else (value, value)
    return Metric(
        value=value,
        low=float(value + (low - value) * shrink),
        high=float(value + (high - value) * shrink),
        greater_is_better=greater,
    )
