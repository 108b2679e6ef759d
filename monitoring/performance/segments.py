"""Realised performance slice by slice: where is the model wrong, and is that chance?

Each slice is held against the same slice of the held-out rows, since a region that was always
hard to answer is not worse for it. Over all slices the p-values are corrected (Holm): of
twenty slices one is below 0.05 by chance.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.manifest import Manifest
from contracts.verdict import SegmentPerformance
from metrics.estimate import MetricEstimate, p_value_worse
from metrics.multiple_testing import holm
from monitoring.performance.realized import FEWEST_LABELS, Joined, least_fall, measure
from monitoring.reference_sample import ReferenceSample

MISSING, UNSEEN = "(missing)", "(unseen)"


def words_of(manifest: Manifest, segment: str) -> tuple[str, ...]:
    """The values of a segment by place; the last two are for what is missing or unseen."""
    feature = next(f for f in manifest.schema.features if f.name == segment)
    known = feature.categories if feature.is_category else ("true", "false")
    return (*known, MISSING, UNSEEN)


def places_of(values: pl.Series, manifest: Manifest, segment: str) -> NDArray[np.int16]:
    """The place of each value in `words_of`."""
    words = words_of(manifest, segment)
    places = {word: i for i, word in enumerate(words[:-2])}
    text = values.cast(pl.String)
    coded = text.replace_strict(places, default=len(words) - 1, return_dtype=pl.Int16)
    return np.where(text.is_null().to_numpy(), len(words) - 2, coded.fill_null(0).to_numpy())


def slices_of(
    joined: Joined, sample: ReferenceSample, manifest: Manifest, alpha: float
) -> Sequence[SegmentPerformance]:
    """Each slice with enough labels here and among the held-out rows, the worst first."""
    before = _held_out(sample, manifest, tuple(joined.slices))
    metric = next(iter(measure(joined, manifest)), "")
    if metric not in manifest.metrics:
        return ()
    greater = manifest.metrics[metric].greater_is_better
    found = list(_measured(joined, before, manifest, metric))
    p_values = [
        p_value_worse(now, base.value, base.standard_error, greater_is_better=greater)
        for _, _, now, base, _, _ in found
    ]
    told = []
    for (segment, value, now, base, n_now, n_base), p_value in zip(
        found, holm(p_values), strict=True
    ):
        fall = base.value - now.value if greater else now.value - base.value
        least = least_fall(metric, base.value)
        told.append(
            SegmentPerformance(
                segment=segment,
                value=value,
                labels=n_now,
                metric=metric,
                now=now.value,
                low=now.low,
                high=now.high,
                baseline=base.value,
                baseline_labels=n_base,
                p_value=p_value,
                effect_threshold=least,
                worse=p_value < alpha and fall >= least,
            )
        )
    sign = 1 if greater else -1
    return sorted(told, key=lambda s: (not s.worse, sign * (s.now - s.baseline)))


_Pair = tuple[str, str, MetricEstimate, MetricEstimate, int, int]


def _measured(joined: Joined, before: Joined, manifest: Manifest, metric: str) -> Iterator[_Pair]:
    """Slices that have the metric on both sides, with the rows of each."""
    for segment, places in joined.slices.items():
        for place, value in enumerate(words_of(manifest, segment)):
            here, there = places == place, before.slices[segment] == place
            n_here, n_there = int(here.sum()), int(there.sum())
            if min(n_here, n_there) < FEWEST_LABELS:
                continue
            now = measure(joined.where(here), manifest).get(metric)
            base = measure(before.where(there), manifest).get(metric)
            if now and base and np.isfinite([now.value, base.value]).all():
                yield segment, value, now, base, n_here, n_there


def _held_out(sample: ReferenceSample, manifest: Manifest, segments: Sequence[str]) -> Joined:
    """The version's own answers to its held-out rows, as if they had been traffic."""
    rows = sample.rows
    if manifest.classes:
        places = {word: float(i) for i, word in enumerate(manifest.classes)}
        truths, answers = (
            rows[name]
            .cast(pl.String)
            .replace_strict(places, default=np.nan, return_dtype=pl.Float64)
            .to_numpy()
            for name in ("label", "prediction")
        )
    else:
        truths, answers = (
            rows[name].cast(pl.Float64).to_numpy() for name in ("label", "prediction")
        )
    none = np.full(len(rows), np.nan)
    groups = np.zeros(len(rows), dtype=np.int16)
    slices = {name: places_of(rows[name], manifest, name) for name in segments}
    return Joined(truths, answers, rows["score"].to_numpy(), none, groups, [(0, "")], slices)
