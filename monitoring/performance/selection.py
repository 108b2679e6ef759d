"""Labels that are selected: whether a row gets one depends on the score, or on the truth itself.

Loans that were granted, cases that were reviewed, uncertain ones in a queue: their metric differs
from that of all rows, though the model is as right as ever. So it is compared with held-out rows
weighted to look like the labelled ones, in both ways in which selection can work:

* by score: held-out rows get the labelled rows' distribution of scores (the missing labels are
  missing at random given the score; Rubin 1976, "Inference and missing data", Biometrika 63),
* by truth: held-out rows get the labelled rows' mix of classes (Saerens, Latinne and
  Decaestecker 2002, Neural Computation 14).

Selection by truth explains only some distributions of the labelled scores. Where it explains them,
which of the two it is cannot be seen, and a metric is worse only if it is worse under both.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from contracts.manifest import Manifest, Metric
from metrics.classification import brier_losses, log_losses
from metrics.estimate import MetricEstimate
from metrics.value import Values
from metrics.weighted_estimate import (
    RowWeights,
    effective_rows,
    estimate_weighted_mean,
    estimate_weighted_rmse,
    estimate_weighted_roc_auc,
)
from monitoring.labels.join import LabelledPredictions

Baselines = Mapping[str, Metric]
"""What each metric is on comparable held-out rows."""

COMPLETE_COVERAGE = 0.95
"""With a label for this share of the predictions, the rest cannot change a metric by much."""
SELECTION_ALPHA = 0.05
"""Below this p-value scores with a label differ from those without. A false alarm only makes the
comparison a little more careful."""
EXPLAINED_ALPHA = 0.001
"""Below this p-value selection by truth does not explain the labelled scores."""
MIN_UNLABELLED = 50
MAX_CELLS = 50
ROWS_PER_CELL = 20
MIN_EFFECTIVE_ROWS = 100
MAX_UNCOVERED = 0.05
"""Labelled rows with scores that no held-out row has: more of them, and nothing is comparable."""


@dataclass(frozen=True)
class LabelSelection:
    """That labels are selected, in words, and the baselines that allow for it.

    Without a baseline the window's performance cannot be judged.
    """

    description: str
    baselines: tuple[Baselines, ...]


def label_selection(
    labelled: LabelledPredictions,
    unlabelled_scores: Values,
    coverage: float,
    held_out: LabelledPredictions | None,
    manifest: Manifest,
) -> LabelSelection | None:
    """Whether the labels of a window are selected; None if nothing shows it.

    Args:
        labelled: the predictions with a label.
        unlabelled_scores: scores of predictions without one, or a sample of them.
        coverage: the share of the window's predictions that have a label.
        held_out: the version's held-out rows, if they have labels.
        manifest: the version's.

    """
    unlabelled = unlabelled_scores[np.isfinite(unlabelled_scores)]
    scores = labelled.scores[np.isfinite(labelled.scores)]
    if coverage >= COMPLETE_COVERAGE or len(unlabelled) < MIN_UNLABELLED or not len(scores):
        return None
    found = stats.ks_2samp(scores, unlabelled, method="asymp")
    if found.pvalue >= SELECTION_ALPHA:
        return None
    description = (
        f"labels are selected: {coverage:.0%} of the predictions have one, and their scores differ "
        f"from those of the others (KS {found.statistic:.2f})"
    )
    if held_out is None:
        return LabelSelection(description, ())
    by_score = score_weights(held_out.scores, scores)
    if by_score is None:
        return LabelSelection(description, ())
    weights = [by_score]
    if manifest.task != "regression":
        by_truth = class_weights(held_out.targets, labelled.targets)
        if explains(held_out.scores, by_truth, scores):
            weights.append(by_truth)
    baselines = tuple(weighted_baselines(held_out, w, manifest) for w in weights)
    return LabelSelection(description, baselines)


def score_weights(held_out: Values, labelled: Values) -> RowWeights | None:
    """Weights that give held-out rows the labelled rows' scores, `(n_held_out,)`.

    Scores are compared in cells at quantiles of the labelled ones. None where too many of these
    have no counterpart among the held-out rows.
    """
    n_cells = int(np.clip(len(labelled) // ROWS_PER_CELL, 1, MAX_CELLS))
    edges = np.unique(np.quantile(labelled, np.linspace(0, 1, n_cells + 1)))
    wanted = _cells(labelled, edges)
    cells = _cells(held_out, edges)
    cells[~np.isfinite(held_out) | (held_out < edges[0]) | (held_out > edges[-1])] = -1
    n_wanted = np.bincount(wanted, minlength=len(edges))
    n_held_out = np.bincount(cells[cells >= 0], minlength=len(edges))
    uncovered = n_wanted[n_held_out == 0].sum() / len(labelled)
    ratio = np.divide(n_wanted, n_held_out, out=np.zeros(len(edges)), where=n_held_out > 0)
    weights: RowWeights = np.where(cells >= 0, ratio[cells], 0.0)
    if uncovered > MAX_UNCOVERED or effective_rows(weights) < MIN_EFFECTIVE_ROWS:
        return None
    return weights


def class_weights(held_out: Values, labelled: Values) -> RowWeights:
    """Weights that give held-out rows the labelled rows' mix of classes, `(n_held_out,)`."""
    weights = np.zeros(len(held_out))
    for index in np.unique(labelled):
        mine = held_out == index
        weights[mine] = (labelled == index).sum() / max(int(mine.sum()), 1)
    return weights


def explains(held_out: Values, weights: RowWeights, labelled: Values) -> bool:
    """Whether weighted held-out scores are distributed like the labelled ones.

    By the test of Kolmogorov and Smirnov, with the weights' effective number of rows.
    """
    n, m = effective_rows(weights), len(labelled)
    if not n:
        return False
    grid = np.unique(np.concatenate([held_out, labelled]))
    order = np.argsort(held_out)
    below = np.concatenate([[0.0], np.cumsum(weights[order])]) / weights.sum()
    expected = below[np.searchsorted(held_out[order], grid, side="right")]
    found = np.searchsorted(np.sort(labelled), grid, side="right") / m
    distance = float(np.abs(expected - found).max())
    return bool(special.kolmogorov(distance * np.sqrt(n * m / (n + m))) >= EXPLAINED_ALPHA)


def weighted_baselines(
    rows: LabelledPredictions, weights: RowWeights, manifest: Manifest
) -> Baselines:
    """Each metric on weighted held-out rows, with its interval."""
    found: dict[str, MetricEstimate] = {}
    if manifest.task == "regression":
        residuals = rows.predictions - rows.targets
        found["rmse"] = estimate_weighted_rmse(residuals, weights)
        found["mae"] = estimate_weighted_mean(np.abs(residuals), weights)
    else:
        correct = (rows.predictions == rows.targets).astype(np.float64)
        found["accuracy"] = estimate_weighted_mean(correct, weights)
    if manifest.task == "binary":
        found["roc_auc"] = estimate_weighted_roc_auc(rows.targets, rows.scores, weights)
        found["brier"] = estimate_weighted_mean(brier_losses(rows.targets, rows.scores), weights)
        found["log_loss"] = estimate_weighted_mean(log_losses(rows.true_class_scores), weights)
    return {
        name: Metric(
            value=value.value,
            low=value.low,
            high=value.high,
            greater_is_better=manifest.metrics[name].greater_is_better,
        )
        for name, value in found.items()
        if name in manifest.metrics and np.isfinite(value.value)
    }


def _cells(scores: Values, edges: Values) -> NDArray[np.int64]:
    """The cell of each score: `edges[i] <= score < edges[i + 1]`; a tied score has its own."""
    index: NDArray[np.int64] = np.searchsorted(edges, scores, side="right") - 1
    return np.clip(index, 0, len(edges) - 1)
