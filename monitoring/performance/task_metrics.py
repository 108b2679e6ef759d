"""The metrics of a task on labelled predictions, and from which change one counts as worse."""

import numpy as np
from numpy.typing import NDArray

from contracts.manifest import Manifest, Metric
from metrics.classification import accuracy, brier, brier_losses, log_loss, log_losses
from metrics.estimate import (
    MetricEstimate,
    clustered_estimate,
    estimate_accuracy,
    estimate_mean,
    estimate_rmse,
    estimate_roc_auc,
    p_value_worse,
)
from metrics.interval import Z95
from metrics.ranking import roc_auc
from metrics.regression import mae, rmse
from metrics.value import Values
from monitoring.labels.join import LabelledPredictions

MIN_LABELS = 100
"""Labels from which performance is judged."""
MIN_LABELS_OF_CLASS = 10
"""Labels of either class from which an AUC is computed."""
MIN_FALL = {"roc_auc": 0.02, "accuracy": 0.02}
"""Smallest absolute change for the worse that counts."""
MIN_RELATIVE_FALL = 0.1
"""Smallest change for the worse that counts in all other metrics, as a share of the baseline."""


def compute_metrics(rows: LabelledPredictions, manifest: Manifest) -> dict[str, MetricEstimate]:
    """The metrics of the model's task by name; the first is the task's main metric.

    If rows name their units, such as users, the errors are those of clustered rows.
    """
    found = _of_independent_rows(rows, manifest)
    if rows.units is None:
        return found
    return {
        name: clustered_estimate(
            estimate, _influence(name, rows), rows.units[_is_defined(name, rows)]
        )
        for name, estimate in found.items()
    }


def _influence(metric: str, rows: LabelledPredictions) -> Values:
    """The influence of each row on a metric, for the rows on which it is defined."""
    return {
        "rmse": lambda: rmse(rows.targets, rows.predictions),
        "mae": lambda: mae(rows.targets, rows.predictions),
        "roc_auc": lambda: roc_auc(rows.targets, rows.scores),
        "brier": lambda: brier(rows.targets, rows.scores),
        "accuracy": lambda: accuracy(rows.targets, rows.predictions),
        "log_loss": lambda: log_loss(rows.true_class_scores[_is_defined(metric, rows)]),
    }[metric]().influence


def _is_defined(metric: str, rows: LabelledPredictions) -> NDArray[np.bool_]:
    if metric == "log_loss":
        return np.isfinite(rows.true_class_scores)
    return np.ones(len(rows), dtype=bool)


def _of_independent_rows(
    rows: LabelledPredictions, manifest: Manifest
) -> dict[str, MetricEstimate]:
    if manifest.task == "regression":
        residuals = rows.predictions - rows.targets
        return {"rmse": estimate_rmse(residuals), "mae": estimate_mean(np.abs(residuals))}
    found: dict[str, MetricEstimate] = {}
    if manifest.task == "binary":
        smaller = min((rows.targets == 1).sum(), (rows.targets == 0).sum())
        if smaller >= MIN_LABELS_OF_CLASS:
            found["roc_auc"] = estimate_roc_auc(rows.targets, rows.scores)
        found["brier"] = estimate_mean(brier_losses(rows.targets, rows.scores))
    found["accuracy"] = estimate_accuracy(rows.predictions == rows.targets)
    known = rows.true_class_scores[_is_defined("log_loss", rows)]
    if len(known):
        found["log_loss"] = estimate_mean(log_losses(known))
    return found


def p_value_of(value: MetricEstimate, baseline: Metric) -> float:
    """One-sided p-value that a metric is not worse than the run's."""
    error = (baseline.high - baseline.low) / (2 * Z95)
    return p_value_worse(value, baseline.value, error, greater_is_better=baseline.greater_is_better)


def min_fall(metric: str, baseline: float) -> float:
    """The smallest change for the worse that counts, in the metric's unit.

    >>> min_fall("roc_auc", 0.8), min_fall("rmse", 30.0)
    (0.02, 3.0)
    """
    return MIN_FALL.get(metric, MIN_RELATIVE_FALL * abs(baseline))
