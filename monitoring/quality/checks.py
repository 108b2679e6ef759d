"""Faults of the data itself: looked for first, since no drift score can see them."""

from collections.abc import Iterator, Sequence

import numpy as np

from contracts.reference import NumberReference, Reference
from contracts.verdict import DataFault, QualityFinding
from monitoring.drift import statistics as st
from monitoring.drift.histograms import CategoricalHistogram, NumericHistogram, WindowHistograms
from monitoring.settings import MonitoringSettings

AS_RARE = 2
"""A category this many times as frequent as another counts as rare as that one."""
NEARLY_CONSTANT = 0.95
"""A reference in which one value has this share may well look constant in a window."""
FACTORS = (1000.0, 100.0, 1e6, 60.0, 3600.0, 1024.0)
"""Wrong units that people send: kilo, percent or cents, micro, minutes, hours, kibi."""
_FITS = 0.3
"""Far values fit a unit if, divided by it, they lie within this KS of the reference."""


def quality_findings(
    counts: WindowHistograms, reference: Reference, settings: MonitoringSettings
) -> Iterator[QualityFinding]:
    """Each fault whose share rose significantly AND by enough; no row, no fault."""
    if not counts.rows:
        return
    for name in reference.features:
        yield from _of_column(name, counts, reference, settings)
    yield from _strangers(counts, settings)
    yield from _duplicates(counts, settings)


def _of_column(
    name: str,
    counts: WindowHistograms,
    reference: Reference,
    settings: MonitoringSettings,
) -> Iterator[QualityFinding]:
    column = counts.columns[name]
    words_only = [c for c in counts.columns.values() if isinstance(c, CategoricalHistogram)]
    # Each kind of fault has its own chance of a false alarm, over the columns it can be in.
    alphas = {
        "missing": settings.alpha / len(reference.features),
        "unseen": settings.alpha / max(len(words_only), 1),
    }
    if column.mistyped >= settings.fault_share * column.n and column.mistyped:
        words = f"{column.mistyped} of {column.n} rows are of another type than at training"
        yield _fault(name, "type_change", column.mistyped, column.n, detail=words)
    if column.n and column.missing == column.n and column.reference.missing < reference.n_rows:
        yield _fault(name, "vanished", column.n, column.n, detail="no value in any row")
        return
    for fault, faulty, before, ways in _shares(name, column, counts):
        share = before / max(reference.n_rows, 1)
        p_value = st.fisher_exact_greater(faulty, column.n, before, reference.n_rows)
        rise = faulty / max(column.n, 1) - share
        if p_value < alphas[fault] / ways and rise >= settings.fault_share:
            words = f"{faulty} of {column.n} rows; {share:.1%} at training"
            yield _fault(name, fault, faulty, column.n, before=share, p=p_value, detail=words)
    if isinstance(column, NumericHistogram):
        yield from _far(name, column, counts, settings)
    if _is_constant(column):
        yield _fault(name, "constant", column.n, column.n, detail="one value in all rows")


def _shares(
    name: str, column: NumericHistogram | CategoricalHistogram, counts: WindowHistograms
) -> Iterator[tuple[DataFault, int, int, int]]:
    """Faults by name: faulty rows in the window and the reference, and the ways to be faulty."""
    yield "missing", column.missing, column.reference.missing, 1
    if isinstance(column, CategoricalHistogram):
        # Of categories that training never saw, as many rows are to be expected as there are
        # categories that it saw once (Good 1953); none of those the schema does not know.
        once = sum(n == 1 for n in column.reference.counts.values())
        new = sum(n for word, n in column.counts.items() if word not in column.reference.counts)
        foreign = counts.flags[f"unseen:{name}"]
        # Any of the categories that are as rare may be the one that a small reference missed.
        missed = new / max(column.n, 1) * sum(column.reference.counts.values())
        as_rare = sum(n <= AS_RARE * missed for n in column.reference.counts.values())
        ways = max(as_rare, 1)
        yield ("unseen", foreign, 0, 1) if foreign >= new else ("unseen", new, once, ways)


def _far(
    name: str, column: NumericHistogram, counts: WindowHistograms, settings: MonitoringSettings
) -> Iterator[QualityFinding]:
    """Numbers beyond a span of the reference's ends, or out of the schema's range.

    They need no test: a span beyond the ends of the reference, five rows in a thousand do
    not lie by chance.
    """
    flagged = counts.flags[f"clipped:{name}"] + counts.flags[f"out_of_range:{name}"]
    faulty = max(column.far, flagged)
    if faulty < max(settings.fault_share * column.n, 2):
        return
    factor = wrong_unit(column.reference, column.far_values)
    if factor:
        words = f"{faulty} of {column.n} rows fit when divided by {factor:g}"
        yield _fault(name, "unit", faulty, column.n, detail=words)
    else:
        words = f"{faulty} of {column.n} rows, from {column.minimum:g} to {column.maximum:g}"
        yield _fault(name, "out_of_range", faulty, column.n, detail=words)


def wrong_unit(reference: NumberReference, values: Sequence[float]) -> float:
    """The factor by which far values were multiplied, or 0 where none explains them.

    Divided by it they must be distributed like the reference (KS at most 0.3).
    """
    if not values:
        return 0.0
    distances = {factor: _misfit(reference, np.array(values) / factor) for factor in FACTORS}
    best = min(distances, key=lambda factor: distances[factor])
    return best if distances[best] <= _FITS else 0.0


def _misfit(
    reference: NumberReference, values: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> float:
    places = np.searchsorted(np.array(reference.edges), values, side="left")
    found = np.bincount(places, minlength=len(reference.edges) + 1)
    inside = np.mean((values >= reference.minimum) & (values <= reference.maximum))
    return st.kolmogorov_smirnov(np.array(reference.counts), found)[0] + 1 - float(inside)


def _is_constant(column: NumericHistogram | CategoricalHistogram) -> bool:
    if column.n - column.missing - column.mistyped < 2:  # noqa: PLR2004 - one row is one value
        return False
    reference = column.reference.counts
    sizes = list(reference.values()) if isinstance(reference, dict) else list(reference)
    varied = max(sizes, default=0) < NEARLY_CONSTANT * max(sum(sizes), 1)
    if isinstance(column, NumericHistogram):
        return varied and column.minimum == column.maximum
    return varied and sum(n > 0 for n in column.counts.values()) == 1


def _strangers(counts: WindowHistograms, settings: MonitoringSettings) -> Iterator[QualityFinding]:
    for name, n in sorted(counts.strangers.items()):
        if n >= settings.fault_share * counts.rows:
            words = f"{n} of {counts.rows} rows have a column that training did not know"
            yield _fault(name, "new_column", n, counts.rows, detail=words)


def _duplicates(counts: WindowHistograms, settings: MonitoringSettings) -> Iterator[QualityFinding]:
    again, seen = counts.duplicates.found()
    if again and again >= settings.fault_share * seen:
        words = f"{again / seen:.1%} of the rows have the id of an earlier row"
        yield _fault("prediction_id", "duplicates", again, seen, detail=words)


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
