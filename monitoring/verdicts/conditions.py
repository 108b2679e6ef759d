"""The conditions of a window, each judged apart from the others: pure functions of findings.

A fault of the data never hides that the model has become worse, and neither hides a drift: each
condition has its own state, its own run of windows and its own words.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from contracts.verdict import (
    DELIVERY_FAULTS,
    Condition,
    Finding,
    Performance,
    QualityFinding,
    Verdict,
    VerdictKind,
    Window,
)
from monitoring.settings import MonitoringSettings
from monitoring.traffic.window import is_same_length, window_seconds
from monitoring.verdicts.summary import delivery_text, drift_text, performance_text, quality_text

CERTAIN = 1e-5
"""A fall of performance with a p-value below this is confirmed by one window. At 96 windows a day
this is a false alarm in a thousand days; two windows in a row below 0.01, one in a hundred."""


@dataclass(frozen=True)
class WindowFindings:
    """What was found in a window; `is_judged` says whether it has enough rows to judge."""

    window: Window
    is_judged: bool
    torn: int = 0
    findings: Sequence[Finding] = ()
    quality: Sequence[QualityFinding] = ()
    performance: Performance | None = None


def judge_conditions(
    found: WindowFindings, earlier: Sequence[Verdict], settings: MonitoringSettings
) -> tuple[Condition, ...]:
    """The conditions of a window, in the order of `ConditionKind`.

    `earlier` are the verdicts on earlier windows of the version, by time: a drift must last for
    `settings.drift_windows` windows to be confirmed, and worse performance for
    `settings.performance_windows`, unless it is certain.
    """
    conditions = (_delivery(found), _quality(found), _performance(found), _drift(found))
    return tuple(_confirmed(_with_run(c, found.window, earlier), found, settings)
                 for c in conditions)  # fmt: skip


def decide(found: WindowFindings, conditions: Sequence[Condition]) -> VerdictKind:
    """The decision: the conditions of a window in one word, for a badge.

    Where several alarm, what the data did comes first, since it may be the cause of the others.
    """
    if not found.window.rows:
        return "unreadable" if found.torn else "no_traffic"
    if not found.is_judged:
        return "too_few_rows"
    alarming = {c.kind for c in conditions if c.is_alarming}
    if alarming & {"delivery", "quality"}:
        return "quality"
    if "performance" in alarming:
        return "performance"
    return "drift" if "drift" in alarming else "stable"


def _delivery(found: WindowFindings) -> Condition:
    faults = [q for q in found.quality if q.fault in DELIVERY_FAULTS and q.alarming]
    text = delivery_text(found.window, found.torn, faults)
    if text:
        return Condition(kind="delivery", state="alarming", sentence=text)
    return Condition(kind="delivery", state="clear" if found.is_judged else "unknown")


def _quality(found: WindowFindings) -> Condition:
    if not found.is_judged:
        return Condition(kind="quality", state="unknown")
    faults = [q for q in found.quality if q.fault not in DELIVERY_FAULTS]
    alarming = [q for q in faults if q.alarming]
    if alarming:
        return Condition(kind="quality", state="alarming", sentence=quality_text(alarming))
    usual = [q for q in faults if q.accepted_in]
    if usual:
        return Condition(kind="quality", state="accepted", sentence=quality_text(usual))
    return Condition(kind="quality", state="clear")


def _performance(found: WindowFindings) -> Condition:
    performance = found.performance
    if performance is None or performance.status != "judged":
        return Condition(kind="performance", state="unknown")
    if not any(metric.worse for metric in performance.metrics):
        return Condition(kind="performance", state="clear")
    return Condition(kind="performance", state="alarming", sentence=performance_text(performance))


def _drift(found: WindowFindings) -> Condition:
    if not found.is_judged:
        return Condition(kind="drift", state="unknown")
    text = drift_text(found.findings)
    return Condition(kind="drift", state="alarming" if text else "clear", sentence=text)


def _with_run(condition: Condition, window: Window, earlier: Sequence[Verdict]) -> Condition:
    """The condition with the unbroken run of windows of this length in which it has alarmed.

    A window in which it was not judged neither ends nor lengthens the run.
    """
    if not condition.is_alarming:
        return condition
    since, windows = window.start, 1
    for before in reversed(earlier):
        then = before.condition(condition.kind)
        if not is_same_length(window_seconds(before.window), window_seconds(window)):
            continue
        if then.state in {"clear", "accepted"}:
            break
        if then.is_alarming:
            since, windows = before.window.start, windows + 1
    return replace(condition, since=since, windows=windows)


def _confirmed(
    condition: Condition, found: WindowFindings, settings: MonitoringSettings
) -> Condition:
    """The condition with whether it has lasted: one window alarms by chance more often than two.

    A drift counts if the same column has lasted, and is no season that is still being learned.
    """
    if not condition.is_alarming:
        return condition
    confirmed = True
    if condition.kind == "drift":
        confirmed = any(
            f.drifted and not f.learning and f.windows >= settings.drift_windows
            for f in found.findings
        )
    elif condition.kind == "performance" and found.performance is not None:
        certain = any(m.worse and m.p_value < CERTAIN for m in found.performance.metrics)
        confirmed = certain or condition.windows >= settings.performance_windows
    return replace(condition, confirmed=confirmed)
