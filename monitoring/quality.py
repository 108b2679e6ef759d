"""Faults of the data itself: looked for first, since no drift score can see them."""

from collections.abc import Iterator

from contracts.reference import Reference
from contracts.verdict import QualityFinding
from monitoring.counts import CategoryCount, NumberCount, WindowCounts
from monitoring.settings import MonitoringSettings
from monitoring.statistics import rise_of_share

NEARLY_CONSTANT = 0.95
"""A reference in which one value has this share may well look constant in a window."""


def quality_findings(
    counts: WindowCounts, reference: Reference, settings: MonitoringSettings
) -> Iterator[QualityFinding]:
    """Each fault whose share rose significantly AND by enough."""
    names = list(reference.features)
    alpha = settings.alpha / max(3 * len(names), 1)
    for name in names:
        column = counts.columns[name]
        if column.n and column.missing == column.n and column.reference.missing < reference.n_rows:
            yield _fault(name, "vanished", column.n, column.n, 0.0, 0.0, "no value in any row")
            continue
        for fault, faulty, before in _shares(name, column, counts):
            p_value = rise_of_share(faulty, column.n, before, reference.n_rows)
            rise = faulty / max(column.n, 1) - before / reference.n_rows
            if p_value < alpha and rise >= settings.fault_share:
                share = before / reference.n_rows
                words = f"{faulty} of {column.n} rows; {share:.1%} at training"
                yield _fault(name, fault, faulty, column.n, share, p_value, words)
        if _is_constant(column):
            yield _fault(name, "constant", column.n, column.n, 0.0, 0.0, "one value in all rows")


def _shares(
    name: str, column: NumberCount | CategoryCount, counts: WindowCounts
) -> Iterator[tuple[str, int, int]]:
    """Faults by name: faulty rows in the window, and in the reference."""
    yield "missing", column.missing, column.reference.missing
    if isinstance(column, NumberCount):
        flagged = counts.flags[f"clipped:{name}"] + counts.flags[f"out_of_range:{name}"]
        yield "out_of_range", max(column.far, flagged), 0
    else:
        known = column.reference.counts.keys()
        yield "unseen", sum(n for word, n in column.counts.items() if word not in known), 0


def _is_constant(column: NumberCount | CategoryCount) -> bool:
    reference = column.reference.counts
    sizes = list(reference.values()) if isinstance(reference, dict) else list(reference)
    varied = max(sizes, default=0) < NEARLY_CONSTANT * max(sum(sizes), 1)
    if isinstance(column, NumberCount):
        return varied and column.minimum == column.maximum
    return varied and len(column.counts) == 1


def _fault(
    column: str, fault: str, faulty: int, n: int, before: float, p_value: float, detail: str
) -> QualityFinding:
    return QualityFinding(
        column=column,
        fault=fault,  # type: ignore[arg-type]  # the words of this file are the document's
        share=faulty / max(n, 1),
        reference_share=before,
        p_value=p_value,
        detail=detail,
    )
