"""Realized performance segment by segment: where is the model wrong, and is that chance?

Each segment is compared with the same segment of the held-out rows, since one that was always
hard to predict is not worse for it. The p-values are corrected for the number of segments
(Holm): of twenty segments one is below 0.05 by chance.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from contracts.manifest import Manifest
from contracts.segments import segment_values
from contracts.verdict import SegmentPerformance
from metrics.estimate import MetricEstimate, p_value_worse
from metrics.multiple_testing import holm
from monitoring.labels.join import LabelledPredictions
from monitoring.performance.task_metrics import MIN_LABELS, compute_metrics, min_fall


@dataclass(frozen=True)
class _Compared:
    """A segment's metric in the window and among the held-out rows."""

    feature: str
    value: str
    now: MetricEstimate
    baseline: MetricEstimate
    labels: int
    baseline_labels: int


def segment_performance(
    rows: LabelledPredictions, held_out: LabelledPredictions, manifest: Manifest, alpha: float
) -> Sequence[SegmentPerformance]:
    """Each segment with enough labels here and among the held-out rows, the worst first."""
    metric = next(iter(compute_metrics(rows, manifest)), "")
    if metric not in manifest.metrics:
        return ()
    greater = manifest.metrics[metric].greater_is_better
    found = list(_compared(rows, held_out, manifest, metric))
    p_values = holm(
        [
            p_value_worse(
                each.now,
                each.baseline.value,
                each.baseline.standard_error,
                greater_is_better=greater,
            )
            for each in found
        ]
    )
    segments = [
        _performance(each, metric, p_value, alpha, greater_is_better=greater)
        for each, p_value in zip(found, p_values, strict=True)
    ]
    sign = 1 if greater else -1
    return sorted(segments, key=lambda s: (not s.worse, sign * (s.now - s.baseline)))


def _performance(
    compared: _Compared, metric: str, p_value: float, alpha: float, *, greater_is_better: bool
) -> SegmentPerformance:
    now, baseline = compared.now, compared.baseline
    fall = baseline.value - now.value if greater_is_better else now.value - baseline.value
    least = min_fall(metric, baseline.value)
    return SegmentPerformance(
        segment=compared.feature,
        value=compared.value,
        labels=compared.labels,
        metric=metric,
        now=now.value,
        low=now.low,
        high=now.high,
        baseline=baseline.value,
        baseline_labels=compared.baseline_labels,
        p_value=p_value,
        effect_threshold=least,
        worse=p_value < alpha and fall >= least,
    )


def _compared(
    rows: LabelledPredictions, held_out: LabelledPredictions, manifest: Manifest, metric: str
) -> Iterator[_Compared]:
    """Segments that have the metric on both sides."""
    for feature, index in rows.segment_index.items():
        for code, value in enumerate(segment_values(manifest, feature)):
            here, there = index == code, held_out.segment_index[feature] == code
            labels, baseline_labels = int(here.sum()), int(there.sum())
            if min(labels, baseline_labels) < MIN_LABELS:
                continue
            now = compute_metrics(rows.where(here), manifest).get(metric)
            baseline = compute_metrics(held_out.where(there), manifest).get(metric)
            if now and baseline and np.isfinite([now.value, baseline.value]).all():
                yield _Compared(feature, value, now, baseline, labels, baseline_labels)
