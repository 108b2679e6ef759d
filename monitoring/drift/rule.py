"""From counts to findings: a column has drifted on significance AND effect AND persistence.

* Significance: for numbers twice the smaller p-value of Kolmogorov-Smirnov (any difference)
  and Mann-Whitney (a shift, where it sees a third more), for categories chi-square; all with
  the rows' design effect, corrected for the number of columns (Holm), below `alpha`.
* Effect: KS or total variation, or the normed Wasserstein distance, at least its limit plus
  what a reference of its size is off by itself.
* Persistence: the difference shows in at least two thirds of the window.

`benchmarks/monitoring` measures what that gives: false alarms and power.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from contracts.reference import NumberReference
from contracts.verdict import Finding, QualityFinding, VerdictKind
from monitoring.drift import statistics as st
from monitoring.drift.histograms import CategoricalHistogram, NumericHistogram, WindowHistograms
from monitoring.settings import MonitoringSettings

PARTS = 3
MOST_BLOCKS = 24
BLOCKS = (24, 12, 6)
PERSISTENT = 0.6
"""Two of three parts; one of two is a burst."""
REFERENCE_ERROR = {"ks": 0.83, "wasserstein_normed": 1.0, "total_variation": 0.5}
"""How far a reference of m rows is off by itself, times sqrt(m): the median of Kolmogorov's
distribution, the standard error of a mean in deviations, and of a share at most."""
OUTER_WIDTHS = 4


@dataclass(frozen=True)
class Limit:
    """What an effect is held against, and where that comes from."""

    size: float
    source: str


@dataclass(frozen=True)
class _Evidence:
    """What is known of a column before the number of columns is allowed for."""

    name: str
    kind: str
    n: int
    rows_effective: float
    p_value: float
    test: str
    statistics: Mapping[str, float]
    limits: Mapping[str, Limit]
    persistence: float


@dataclass(frozen=True)
class Rule:
    """When a difference counts; `calibrated` holds limits by column and effect."""

    settings: MonitoringSettings
    calibrated: Mapping[tuple[str, str], Limit] = field(default_factory=dict)

    def limit(self, column: str, effect: str, reference_rows: int) -> Limit:
        """What the effect of a column is held against."""
        least = self.settings.wasserstein if effect.startswith("w") else self.settings.distance
        least += REFERENCE_ERROR[effect] / math.sqrt(max(reference_rows, 1))
        own = self.calibrated.get((column, effect))
        return own if own is not None and own.size > least else Limit(least, "settings")


def findings_of(counts: WindowHistograms, rule: Rule) -> list[Finding]:
    """Each column against its reference: features, then `score` and `prediction`."""
    evidence = [
        _number_evidence(name, column, rule)
        if isinstance(column, NumericHistogram)
        else _category_evidence(name, column, rule)
        for name, column in counts.columns.items()
        if column.n > column.missing + column.mistyped
    ]
    corrected = st.holm([e.p_value for e in evidence])
    return [_finding(e, p, rule) for e, p in zip(evidence, corrected, strict=True)]


def decide(
    rows: int,
    torn_lines: int,
    findings: Sequence[Finding],
    quality: Sequence[QualityFinding],
    settings: MonitoringSettings,
    *,
    worse: bool = False,
) -> VerdictKind:
    """What a window means; faults of the data come before drift, which they may feign.

    `worse` says that labels have shown the model to be worse than at training.
    """
    if not rows:
        return "unreadable" if torn_lines else "no_traffic"
    if rows < settings.fewest_rows:
        return "too_few_rows"
    if any(fault.alarming for fault in quality):
        return "quality"
    if worse:
        return "performance"
    return "drift" if any(finding.drifted for finding in findings) else "stable"


def _number_evidence(name: str, column: NumericHistogram, rule: Rule) -> _Evidence:
    reference = column.reference
    p, q = np.array(reference.counts), column.counts
    blocks = blocks_of(column.by_time_bin())
    design_effect = _design_effect(blocks, st.numeric_design_effect)
    distance, p_any = st.kolmogorov_smirnov(p, q, design_effect)
    _, p_shift = st.mann_whitney(p, q, design_effect)
    statistics = _distances(p, q) | {
        "ks": distance,
        "wasserstein_normed": st.normed_wasserstein(
            p,
            q,
            np.array(reference.edges),
            *ends_of(reference),
            reference.deviation,
        ),
    }
    n = int(q.sum())
    return _Evidence(
        name=name,
        kind="number",
        n=n,
        rows_effective=n / design_effect,
        p_value=min(2 * min(p_any, p_shift), 1.0),
        test="Kolmogorov-Smirnov, Mann-Whitney",
        statistics=statistics,
        limits={e: rule.limit(name, e, int(p.sum())) for e in ("ks", "wasserstein_normed")},
        persistence=st.persistence(p, list(joined(blocks, PARTS)), ordered=True),
    )


def _category_evidence(name: str, column: CategoricalHistogram, rule: Rule) -> _Evidence:
    p, q = reference_counts(column), column.by_time_bin().sum(axis=0)
    blocks = blocks_of(column.by_time_bin())
    design_effect = _design_effect(blocks, st.categorical_design_effect)
    _, p_value = st.chi_square(p, q, design_effect)
    n = int(q.sum())
    return _Evidence(
        name=name,
        kind="category",
        n=n,
        rows_effective=n / design_effect,
        p_value=p_value,
        test="chi-square",
        statistics=_distances(p, q),
        limits={"total_variation": rule.limit(name, "total_variation", int(p.sum()))},
        persistence=st.persistence(p, list(joined(blocks, PARTS)), ordered=False),
    )


def _design_effect(
    blocks: NDArray[np.int64], measure: Callable[[NDArray[np.int64]], float]
) -> float:
    """The largest design effect over blocks of several lengths.

    Rows that resemble each other for longer than a block make the blocks themselves resemble
    each other, which only longer blocks show (batch means, Conway 1963).
    """
    return max(measure(joined(blocks, n)) for n in BLOCKS)


def ends_of(reference: NumberReference) -> tuple[float, float]:
    """Where the outer bins end for the Wasserstein distance.

    At the reference's ends, but no farther than four times the next bin's width: rows in
    the outer bins of a heavy tail lie near its inner edge, not evenly up to the maximum.
    """
    low, high, edges = reference.minimum, reference.maximum, reference.edges
    if len(edges) > 1:
        low = max(low, edges[0] - OUTER_WIDTHS * (edges[1] - edges[0]))
        high = min(high, edges[-1] + OUTER_WIDTHS * (edges[-1] - edges[-2]))
    return low, high


def reference_counts(column: NumericHistogram | CategoricalHistogram) -> NDArray[np.int64]:
    """The reference's rows by bin or category, in the order of the window's counts."""
    if isinstance(column, NumericHistogram):
        return np.array(column.reference.counts)
    return np.array([column.reference.counts.get(word, 0) for word in column.words])


def _distances(p: st.Counts, q: st.Counts) -> dict[str, float]:
    return {
        "psi": st.psi(p, q),
        "jensen_shannon": st.jensen_shannon(p, q),
        "total_variation": st.total_variation(p, q),
        "chi_square": st.chi_square(p, q)[0],
    }


def blocks_of(by_time_bin: NDArray[np.int64]) -> NDArray[np.int64]:
    """Slices of time joined into at most 24 blocks, about equal in rows."""
    return joined(by_time_bin, MOST_BLOCKS)


def joined(by_time_bin: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Neighbouring rows of counts added up into at most `n`, about equal in size."""
    sizes = by_time_bin.sum(axis=1)
    filled = by_time_bin[sizes > 0]
    sizes = sizes[sizes > 0]
    if not len(sizes):
        return filled
    middles = (np.cumsum(sizes) - sizes / 2) / sizes.sum()
    groups = np.minimum((middles * n).astype(np.int64), n - 1)
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    return np.add.reduceat(filled, starts, axis=0)


def _finding(evidence: _Evidence, corrected_p: float, rule: Rule) -> Finding:
    """The effect that stands nearest to, or farthest beyond, its limit decides."""
    limits, statistics = evidence.limits, evidence.statistics
    effect = max(limits, key=lambda name: statistics[name] / limits[name].size)
    large = statistics[effect] >= limits[effect].size
    significant = corrected_p < rule.settings.alpha
    return Finding(
        column=evidence.name,
        kind=evidence.kind,  # type: ignore[arg-type]  # one of two words of this file
        n=evidence.n,
        p_value=corrected_p,
        test=evidence.test,
        statistics=dict(statistics),
        effect=effect,
        effect_size=statistics[effect],
        effect_threshold=limits[effect].size,
        drifted=significant and large and evidence.persistence >= PERSISTENT,
        rows_effective=evidence.rows_effective,
        persistence=evidence.persistence,
        threshold_from=limits[effect].source,
    )
