"""Estimated performance: CBPE, which needs no labels and assumes that there is no concept drift.

Confidence-based performance estimation (NannyML's documentation, 2022; that calibrated scores
hold the expected confusion matrix is older: Guo et al. 2017). If a score of 0.8 has meant 80 %
positives, each prediction carries its own probability of being right. The estimate shows what a
different mix of easy and hard cases does to a metric. It cannot see concept drift, so it never
raises an alarm, and it is always shown with its track record.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from contracts.errors import InvalidDocument
from contracts.manifest import Manifest
from contracts.names import SAMPLE_FILE
from contracts.times import parse_utc
from contracts.verdict import Estimate, Verdict
from monitoring.reference_sample import ReferenceSample

SCORE_BINS = 1_000
ASSUMES = (
    "assumes that a score still means what it meant on held-out rows, i.e. that "
    "P(truth | features) is unchanged; concept drift does not move this number"
)
MIN_ROWS = 200
MAX_COMPARED = 200
"""Newest verdicts from which the track record is made."""
MIN_COVERED = 0.9
"""Share of a judged span that estimated windows must cover."""
_SCORE_EDGES = np.linspace(0, 1, SCORE_BINS + 1)
SCORE_MIDDLES = (_SCORE_EDGES[:-1] + _SCORE_EDGES[1:]) / 2

Numbers = NDArray[np.float64]


class ScoreHistogram:
    """The scores of a window in a thousand equal bins from 0 to 1."""

    def __init__(self) -> None:
        self.counts = np.zeros(SCORE_BINS, dtype=np.int64)

    def add(self, scores: Numbers) -> None:
        """Count more scores, shape `(n_rows,)`; those outside 0..1 are left out."""
        self.counts += np.histogram(scores[np.isfinite(scores)], bins=_SCORE_EDGES)[0]


def estimate_of(
    manifest: Manifest, sample: ReferenceSample, scores: ScoreHistogram, earlier: Sequence[Verdict]
) -> Estimate:
    """The estimate for a window with its track record, or the reason why there is none.

    `earlier` are the verdicts on earlier windows of the version.
    """
    if manifest.task == "regression":
        return Estimate(missing="a regression gives no probabilities to estimate from")
    if manifest.score_kind != "probability":
        return Estimate(
            missing=f"the model gives {manifest.scores_name}, no probabilities to estimate from"
        )
    if not scores.counts.sum():
        return Estimate(missing="the window has no scores")
    held_out = _held_out(sample, manifest)
    if isinstance(held_out, str):
        return Estimate(missing=held_out)
    probabilities = calibrated(*held_out)(SCORE_MIDDLES)
    metric = "roc_auc" if manifest.task == "binary" else "accuracy"
    value = (
        expected_auc(probabilities, scores.counts)
        if metric == "roc_auc"
        else float(probabilities @ scores.counts / scores.counts.sum())
    )
    if not np.isfinite(value):
        return Estimate(missing="every row of the window has the same expected class")
    baseline = manifest.metrics.get(metric)
    compared = track_record(earlier, metric)
    return Estimate(
        metric=metric,
        value=value,
        baseline=baseline.value if baseline else 0.0,
        method="CBPE, isotonic calibration on held-out rows",
        assumes=ASSUMES,
        windows_compared=len(compared),
        mean_error=float(np.mean([abs(a - b) for a, b in compared])) if compared else 0.0,
    )


class Calibration:
    """A rising map from scores to probabilities, linear between the steps of the fit."""

    def __init__(self, scores: Numbers, probabilities: Numbers) -> None:
        self._scores = scores
        self._probabilities = probabilities

    def __call__(self, scores: Numbers) -> Numbers:
        """The probability of each score, 0..1."""
        return np.interp(scores, self._scores, self._probabilities)


def calibrated(scores: Numbers, outcomes: Numbers) -> Calibration:
    """Isotonic regression (Barlow et al. 1972; PAVA) of outcomes, 0 or 1, on scores."""
    order = np.argsort(scores, kind="stable")
    unique, starts = np.unique(scores[order], return_index=True)
    sizes = np.diff(np.append(starts, len(scores)))
    means = np.add.reduceat(outcomes[order], starts) / sizes
    return Calibration(unique, isotonic_regression(means, weights=sizes.astype(float)).x)


def expected_auc(probabilities: Numbers, counts: NDArray[np.int64]) -> float:
    """The expected AUC of rows in bins of rising score, from the probability of each bin.

    A positive beats the negatives of lower bins and half of those of its own bin.

    >>> round(expected_auc(np.array([0.0, 1.0]), np.array([5, 5])), 3)
    1.0
    """
    positive, negative = probabilities * counts, (1 - probabilities) * counts
    pairs = positive.sum() * negative.sum()
    if not pairs:
        return np.nan
    below = np.cumsum(negative) - negative
    return float((positive * (below + negative / 2)).sum() / pairs)


def track_record(earlier: Sequence[Verdict], metric: str) -> list[tuple[float, float]]:
    """The estimate and the realized value of each earlier span that has both.

    With a label delay the window whose labels are judged lies earlier, and need not be one of
    the windows that were estimated: those that cover it count by how much of it they cover.
    """
    newest = earlier[-MAX_COMPARED:]
    estimates = [
        (parse_utc(v.window.start), parse_utc(v.window.end), v.estimate.value)
        for v in newest
        if v.estimate is not None and v.estimate.metric == metric
    ]
    found = []
    for performance in (v.performance for v in newest if v.performance is not None):
        realized = [m.value for m in performance.metrics if m.metric == metric]
        if not realized or not performance.start or not performance.end:
            continue
        start, end = parse_utc(performance.start), parse_utc(performance.end)
        shared = [
            ((min(end, b) - max(start, a)).total_seconds(), value) for a, b, value in estimates
        ]
        overlaps = [(seconds, value) for seconds, value in shared if seconds > 0]
        covered = sum(seconds for seconds, _ in overlaps)
        if covered >= MIN_COVERED * (end - start).total_seconds() > 0:
            estimate = sum(seconds * value for seconds, value in overlaps) / covered
            found.append((estimate, realized[0]))
    return found


def _held_out(sample: ReferenceSample, manifest: Manifest) -> tuple[Numbers, Numbers] | str:
    """Scores of held-out rows and their outcomes, or the reason why there are none.

    The outcome is 1 for the positive class of a binary model, and for a right prediction of a
    multiclass model.
    """
    try:
        rows = sample.rows
    except InvalidDocument as err:
        return f"{SAMPLE_FILE} cannot be read: {err.what}"
    if not {"score", "label"} <= set(rows.columns):
        return f"{SAMPLE_FILE} has no column label: train the version again"
    table = rows.drop_nulls(["score", "label"])
    if len(table) < MIN_ROWS:
        return f"{SAMPLE_FILE} holds {len(table)} rows with a label, {MIN_ROWS} are needed"
    labels = table["label"].cast(pl.String)
    if manifest.task == "binary":
        outcomes = labels == manifest.classes[1]
    else:
        outcomes = labels == table["prediction"].cast(pl.String)
    return table["score"].to_numpy(), outcomes.to_numpy().astype(np.float64)
