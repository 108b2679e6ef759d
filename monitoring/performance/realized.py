"""Realized performance: how right a model was in a window, as far as labels show.

A window is judged when it is mature: when every label that arrives within the recipe's label
delay has arrived. Before that, labels that come early (refusals, quick payers) are not like
those that come late, and a metric over them would be wrong, not just uncertain.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from contracts.manifest import Manifest, Metric
from contracts.names import Layout
from contracts.times import utc_text
from contracts.verdict import GroupPerformance, Performance, RealizedMetric
from metrics.estimate import MetricEstimate
from metrics.multiple_testing import holm
from metrics.value import Values
from monitoring.labels.join import LabelledPredictions, join, matches
from monitoring.labels.store import Labels, read_labels
from monitoring.performance.held_out import held_out_predictions
from monitoring.performance.segments import segment_performance
from monitoring.performance.selection import Baselines, label_selection
from monitoring.performance.task_metrics import MIN_LABELS, compute_metrics, min_fall, p_value_of
from monitoring.reference_sample import ReferenceSample
from monitoring.traffic.projections import NamedColumns
from monitoring.traffic.reader import read_traffic
from monitoring.traffic.window import ReadStats, TimeWindow


def realized_performance(
    layout: Layout,
    manifest: Manifest,
    version: int,
    window: TimeWindow,
    *,
    now: datetime,
    alpha: float,
    segments: Sequence[str] = (),
    sample: ReferenceSample | None = None,
) -> Performance:
    """What the labels show of a version's window, and of the other versions in it.

    While the labels of the window are not all due, the window of the same length that ended
    one label delay ago is judged in its place; `start` and `end` say which it was.

    Args:
        layout: where traffic and labels are.
        manifest: the version's.
        version: the version to judge.
        window: the window; rows of all versions in it are read.
        now: which labels are due.
        alpha: the p-value below which a metric counts as worse.
        segments: segment features to break the main metric down by.
        sample: held-out rows that each segment is compared with; without them none is judged.

    Raises:
        InvalidDocument: compacted labels, or the held-out rows, cannot be read.

    """
    delay = timedelta(seconds=manifest.label_delay_s)
    late = max(window.end + delay - now, timedelta(0))
    window = TimeWindow(window.model, None, window.start - late, window.end - late)
    blank = Performance(
        status="no_labels",
        start=utc_text(window.start),
        end=utc_text(window.end),
        mature_at=utc_text(window.end + late + delay),
    )
    if not layout.labels(manifest.name).is_dir():
        return blank
    labels = read_labels(layout, manifest.name, manifest.classes)
    joined = join(layout, manifest, window, labels, segments)
    mine = joined.labelled.of_version(version)
    known = replace(
        blank,
        labels=len(mine),
        coverage=len(mine) / max(joined.predictions.get(version, 0), 1),
        orphans=_orphans(layout, labels, joined.is_matched, window, delay),
        replaced=labels.replaced,
        torn_lines=labels.torn_lines,
        unusable=labels.unusable,
        groups=tuple(_groups(joined.labelled, manifest)),
    )
    if late and not joined.predictions:
        return replace(known, status="immature")
    if len(mine) < MIN_LABELS:
        return replace(known, status="too_few_labels" if len(mine) else "no_labels")
    scores = joined.unlabelled[version].scores
    return _judged(known, mine, scores, manifest, alpha, sample)


def _judged(
    known: Performance,
    mine: LabelledPredictions,
    unlabelled_scores: Values,
    manifest: Manifest,
    alpha: float,
    sample: ReferenceSample | None,
) -> Performance:
    """Performance with its metrics, compared with rows like the labelled ones."""
    features = tuple(mine.segment_index)
    held_out = held_out_predictions(sample, manifest, features) if sample else None
    selection = label_selection(mine, unlabelled_scores, known.coverage, held_out, manifest)
    if selection is None:
        metrics = realized_metrics(mine, manifest, alpha)
        segments = () if held_out is None else segment_performance(mine, held_out, manifest, alpha)
        return replace(known, status="judged", metrics=metrics, segments=tuple(segments))
    known = replace(known, selection=selection.description)
    if not selection.baselines:
        return replace(known, status="selected")
    metrics = realized_metrics(mine, manifest, alpha, selection.baselines)
    return replace(known, status="judged", metrics=metrics)


def realized_metrics(
    rows: LabelledPredictions,
    manifest: Manifest,
    alpha: float,
    baselines: Sequence[Baselines] = (),
) -> tuple[RealizedMetric, ...]:
    """Each metric that these rows define, compared with the run's, or with all of `baselines`.

    Of several baselines the one that the metric is least certainly worse than is reported.
    """
    baselines = baselines or (manifest.metrics,)
    estimates = {
        name: value
        for name, value in compute_metrics(rows, manifest).items()
        if np.isfinite(value.value) and all(name in known for known in baselines)
    }
    compared = {
        name: max(
            ((p_value_of(value, known[name]), known[name]) for known in baselines),
            key=lambda found: (found[0], -_fall(value, found[1])),
        )
        for name, value in estimates.items()
    }
    p_values = holm([p_value for p_value, _ in compared.values()])
    return tuple(
        _realized(name, value, compared[name][1], p_value, alpha)
        for (name, value), p_value in zip(estimates.items(), p_values, strict=True)
    )


def _fall(value: MetricEstimate, baseline: Metric) -> float:
    """By how much a metric is worse than its baseline, in its own unit."""
    change = value.value - baseline.value
    return -change if baseline.greater_is_better else change


def _realized(
    name: str, value: MetricEstimate, baseline: Metric, p_value: float, alpha: float
) -> RealizedMetric:
    least = min_fall(name, baseline.value)
    return RealizedMetric(
        metric=name,
        value=value.value,
        low=value.low,
        high=value.high,
        baseline=baseline.value,
        baseline_low=baseline.low,
        baseline_high=baseline.high,
        greater_is_better=baseline.greater_is_better,
        p_value=p_value,
        effect_threshold=least,
        worse=p_value < alpha and _fall(value, baseline) >= least,
    )


def _groups(rows: LabelledPredictions, manifest: Manifest) -> Iterator[GroupPerformance]:
    """The main metric of each version and variant; nothing where there is one group only."""
    if len(rows.groups) < 2:  # noqa: PLR2004 - one group is the window
        return
    for version, variant in sorted(rows.groups):
        group = rows.where(rows.group_index == rows.groups.index((version, variant)))
        if not len(group):
            continue
        for metric, value in compute_metrics(group, manifest).items():
            if np.isfinite(value.value):
                yield GroupPerformance(
                    version=version,
                    variant=variant,
                    labels=len(group),
                    metric=metric,
                    value=value.value,
                    low=value.low,
                    high=value.high,
                )
                break


def _orphans(
    layout: Layout,
    labels: Labels,
    is_matched: NDArray[np.bool_],
    window: TimeWindow,
    delay: timedelta,
) -> int:
    """How many labels came while the window's were due, and belong to no prediction.

    Such a label can belong to predictions from one delay before the window's start until the
    window is mature; all these are read.
    """
    first, last = (int(t.timestamp() * 1e6) for t in (window.start, window.end + delay))
    due = (labels.times >= first) & (labels.times < last) & ~is_matched
    if not due.any():
        return 0
    wider = TimeWindow(window.model, None, window.start - delay, window.end + delay)
    is_known = np.zeros(len(labels), dtype=bool)
    for frame in read_traffic(layout, wider, NamedColumns(), ReadStats()):
        is_known[matches(frame["prediction_id"], labels)[1]] = True
    return int((due & ~is_known).sum())
