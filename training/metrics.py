"""Metrics on held-out rows, each with its 95 % bootstrap interval."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

from contracts.manifest import Metric, Task

Scores = NDArray[np.float64]
Truth = NDArray[Any]

RESAMPLES = 200
"""Bootstrap resamples (Efron 1979, percentile interval); the ends move by less than a tenth
of the interval's width from seed to seed at this number."""
MOST_ROWS = 5_000
"""Held-out rows beyond this add seconds to the bootstrap and nothing to the interval's use."""


def _auc(truth: Truth, scores: Scores, _threshold: float) -> float:
    return float(sk.roc_auc_score(truth == 1, scores[:, 1]))


def _brier(truth: Truth, scores: Scores, _threshold: float) -> float:
    return float(np.mean((scores[:, 1] - truth) ** 2))


def _log_loss(truth: Truth, scores: Scores, _threshold: float) -> float:
    chosen = scores[np.arange(len(truth)), truth.astype(int)]
    return float(-np.mean(np.log(np.clip(chosen, 1e-15, 1))))


def decided(scores: Scores, task: Task, threshold: float) -> NDArray[np.int64]:
    """The class of each row, as a place in the list of classes; shape `(n_rows,)`."""
    if task == "binary":
        return (scores[:, 1] >= threshold).astype(np.int64)
    return scores.argmax(axis=1)


def _accuracy(truth: Truth, scores: Scores, threshold: float) -> float:
    task: Task = "binary" if scores.shape[1] == 2 else "multiclass"  # noqa: PLR2004 - two classes
    return float(np.mean(decided(scores, task, threshold) == truth))


def _f1(truth: Truth, scores: Scores, threshold: float) -> float:
    return float(sk.f1_score(truth, scores[:, 1] >= threshold, zero_division=0.0))


def _macro_f1(truth: Truth, scores: Scores, _threshold: float) -> float:
    return float(sk.f1_score(truth, scores.argmax(axis=1), average="macro", zero_division=0.0))


def _rmse(truth: Truth, scores: Scores, _threshold: float) -> float:
    return float(np.sqrt(np.mean((scores - _columns(truth)) ** 2, axis=0)).mean())


def _mae(truth: Truth, scores: Scores, _threshold: float) -> float:
    return float(np.abs(scores - _columns(truth)).mean())


def _r2(truth: Truth, scores: Scores, _threshold: float) -> float:
    values = _columns(truth)
    residual = np.sum((scores - values) ** 2, axis=0)
    spread = np.sum((values - values.mean(axis=0)) ** 2, axis=0)
    return float(np.mean(1 - residual / np.maximum(spread, 1e-300)))


def _columns(truth: Truth) -> NDArray[Any]:
    """The values as `(n_rows, n_outputs)`; several outputs count alike, each in its own unit."""
    return truth.reshape(len(truth), -1)


_Function = Callable[[Truth, Scores, float], float]
METRICS: Mapping[Task, Mapping[str, tuple[_Function, bool]]] = {
    "binary": {
        "roc_auc": (_auc, True),
        "accuracy": (_accuracy, True),
        "f1": (_f1, True),
        "brier": (_brier, False),
        "log_loss": (_log_loss, False),
    },
    "multiclass": {
        "accuracy": (_accuracy, True),
        "macro_f1": (_macro_f1, True),
        "log_loss": (_log_loss, False),
    },
    "regression": {"rmse": (_rmse, False), "mae": (_mae, False), "r2": (_r2, True)},
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
