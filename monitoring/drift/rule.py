"""From histograms to findings: a column has drifted on significance AND effect AND persistence.

* Significance: for numbers twice the smaller p-value of Kolmogorov-Smirnov (any difference)
  and Mann-Whitney (a shift, which it sees with a third fewer rows), for categories chi-square;
  all with the rows' design effect, corrected for the number of columns (Holm), below `alpha`.
* Effect: KS or total variation, or the normed Wasserstein distance, at least its limit plus
  the error of a reference of its size.
* Persistence: the difference shows in at least two thirds of the window.

Or it has drifted slowly, over many windows (`monitoring.drift.trend`). A seasonal column is
compared with its season instead of the whole reference (`monitoring.drift.seasons`).

`benchmarks/monitoring` measures the false alarms and the power of this rule.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from contracts.reference import NumberReference
from contracts.trend import Trend
from contracts.verdict import Finding
from metrics.multiple_testing import holm
from monitoring.drift import statistics as st
from monitoring.drift.details import (
    Detail,
    categorical_details,
    end_details,
    shape_details,
)
from monitoring.drift.histograms import (
    CategoricalHistogram,
    Histogram,
    NumericHistogram,
    WindowHistograms,
)
from monitoring.drift.origin import DriftOrigin
from monitoring.drift.seasons import Expectation, Seasons, season_bins
from monitoring.drift.surest_detail import drifted_in, surest_detail
from monitoring.drift.thresholds import DriftThresholds, Limit
from monitoring.drift.trend import next_trend
from monitoring.drift.week import WeekRule

DETAIL_ALPHA = 0.5
"""The tests of details together have this part of `alpha` as their chance of a false alarm. They
keep well below it: an effect must also be large enough, and last."""
PERSISTENCE_PARTS = 3
MAX_BLOCKS = 24
BLOCK_COUNTS = (24, 12, 6)
MAX_OUTER_WIDTHS = 4
MIN_UNIT_GROUPS = 8
"""With units in fewer groups, they are not the users of the model but, for example, services."""


@dataclass(frozen=True)
class _Evidence:
    """What is known of a column before the correction for the number of columns."""

    column: str
    kind: Literal["number", "category"]
    n: int
    rows_effective: float
    p_value: float
    test: str
    statistics: Mapping[str, float]
    limits: Mapping[str, Limit]
    persistence: float
    details: Sequence[Detail] = ()
    season: str = ""


class OriginsOfDrift(Protocol):
    """Finds since when a column has drifted, as `DriftOrigins` does."""

    def of(self, column: str) -> DriftOrigin:
        """The origin of the drift of a column."""


@dataclass(frozen=True)
class TrendsBefore:
    """The trends of columns before a window that begins at `start`."""

    start: str
    trends: Mapping[str, Trend]


def findings_of(
    histograms: WindowHistograms,
    thresholds: DriftThresholds,
    origins: OriginsOfDrift | None = None,
    before: TrendsBefore | None = None,
    seasons: Seasons | None = None,
    without: Collection[str] = (),
) -> list[Finding]:
    """One finding per column with values: features, then `score` and `prediction`.

    There is none for the columns `without`.

    With `origins` a drifted column's finding says since when it has drifted and in which
    segment. With the trends `before`, a column that drifts slowly has drifted as well. With
    `seasons`, seasonal columns are compared with their season, and drifts of the first weeks
    that may be a season are marked.
    """
    evidence = [
        _evidence(name, column, thresholds, seasons)
        for name, column in histograms.columns.items()
        if column.n > column.missing + column.mistyped and name not in without
    ]
    corrected = holm([e.p_value for e in evidence])
    found = [_finding(e, p, thresholds) for e, p in zip(evidence, corrected, strict=True)]
    chance = DETAIL_ALPHA * thresholds.settings.alpha / max(len(evidence), 1)
    found = [_with_detail(f, e, chance, thresholds) for f, e in zip(found, evidence, strict=True)]
    if before is not None:
        found = [_with_trend(f, before, seasons) for f in found]
    if seasons is not None:
        week = WeekRule(seasons, thresholds, chance)
        found = [week.applied(f, histograms.columns[f.column]) for f in found]
    return [_with_origin(f, origins) if f.drifted and origins else f for f in found]


def _evidence(
    name: str, column: Histogram, thresholds: DriftThresholds, seasons: Seasons | None
) -> _Evidence:
    expected = seasons.expectation(name, column) if seasons is not None else None
    if isinstance(column, NumericHistogram):
        return _numeric_evidence(name, column, thresholds, expected)
    return _categorical_evidence(name, column, thresholds, expected)


def _numeric_evidence(
    name: str,
    column: NumericHistogram,
    thresholds: DriftThresholds,
    expected: Expectation | None,
) -> _Evidence:
    reference, q = column.reference, column.counts
    p: st.Counts = np.array(reference.counts) if expected is None else expected.rows
    blocks = time_blocks(column)
    design_effect = max(
        _design_effect(blocks, st.numeric_design_effect),
        _unit_design_effect(column, st.numeric_cluster_effect),
        1.0 if expected is None else expected.design_effect(int(q.sum())),
    )
    distance, p_any = st.kolmogorov_smirnov(p, q, design_effect)
    shift, p_shift = st.mann_whitney(p, q, design_effect)
    edges, (low, high) = np.array(reference.edges), outer_ends(reference)
    statistics = _distances(p, q) | {
        "ks": distance,
        "rank_shift": shift,
        "wasserstein_normed": st.normed_wasserstein(p, q, edges, low, high, reference.std),
    }
    n, n_reference = int(q.sum()), int(p.sum())
    parts = list(merged(blocks, PERSISTENCE_PARTS))
    return _Evidence(
        column=name,
        kind="number",
        n=n,
        rows_effective=n / design_effect,
        p_value=min(2 * min(p_any, p_shift), 1.0),
        test="Kolmogorov-Smirnov, Mann-Whitney",
        statistics=statistics,
        limits={
            effect: thresholds.limit(name, effect, n_reference)
            for effect in ("ks", "wasserstein_normed")
        },
        persistence=st.persistence(p, parts, ordered=True),
        details=[
            *end_details(column, design_effect),
            *shape_details(column, p, q, parts, design_effect),
        ],
        season=expected.label if expected is not None else "",
    )


def _categorical_evidence(
    name: str,
    column: CategoricalHistogram,
    thresholds: DriftThresholds,
    expected: Expectation | None,
) -> _Evidence:
    p: st.Counts = reference_counts(column)
    q, blocks = column.by_time_bin().sum(axis=0), time_blocks(column)
    if expected is not None:
        p, q = expected.rows, season_bins(column, q[None, :])[0]
        blocks = season_bins(column, blocks)
    design_effect = max(
        _design_effect(blocks, st.categorical_design_effect),
        _unit_design_effect(column, st.categorical_cluster_effect),
        1.0 if expected is None else expected.design_effect(int(q.sum())),
    )
    _, p_value = st.chi_square(p, q, design_effect)
    n, n_reference = int(q.sum()), int(p.sum())
    parts = list(merged(blocks, PERSISTENCE_PARTS))
    return _Evidence(
        column=name,
        kind="category",
        n=n,
        rows_effective=n / design_effect,
        p_value=p_value,
        test="chi-square",
        statistics=_distances(p, q),
        limits={"total_variation": thresholds.limit(name, "total_variation", n_reference)},
        persistence=st.persistence(p, parts, ordered=False),
        details=categorical_details(p, q, parts, design_effect),
        season=expected.label if expected is not None else "",
    )


class _BlockEffect(Protocol):
    """A design effect from the counts of blocks, shape `(n_blocks, n_bins)`."""

    def __call__(self, blocks: NDArray[np.int64], /) -> float: ...


def _design_effect(blocks: NDArray[np.int64], of_blocks: _BlockEffect) -> float:
    """The largest design effect over blocks of several lengths.

    Rows that resemble each other for longer than a block make the blocks themselves resemble
    each other, which only longer blocks show (batch means, Conway 1963).
    """
    return max(of_blocks(merged(blocks, n)) for n in BLOCK_COUNTS)


def _unit_design_effect(column: Histogram, of_groups: _BlockEffect) -> float:
    """The design effect of rows that name their unit; 1 with units in too few groups."""
    groups = column.by_unit_group()
    is_filled = groups.sum(axis=1) > 0
    return of_groups(groups) if np.count_nonzero(is_filled) >= MIN_UNIT_GROUPS else 1.0


def outer_ends(reference: NumberReference) -> tuple[float, float]:
    """Where the first and the last bin end for the Wasserstein distance.

    At the reference's ends, but at most four widths of the next bin away: rows in the outer
    bins of a heavy tail lie near its inner edge, not evenly up to the maximum.
    """
    low, high, edges = reference.minimum, reference.maximum, reference.edges
    if len(edges) > 1:
        low = max(low, edges[0] - MAX_OUTER_WIDTHS * (edges[1] - edges[0]))
        high = min(high, edges[-1] + MAX_OUTER_WIDTHS * (edges[-1] - edges[-2]))
    return low, high


def reference_counts(column: Histogram) -> NDArray[np.int64]:
    """The reference's rows by bin or category, in the order of the window's counts."""
    if isinstance(column, CategoricalHistogram):
        return np.array([column.reference.counts.get(name, 0) for name in column.categories])
    return np.array(column.reference.counts)


def _distances(p: st.Counts, q: st.Counts) -> dict[str, float]:
    return {
        "psi": st.psi(p, q),
        "jensen_shannon": st.jensen_shannon(p, q),
        "total_variation": st.total_variation(p, q),
        "chi_square": st.chi_square(p, q)[0],
    }


def time_blocks(column: Histogram) -> NDArray[np.int64]:
    """A column's counts in at most 24 blocks of time, about equal in rows: `(n_blocks, n_bins)`."""
    return merged(column.by_time_bin(), MAX_BLOCKS)


def merged(counts: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Neighbouring rows of counts added up into at most `n` rows, about equal in size.

    >>> merged(np.array([[1, 1], [1, 0], [0, 0], [0, 3]]), 2).tolist()
    [[2, 1], [0, 3]]
    """
    sizes = counts.sum(axis=1)
    filled = counts[sizes > 0]
    sizes = sizes[sizes > 0]
    if not len(sizes):
        return filled
    middles = (np.cumsum(sizes) - sizes / 2) / sizes.sum()
    groups = np.minimum((middles * n).astype(np.int64), n - 1)
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    return np.add.reduceat(filled, starts, axis=0)


def _finding(evidence: _Evidence, corrected_p: float, thresholds: DriftThresholds) -> Finding:
    """The effect that is nearest to its limit, or farthest beyond it, decides."""
    limits, statistics = evidence.limits, evidence.statistics
    effect = max(limits, key=lambda name: statistics[name] / limits[name].size)
    is_large = statistics[effect] >= limits[effect].size
    is_significant = corrected_p < thresholds.settings.alpha
    return Finding(
        column=evidence.column,
        kind=evidence.kind,
        n=evidence.n,
        p_value=corrected_p,
        test=evidence.test,
        statistics=dict(statistics),
        effect=effect,
        effect_size=statistics[effect],
        effect_threshold=limits[effect].size,
        drifted=is_significant and is_large and evidence.persistence >= st.MIN_PERSISTENCE,
        rows_effective=evidence.rows_effective,
        persistence=evidence.persistence,
        threshold_from=limits[effect].source,
        season=evidence.season,
    )


def _with_detail(
    finding: Finding, evidence: _Evidence, chance: float, thresholds: DriftThresholds
) -> Finding:
    """A column that has not drifted as a whole drifts in its most certain large detail."""
    if finding.drifted:
        return finding
    detail = surest_detail(finding.column, evidence.details, chance, thresholds)
    return finding if detail is None else drifted_in(finding, detail)


def _with_trend(finding: Finding, before: TrendsBefore, seasons: Seasons | None) -> Finding:
    if seasons is not None and not finding.season and seasons.is_seasonal(finding.column):
        return finding  # Nothing was learned in this slot: the trend goes on after it.
    per_week = seasons.slot.per_week if seasons is not None else 0
    trend = next_trend(before.trends.get(finding.column), finding, before.start, per_week)
    slow = trend is not None and trend.is_alarming
    return replace(finding, trend=trend, drifted=finding.drifted or slow)


def _with_origin(finding: Finding, origins: OriginsOfDrift) -> Finding:
    origin = origins.of(finding.column)
    return replace(
        finding,
        since=origin.since,
        windows=origin.windows,
        segment=origin.segment,
        segment_share=origin.segment_share,
    )
