"""Faults of the data itself, which no drift score can see; they come first in a verdict."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from contracts.reference import NumberReference, Reference
from contracts.verdict import DataFault, QualityFinding
from monitoring.drift import statistics as st
from monitoring.drift.attribution import SegmentCounts
from monitoring.drift.details import exceedance_p_value
from monitoring.drift.histograms import (
    CategoricalHistogram,
    Histogram,
    NumericHistogram,
    WindowHistograms,
)
from monitoring.quality.counts import QualityCounts
from monitoring.quality.timestamps import timestamp_faults
from monitoring.settings import MonitoringSettings
from monitoring.traffic.window import ReadStats

AS_RARE = 2
"""A category this many times as frequent as another counts as rare as that one."""
NEARLY_CONSTANT = 0.95
"""A reference in which one value has this share may well look constant in a window."""
CONSTANT = 0.999
"""A reference in which one value has this share was constant."""
MOST = 0.5
"""The share of a window's rows that must differ from the one value that training knew."""
UNIT_FACTORS = (1000.0, 100.0, 1e6, 60.0, 3600.0, 1024.0)
"""Wrong units that people send: kilo, percent or cents, micro, minutes, hours, kibi."""
MIN_UNIT_VALUES = 10
"""With fewer far values, that a unit explains them may be chance."""
MAX_UNIT_DISTANCE = 0.3
"""Far values fit a unit if, divided by it, they are within this KS distance of the reference."""
MIN_TORN_LINES = 10
MAX_FILES_NAMED = 3
MAX_CATEGORIES_NAMED = 50


def quality_findings(
    histograms: WindowHistograms,
    counts: QualityCounts,
    reference: Reference,
    settings: MonitoringSettings,
    segments: SegmentCounts | None = None,
) -> Iterator[QualityFinding]:
    """Each fault whose share rose significantly AND by enough; none without a row.

    With `segments` a finding names the segment that has most of the faulty values.
    """
    if not histograms.rows:
        return
    for finding in _faults(histograms, counts, reference, settings):
        column = finding.column
        if column in reference.timestamps:
            column = reference.timestamps[column].parts[0]  # faulty where the timestamp is
        found = segments.faulty_segment(column, finding.fault) if segments else None
        yield (
            replace(finding, segment=str(found), segment_share=found.share) if found else finding
        )


def unreadable_traffic(stats: ReadStats, rows: int, fault_share: float) -> list[QualityFinding]:
    """The findings that files or lines of the traffic log could not be read, if there are any.

    A line or two are torn when a process is killed; only more of them alarm.
    """
    found = []
    if stats.torn_files:
        detail = "; ".join(stats.torn_files[:MAX_FILES_NAMED])
        n_torn = len(stats.torn_files)
        found.append(
            _fault("traffic", "torn_files", n_torn, max(stats.files, n_torn), detail=detail)
        )
    torn, lines = stats.torn_lines, rows + stats.torn_lines
    if torn >= MIN_TORN_LINES and torn >= fault_share * lines:
        detail = f"{torn:,} of {lines:,} lines are no traffic record"
        found.append(_fault("traffic", "torn_lines", torn, lines, detail=detail))
    return found


def _faults(
    histograms: WindowHistograms,
    counts: QualityCounts,
    reference: Reference,
    settings: MonitoringSettings,
) -> Iterator[QualityFinding]:
    n_categorical = sum(isinstance(c, CategoricalHistogram) for c in histograms.columns.values())
    n_numeric = sum(isinstance(c, NumberReference) for c in reference.features.values())
    # Each kind of fault has its own chance of a false alarm, over the columns it can be in.
    alphas: dict[DataFault, float] = {
        "missing": settings.alpha / len(reference.features),
        "unseen": settings.alpha / max(n_categorical, 1),
        "out_of_range": settings.alpha / max(n_numeric, 1),
    }
    parts = {part for each in reference.timestamps.values() for part in each.parts}
    for name in (each for each in reference.features if each not in parts):
        column = histograms.columns[name]
        yield from _of_column(name, column, counts, reference, settings, alphas)
    for name in reference.timestamps:
        yield from _of_timestamp(name, counts, reference, settings, alphas["missing"])
    yield from _unknown_features(counts, histograms.rows, settings)
    yield from _duplicates(counts, settings)


def _of_column(
    name: str,
    column: Histogram,
    counts: QualityCounts,
    reference: Reference,
    settings: MonitoringSettings,
    alphas: Mapping[DataFault, float],
) -> Iterator[QualityFinding]:
    if column.mistyped >= settings.fault_share * column.n and column.mistyped:
        detail = f"{column.mistyped} of {column.n} rows are of another type than at training"
        yield _fault(name, "type_change", column.mistyped, column.n, detail=detail)
    if column.n and column.missing == column.n and column.reference.missing < reference.n_rows:
        yield _fault(name, "vanished", column.n, column.n, detail="no value in any row")
        return
    for fault, faulty, before, ways in _shares(name, column, counts):
        share = before / max(reference.n_rows, 1)
        p_value = st.fisher_exact_greater(faulty, column.n, before, reference.n_rows)
        rise = faulty / max(column.n, 1) - share
        if p_value < alphas[fault] / ways and rise >= settings.fault_share:
            detail = f"{faulty} of {column.n} rows; {share:.1%} at training"
            found = _fault(name, fault, faulty, column.n, before=share, p=p_value, detail=detail)
            yield replace(found, values=_new_categories(column)) if fault == "unseen" else found
    if isinstance(column, NumericHistogram):
        varied = _constant_at_training(name, column)
        far = _far(name, column, counts, settings, alphas["out_of_range"])
        yield from [varied] if varied else far
    if _is_constant(column):
        yield _fault(name, "constant", column.n, column.n, detail="one value in all rows")


def _of_timestamp(
    name: str,
    counts: QualityCounts,
    reference: Reference,
    settings: MonitoringSettings,
    alpha: float,
) -> Iterator[QualityFinding]:
    """The faults of a timestamp; what its parts say is drift."""
    found, known = counts.timestamps[name], reference.timestamps[name]
    if found.n and found.missing == found.n and known.missing < reference.n_rows:
        yield _fault(name, "vanished", found.n, found.n, detail="no value in any row")
        return
    flagged = counts.flags[f"clipped:{name}"] + counts.flags[f"out_of_range:{name}"]
    for fault, faulty, before in timestamp_faults(found, known, flagged):
        share = before / max(reference.n_rows, 1)
        p_value = st.fisher_exact_greater(faulty, found.n, before, reference.n_rows)
        if p_value < alpha and faulty / max(found.n, 1) - share >= settings.fault_share:
            detail = f"{faulty} of {found.n} rows; {share:.1%} at training"
            yield _fault(name, fault, faulty, found.n, before=share, p=p_value, detail=detail)


def _shares(
    name: str, column: Histogram, counts: QualityCounts
) -> Iterator[tuple[DataFault, int, int, int]]:
    """Faults by name: faulty rows in the window and the reference, and the ways to be faulty."""
    yield "missing", column.missing, column.reference.missing, 1
    if isinstance(column, CategoricalHistogram):
        known = column.reference.counts
        # Of categories that training never saw, as many rows are to be expected as there are
        # categories that it saw once (Good 1953); of those that the schema does not know, as many
        # as training had of them.
        once = sum(n == 1 for n in known.values())
        new = sum(n for category, n in column.counts.items() if category not in known)
        foreign = counts.flags[f"unseen:{name}"]
        # Any of the categories that are as rare may be the one that a small reference missed.
        missed = new / max(column.n, 1) * sum(known.values())
        as_rare = sum(n <= AS_RARE * missed for n in known.values())
        ways = max(as_rare, 1)
        if foreign >= new:
            yield "unseen", foreign, column.reference.other, 1
        else:
            yield "unseen", new, once, ways


def _new_categories(column: Histogram) -> tuple[str, ...]:
    """The most frequent categories that training never saw, in the order of the alphabet."""
    if not isinstance(column, CategoricalHistogram):
        return ()
    known = column.reference.counts
    new = {name: n for name, n in column.counts.items() if n and name not in known}
    return tuple(sorted(sorted(new, key=lambda name: -new[name])[:MAX_CATEGORIES_NAMED]))


def _far(
    name: str,
    column: NumericHistogram,
    counts: QualityCounts,
    settings: MonitoringSettings,
    alpha: float,
) -> Iterator[QualityFinding]:
    """Numbers far from the reference, or outside the schema's range.

    What the schema refuses needs no test. Of a heavy tail a few rows may lie beyond a whole span of
    a small reference by chance: that is excluded by an exact count, as if they only lay beyond
    its ends.
    """
    flagged = counts.flags[f"clipped:{name}"] + counts.flags[f"out_of_range:{name}"]
    factor = wrong_unit(column.reference, column.far_values)
    n, known = column.n - column.missing, sum(column.reference.counts)
    sides = column.far_below, column.far - column.far_below
    by_chance = 2 * min(exceedance_p_value(beyond, n, known) for beyond in sides)
    fits = bool(factor) and column.far >= MIN_UNIT_VALUES
    certain = column.far if fits or by_chance < alpha else 0
    faulty = max(certain, flagged)
    if faulty < max(settings.fault_share * column.n, 2):
        return
    if factor:
        detail = f"{faulty} of {column.n} rows fit when divided by {factor:g}"
        yield _fault(name, "unit", faulty, column.n, detail=detail)
    else:
        detail = f"{faulty} of {column.n} rows, from {column.minimum:g} to {column.maximum:g}"
        yield _fault(name, "out_of_range", faulty, column.n, detail=detail)


def _constant_at_training(name: str, column: NumericHistogram) -> QualityFinding | None:
    """Training knew one value in nearly all rows; here most rows have another one.

    The data may well be right now, and was not then: the model has learned nothing from it.
    """
    reference = column.reference
    known, top = sum(reference.counts), max(reference.counts)
    if not known or top < CONSTANT * known:
        return None
    values = column.n - column.missing - column.mistyped
    place = reference.counts.index(top)
    usual = int(column.counts[place])
    # A bin without an edge holds every number; the far ones differ from the constant for certain.
    other = column.far if not reference.edges else values - usual
    if other < max(MOST * column.n, 2):
        return None
    edges = reference.edges
    # The edges of a column of few values are the values themselves.
    value = edges[place] if place < len(edges) else reference.maximum
    detail = (
        f"training saw {value:g} in {top / known:.0%} of the rows, so the model learned nothing "
        f"from this column; {other} of {column.n} rows have another value, from "
        f"{column.minimum:g} to {column.maximum:g}"
    )
    return _fault(name, "constant_at_training", other, column.n, detail=detail)


def wrong_unit(reference: NumberReference, values: Sequence[float]) -> float:
    """The factor by which far values were multiplied, or 0 where none explains them.

    Divided by it, the values must be distributed like the reference (KS distance at most 0.3).
    """
    if not values:
        return 0.0
    distances = {factor: _misfit(reference, np.array(values) / factor) for factor in UNIT_FACTORS}
    best = min(distances, key=lambda factor: distances[factor])
    return best if distances[best] <= MAX_UNIT_DISTANCE else 0.0


def _misfit(reference: NumberReference, values: NDArray[np.float64]) -> float:
    """The KS distance of values from the reference, plus their share outside its ends."""
    index = np.searchsorted(np.array(reference.edges), values, side="left")
    found = np.bincount(index, minlength=len(reference.edges) + 1)
    inside = np.mean((values >= reference.minimum) & (values <= reference.maximum))
    return st.kolmogorov_smirnov(np.array(reference.counts), found)[0] + 1 - float(inside)


def _is_constant(column: Histogram) -> bool:
    if column.n - column.missing - column.mistyped < 2:  # noqa: PLR2004 - one row is one value
        return False
    reference = column.reference.counts
    sizes = list(reference.values()) if isinstance(reference, dict) else list(reference)
    varied = max(sizes, default=0) < NEARLY_CONSTANT * max(sum(sizes), 1)
    if isinstance(column, NumericHistogram):
        return varied and column.minimum == column.maximum
    return varied and sum(n > 0 for n in column.counts.values()) == 1


def _unknown_features(
    counts: QualityCounts, rows: int, settings: MonitoringSettings
) -> Iterator[QualityFinding]:
    for name, n in sorted(counts.unknown_features.items()):
        if n >= settings.fault_share * rows:
            detail = f"{n} of {rows} rows have a column that training did not know"
            yield _fault(name, "new_column", n, rows, detail=detail)


def _duplicates(counts: QualityCounts, settings: MonitoringSettings) -> Iterator[QualityFinding]:
    repeated, seen = counts.duplicates.found()
    if repeated and repeated >= settings.fault_share * seen:
        detail = f"{repeated / seen:.1%} of the rows have the id of an earlier row"
        yield _fault("prediction_id", "duplicates", repeated, seen, detail=detail)


def _fault(
    column: str,
    fault: DataFault,
    faulty: int,
    n: int,
    *,
    before: float = 0.0,
    p: float = 0.0,
    detail: str,
) -> QualityFinding:
    return QualityFinding(
        column=column,
        fault=fault,
        share=faulty / max(n, 1),
        reference_share=before,
        p_value=p,
        detail=detail,
    )
