"""A verdict in one sentence, and the names that people use for effects and metrics."""

from collections.abc import Sequence

from contracts.verdict import (
    Condition,
    Finding,
    Performance,
    QualityFinding,
    VerdictKind,
    Window,
)
from monitoring.verdicts.history import strongest

MAX_NAMED_COLUMNS = 3
"""Columns that the sentence names."""
MIN_TWO_DECIMALS = 0.02
EFFECT_NAMES = {
    "ks": "KS",
    "wasserstein_normed": "Wasserstein",
    "total_variation": "total variation",
    "below_minimum": "share below training's smallest",
    "above_maximum": "share above training's largest",
    "category_odds": "log-odds of a value",
    "tail_odds": "log-odds of a tail",
    "spread": "log-spread",
    "week_ks": "KS of seven days",
    "week_total_variation": "total variation of seven days",
    "week_category_odds": "log-odds of a value in seven days",
    "week_tail_odds": "log-odds of a tail in seven days",
    "week_spread": "log-spread of seven days",
}
METRIC_NAMES = {"roc_auc": "AUC", "brier": "Brier score", "log_loss": "log loss", "rmse": "RMSE"}
"""Other metrics are called by their own names."""


def verdict_sentence(
    title: str, decision: VerdictKind, window: Window, conditions: Sequence[Condition]
) -> str:
    """The verdict for a person who reads nothing else: every alarming condition, none hidden.

    `title` is model and version.
    """
    rows = f"{window.rows:,} rows"
    found = "; ".join(c.sentence for c in conditions if c.is_alarming)
    if decision == "too_few_rows":
        return f"{title}: {rows} are too few to judge{f'; {found}' if found else ''}."
    if decision == "stable":
        usual = [c.sentence for c in conditions if c.state == "accepted"]
        known = f", except for what was accepted: {'; '.join(usual)}" if usual else ""
        return f"{title}: {rows} like the training data{known}."
    return f"{title}: {found}{f', in {rows}' if window.rows else ''}."


def delivery_text(window: Window, torn: int, faults: Sequence[QualityFinding]) -> str:
    """What is wrong with the delivery of a window's traffic, or nothing."""
    if not window.rows and torn:
        return f"none of {window.torn_lines:,} lines of traffic can be read"
    if not window.rows:
        return f"no traffic from {time_range_text(window.start, window.end)} UTC"
    return f"traffic is incomplete: {_faults(faults)}" if faults else ""


def quality_text(faults: Sequence[QualityFinding]) -> str:
    """Which columns have which faults, in how many of the rows."""
    return f"data faults in {_faults(faults)}"


def drift_text(findings: Sequence[Finding]) -> str:
    """Which columns have drifted and by how much, or nothing."""
    drifted = strongest([f for f in findings if f.drifted])
    lasting = [_drifted_text(f) for f in drifted if not f.learning]
    perhaps = [_drifted_text(f) for f in drifted if f.learning]
    texts = [f"{_listed(lasting)} drifted"] if lasting else []
    if perhaps:
        texts.append(f"learning the week: {_listed(perhaps)} may be a season")
    return "; ".join(texts)


def time_range_text(start: str, end: str) -> str:
    """Two times of a document for people: the day once, seconds only if they are not 0.

    >>> time_range_text("2026-01-31T12:00:00Z", "2026-01-31T13:00:00Z")
    '2026-01-31 12:00 to 13:00'
    >>> time_range_text("2026-01-31T12:00:00Z", "2026-01-31T12:00:07Z")
    '2026-01-31 12:00:00 to 12:00:07'
    """
    first, last = start.replace("T", " "), end.replace("T", " ")
    length = 16 if first[17:19] == last[17:19] == "00" else 19
    same_day = first[:10] == last[:10]
    return f"{first[:length]} to {last[11 if same_day else 0 : length]}"


def performance_text(performance: Performance) -> str:
    """By how much the model has become worse, in the metric that shows it."""
    first = next(metric for metric in performance.metrics if metric.worse)
    name = METRIC_NAMES.get(first.metric, first.metric)
    worst = next((part for part in performance.segments if part.worse), None)
    where = f", worst where {worst.segment} = {worst.value} ({worst.now:.3g})" if worst else ""
    change = "down from" if first.greater_is_better else "up from"
    labels = f"on {performance.labels:,} labels"
    return f"{name} {first.value:.3g}, {change} {first.baseline:.3g} at training{where}, {labels}"


def _faults(faults: Sequence[QualityFinding]) -> str:
    return _listed([f"{fault.column} ({fault.fault}, {fault.share:.1%})" for fault in faults])


def _drifted_text(finding: Finding) -> str:
    effect = f"{EFFECT_NAMES[finding.effect]} {_size(finding)}"
    return f"{finding.column} ({effect}{_season(finding)}{_slowly(finding)}{_where(finding)})"


def _season(finding: Finding) -> str:
    """What a seasonal column is compared with; its last days are compared with training."""
    is_week = finding.effect.startswith("week_")
    return f", compared with {finding.season}" if finding.season and not is_week else ""


def _size(finding: Finding) -> str:
    """The effect with two decimals, or two digits where it is smaller than they show."""
    size = finding.effect_size
    return f"{size:.2f}" if size >= MIN_TWO_DECIMALS else f"{size:.2g}"


def _slowly(finding: Finding) -> str:
    """That it is the trend that shows the drift, where no single window would."""
    trend = finding.trend
    if trend is None or not trend.is_alarming or finding.effect_size >= finding.effect_threshold:
        return ""
    return f", slowly since {trend.since[:10]}"


def _where(finding: Finding) -> str:
    return f", mostly {finding.segment}" if finding.segment else ""


def _listed(names: list[str]) -> str:
    more = len(names) - MAX_NAMED_COLUMNS
    shown = ", ".join(names[:MAX_NAMED_COLUMNS])
    return f"{shown} and {more} more" if more > 0 else shown
