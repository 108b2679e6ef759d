"""A verdict in one plain sentence."""

from collections.abc import Sequence

from contracts.verdict import Finding, Performance, QualityFinding, VerdictKind, Window
from monitoring.verdicts.history import strongest

MOST_NAMED = 3
EFFECTS = {"ks": "KS", "wasserstein_normed": "Wasserstein", "total_variation": "total variation"}
"""How people call the effects."""
METRICS = {"roc_auc": "AUC", "brier": "Brier score", "log_loss": "log loss", "rmse": "RMSE"}
"""How people call the metrics; others are words already."""


def sentence_of(
    title: str,
    decision: VerdictKind,
    window: Window,
    findings: Sequence[Finding],
    quality: Sequence[QualityFinding],
    performance: Performance | None = None,
) -> str:
    """What was found, for a person who reads nothing else; `title` is model and version."""
    rows = f"{window.rows:,} rows"
    plain: dict[VerdictKind, str] = {
        "no_traffic": f"no traffic from {between(window.start, window.end)} UTC",
        "unreadable": f"{window.torn_lines} lines of traffic, and none can be read",
        "too_few_rows": f"{rows} are too few to judge",
        "stable": f"{rows} like the training data",
    }
    if decision in plain:
        return f"{title}: {plain[decision]}."
    if decision == "quality":
        faults = [
            f"{fault.column} ({fault.fault}, {fault.share:.1%})"
            for fault in quality
            if fault.alarming
        ]
        return f"{title}: the data is at fault in {_listed(faults)}, in {rows}."
    drifted = [
        f"{f.column} ({EFFECTS[f.effect]} {f.effect_size:.2f}{_where(f)})"
        for f in strongest([f for f in findings if f.drifted])
    ]
    if decision == "performance" and performance is not None:
        also = f"; {_listed(drifted)} drifted" if drifted else ""
        return f"{title}: {_worse(performance)}, by {performance.labels:,} labels{also}."
    return f"{title}: {_listed(drifted)} drifted, in {rows}."


def between(start: str, end: str) -> str:
    """Two moments of a document for people: the day once, seconds only where they say something.

    >>> between("2026-01-31T12:00:00Z", "2026-01-31T13:00:00Z")
    '2026-01-31 12:00 to 13:00'
    >>> between("2026-01-31T12:00:00Z", "2026-01-31T12:00:07Z")
    '2026-01-31 12:00:00 to 12:00:07'
    """
    first, last = start.replace("T", " "), end.replace("T", " ")
    length = 16 if first[17:19] == last[17:19] == "00" else 19
    same_day = first[:10] == last[:10]
    return f"{first[:length]} to {last[11 if same_day else 0 : length]}"


def _worse(performance: Performance) -> str:
    first = next(metric for metric in performance.metrics if metric.worse)
    name = METRICS.get(first.metric, first.metric)
    worst = next((part for part in performance.segments if part.worse), None)
    where = f", worst where {worst.segment} = {worst.value} ({worst.now:.3g})" if worst else ""
    return f"{name} {first.value:.3g}, it was {first.baseline:.3g} at training{where}"


def _where(finding: Finding) -> str:
    return f", mostly {finding.segment}" if finding.segment else ""


def _listed(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    shown = ", ".join(names[:MOST_NAMED])
    return f"{shown} and {more} more" if more > 0 else shown
