"""How right joined predictions are: each metric of the task, and whether it is worse."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from contracts.manifest import Manifest, Metric
from metrics.classification import brier_losses, log_losses
from metrics.estimate import (
    MetricEstimate,
    estimate_accuracy,
    estimate_mean,
    estimate_rmse,
    estimate_roc_auc,
    p_value_worse,
)
from metrics.interval import Z95

FEWEST_LABELS = 100
FEWEST_OF_A_CLASS = 10
LEAST_FALL = {"roc_auc": 0.02, "accuracy": 0.02}
"""Smallest absolute fall that counts; of other metrics a tenth of the baseline."""
LEAST_RELATIVE_RISE = 0.1


@dataclass(frozen=True)
class Joined:
    """Predictions of a window that have a label; all arrays have shape `(n_labels,)`.

    `answers` are places in the list of classes, or values; `certain` is the score of the
    class that was true (NaN for a regression); `groups` are places in `pairs`, which holds
    version and variant. `slices` has, for each segment, the place of each row's value in
    `words_of`.
    """

    truths: NDArray[np.float64]
    answers: NDArray[np.float64]
    scores: NDArray[np.float64]
    certain: NDArray[np.float64]
    groups: NDArray[np.int16]
    pairs: Sequence[tuple[int, str]]
    slices: Mapping[str, NDArray[np.int16]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.truths)

    def where(self, mask: NDArray[np.bool_]) -> "Joined":
        """Some of the rows."""
        return Joined(
            self.truths[mask],
            self.answers[mask],
            self.scores[mask],
            self.certain[mask],
            self.groups[mask],
            self.pairs,
            {segment: places[mask] for segment, places in self.slices.items()},
        )

    def of_version(self, version: int) -> "Joined":
        """The rows of one version."""
        places = [i for i, (v, _) in enumerate(self.pairs) if v == version]
        return self.where(np.isin(self.groups, places))


def measure(joined: Joined, manifest: Manifest) -> dict[str, MetricEstimate]:
    """The metrics of the task; the first is the one that people look at."""
    if manifest.task == "regression":
        errors = joined.answers - joined.truths
        return {"rmse": estimate_rmse(errors), "mae": estimate_mean(np.abs(errors))}
    found: dict[str, MetricEstimate] = {}
    if manifest.task == "binary":
        smaller = min((joined.truths == 1).sum(), (joined.truths == 0).sum())
        if smaller >= FEWEST_OF_A_CLASS:
            found["roc_auc"] = estimate_roc_auc(joined.truths, joined.scores)
        found["brier"] = estimate_mean(brier_losses(joined.truths, joined.scores))
    found["accuracy"] = estimate_accuracy(joined.answers == joined.truths)
    certain = joined.certain[np.isfinite(joined.certain)]
    if len(certain):
        found["log_loss"] = estimate_mean(log_losses(certain))
    return found


def p_value_of(value: MetricEstimate, baseline: Metric) -> float:
    """One-sided p-value that a metric is not worse than the run's."""
    error = (baseline.high - baseline.low) / (2 * Z95)
    return p_value_worse(value, baseline.value, error, greater_is_better=baseline.greater_is_better)


def least_fall(metric: str, baseline: float) -> float:
    """The smallest change for the worse that counts, in the metric's unit."""
    return LEAST_FALL.get(metric, LEAST_RELATIVE_RISE * abs(baseline))
