"""How right a model was in a window, as far as labels tell.

A window is judged when it is mature: when every label that comes within the recipe's label
delay has come. Before that, labels that come early (refusals, quick payers) are not like
those that come late, and a metric over them would be wrong, not just uncertain.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from msgspec.structs import replace
from numpy.typing import NDArray

from contracts.manifest import Manifest, Metric
from contracts.names import Layout
from contracts.times import utc_text
from contracts.verdict import GroupPerformance, Performance, RealizedMetric
from metrics.estimate import MetricEstimate
from metrics.multiple_testing import holm
from monitoring.labels.store import Labels, folder_of, hash_ids, read
from monitoring.performance.realized import FEWEST_LABELS, Joined, least_fall, measure, p_value_of
from monitoring.performance.segments import places_of, slices_of
from monitoring.reference_sample import ReferenceSample
from monitoring.traffic.decode import feature_key
from monitoring.traffic.predictions import answers_of
from monitoring.traffic.window import TimeWindow


def performance_of(
    layout: Layout,
    manifest: Manifest,
    version: int,
    span: TimeWindow,
    *,
    now: datetime,
    alpha: float,
    segments: Sequence[str] = (),
    sample: ReferenceSample | None = None,
) -> Performance:
    """What the labels say of a version's window, and of the other versions in it.

    Each value of the `segments` is held against the same slice of the `sample` of held-out
    rows.

    While the labels of the window are not all due, the window of the same length that ended
    one label delay ago is judged in its place; `start` and `end` say which it was.
    """
    delay = timedelta(seconds=manifest.label_delay_s)
    late = max(span.end + delay - now, timedelta(0))
    span = TimeWindow(span.model, None, span.start - late, span.end - late)
    blank = Performance(
        status="no_labels",
        start=utc_text(span.start),
        end=utc_text(span.end),
        mature_at=utc_text(span.end + late + delay),
    )
    if not folder_of(layout, manifest.name).is_dir():
        return blank
    labels = read(layout, manifest.name, manifest.classes)
    joined, predictions, found = join(layout, manifest, span, labels, segments)
    mine = joined.of_version(version)
    known = replace(
        blank,
        labels=len(mine),
        coverage=len(mine) / max(predictions.get(version, 0), 1),
        orphans=_orphans(layout, labels, found, span, delay),
        replaced=labels.replaced,
        torn_lines=labels.torn_lines,
        unusable=labels.unusable,
        groups=tuple(_groups(joined, manifest)),
    )
    if late and not predictions:
        return replace(known, status="immature")
    if len(mine) < FEWEST_LABELS:
        return replace(known, status="too_few_labels" if len(mine) else "no_labels")
    slices = slices_of(mine, sample, manifest, alpha) if sample and segments else ()
    return replace(
        known, status="judged", metrics=realised(mine, manifest, alpha), segments=tuple(slices)
    )


def join(
    layout: Layout,
    manifest: Manifest,
    span: TimeWindow,
    labels: Labels,
    segments: Sequence[str] = (),
) -> tuple[Joined, Mapping[int, int], NDArray[np.bool_]]:
    """Predictions with their labels, predictions by version, and which labels were met."""
    met = np.zeros(len(labels.hashes), dtype=bool)
    pieces: list[Joined] = []
    pairs: dict[tuple[int, str], int] = {}
    predictions: dict[int, int] = {}
    for frame in answers_of(layout, span, segments):
        for version, n in frame["version"].value_counts().iter_rows():
            predictions[version] = predictions.get(version, 0) + n
        rows, places = matches(frame["prediction_id"], labels)
        met[places] = True
        usable = ~np.isnan(labels.truths[places])
        if usable.any():
            pieces.append(
                _joined(
                    frame, rows[usable], labels.truths[places[usable]], manifest, pairs, segments
                )
            )
    return _together(pieces, list(pairs)), predictions, met


def realised(joined: Joined, manifest: Manifest, alpha: float) -> tuple[RealizedMetric, ...]:
    """Each metric that can be had of these rows, against the run's."""
    measured = {
        name: value
        for name, value in measure(joined, manifest).items()
        if np.isfinite(value.value) and name in manifest.metrics
    }
    p_values = [p_value_of(value, manifest.metrics[name]) for name, value in measured.items()]
    return tuple(
        _realised(name, value, manifest.metrics[name], p, alpha)
        for (name, value), p in zip(measured.items(), holm(p_values), strict=True)
    )


def _realised(
    name: str, value: MetricEstimate, baseline: Metric, p_value: float, alpha: float
) -> RealizedMetric:
    least = least_fall(name, baseline.value)
    change = value.value - baseline.value
    fall = -change if baseline.greater_is_better else change
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
        worse=p_value < alpha and fall >= least,
    )


def _groups(joined: Joined, manifest: Manifest) -> Iterator[GroupPerformance]:
    """The first metric of each version and variant; nothing where there is one group only."""
    if len(joined.pairs) < 2:  # noqa: PLR2004 - one group is the window
        return
    for version, variant in sorted(joined.pairs):
        group = joined.where(joined.groups == joined.pairs.index((version, variant)))
        if not len(group):
            continue
        for metric, value in measure(group, manifest).items():
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


def matches(ids: pl.Series, labels: Labels) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that have a label, and its place."""
    if not len(labels.hashes):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    hashes = hash_ids(ids)
    # In their order the look-ups walk through memory instead of jumping about.
    order = np.argsort(hashes)
    sought = hashes[order]
    places = np.minimum(np.searchsorted(labels.hashes, sought), len(labels.hashes) - 1)
    hit = labels.hashes[places] == sought
    return order[hit], places[hit]


def _joined(
    frame: pl.DataFrame,
    rows: NDArray[np.int64],
    truths: NDArray[np.float64],
    manifest: Manifest,
    pairs: dict[tuple[int, str], int],
    segments: Sequence[str],
) -> Joined:
    """Some rows of a table of answers with their truths; new groups are added to `pairs`."""
    frame = frame.drop("prediction_id")[rows]
    certain = np.full(len(frame), np.nan)
    if manifest.classes:
        places = {word: float(i) for i, word in enumerate(manifest.classes)}
        answers = (
            frame["prediction"]
            .cast(pl.String)
            .replace_strict(places, default=np.nan, return_dtype=pl.Float64)
            .to_numpy()
        )
        for i, word in enumerate(manifest.classes):
            if f"scores.{word}" in frame.columns:
                score = frame[f"scores.{word}"].to_numpy()
                certain = np.where(truths == i, score, certain)
    else:
        answers = frame["prediction"].cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    return Joined(
        truths,
        answers,
        frame["score"].to_numpy(),
        certain,
        _groups_of(frame, pairs),
        (),
        {name: places_of(_column(frame, name), manifest, name) for name in segments},
    )


def _column(frame: pl.DataFrame, name: str) -> pl.Series:
    """A segment's values; a file from before a feature was there has none."""
    key = feature_key(name)
    if key in frame.columns:
        return frame[key]
    return pl.Series([None] * len(frame), dtype=pl.String)


def _groups_of(frame: pl.DataFrame, pairs: dict[tuple[int, str], int]) -> NDArray[np.int16]:
    found = frame.select("version", pl.col("variant").cast(pl.String)).unique(maintain_order=True)
    for pair in found.rows():
        pairs.setdefault(pair, len(pairs))
    if len(found) == 1:
        return np.full(len(frame), pairs[found.row(0)], dtype=np.int16)
    versions, variants = frame["version"].to_numpy(), frame["variant"].cast(pl.String)
    groups = np.zeros(len(frame), dtype=np.int16)
    for version, variant in found.rows():
        mine = (versions == version) & (variants == variant).to_numpy()
        groups[mine] = pairs[version, variant]
    return groups


def _together(pieces: Sequence[Joined], pairs: Sequence[tuple[int, str]]) -> Joined:
    if not pieces:
        none = np.empty(0)
        return Joined(none, none, none, none, none.astype(np.int16), pairs)
    return Joined(
        np.concatenate([p.truths for p in pieces]),
        np.concatenate([p.answers for p in pieces]),
        np.concatenate([p.scores for p in pieces]),
        np.concatenate([p.certain for p in pieces]),
        np.concatenate([p.groups for p in pieces]),
        pairs,
        {name: np.concatenate([p.slices[name] for p in pieces]) for name in pieces[0].slices},
    )


def _orphans(
    layout: Layout, labels: Labels, met: NDArray[np.bool_], span: TimeWindow, delay: timedelta
) -> int:
    """Labels that came while the window's were due, and that name no prediction.

    Looked for among the predictions that such a label can be of: one delay before the
    window's start until it is mature.
    """
    first, last = (int(t.timestamp() * 1e6) for t in (span.start, span.end + delay))
    due = (labels.times >= first) & (labels.times < last) & ~met
    if not due.any():
        return 0
    wider = TimeWindow(span.model, None, span.start - delay, span.end + delay)
    named = np.zeros(len(labels.hashes), dtype=bool)
    for frame in answers_of(layout, wider):
        named[matches(frame["prediction_id"], labels)[1]] = True
    return int((due & ~named).sum())
