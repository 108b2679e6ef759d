"""A verdict in one plain sentence."""

from contracts.verdict import Decision, Finding, QualityFinding, Window

MOST_NAMED = 3
EFFECTS = {"ks": "KS", "wasserstein_normed": "Wasserstein", "total_variation": "total variation"}
"""How people call the effects."""


def sentence_of(
    title: str,
    decision: Decision,
    window: Window,
    findings: tuple[Finding, ...],
    quality: tuple[QualityFinding, ...],
) -> str:
    """What was found, for a person who reads nothing else; `title` is model and version."""
    rows = f"{window.rows:,} rows"
    if decision == "no_traffic":
        return f"{title}: no traffic between {window.start} and {window.end}."
    if decision == "unreadable":
        return f"{title}: {window.torn_lines} lines of traffic, and none can be read."
    if decision == "too_few_rows":
        return f"{title}: {rows} are too few to judge."
    if decision == "stable":
        return f"{title}: {rows} like the training data."
    if decision == "quality":
        faults = [f"{fault.column} ({fault.fault}, {fault.share:.1%})" for fault in quality]
        return f"{title}: the data is at fault in {_listed(faults)}, in {rows}."
    drifted = sorted((f for f in findings if f.drifted), key=_strength, reverse=True)
    named = [f"{f.column} ({EFFECTS[f.effect]} {f.effect_size:.2f})" for f in drifted]
    return f"{title}: {_listed(named)} drifted, in {rows}."


def _strength(finding: Finding) -> float:
    return finding.effect_size / finding.effect_threshold


def _listed(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    shown = ", ".join(names[:MOST_NAMED])
    return f"{shown} and {more} more" if more > 0 else shown
