"""Whether a verdict calls for a retraining; pure functions of documents.

Performance that labels have shown to be worse does, whatever else was found. Drift does if the
columns that drifted carry enough of the model's skill, and the data has no faults: a model that
learns them is wrong in a new way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.retraining import Reason, Retraining
from contracts.times import parse_utc, utc_text
from contracts.verdict import Finding, Verdict
from monitoring.alerting.episodes import alarm_start

MAX_NAMED_FEATURES = 3
"""Columns that an objection names."""


@dataclass(frozen=True)
class RetrainingTrigger:
    """Why a model should be retrained; `since` is the time from which that holds.

    `because` says it in words; `verdict` is the one that calls for it, if one does.
    """

    reason: Reason
    because: str
    verdict: Verdict | None = None
    since: str = ""

    @property
    def verdict_id(self) -> str:
        """The id of the verdict that calls for it, or nothing."""
        return self.verdict.verdict_id if self.verdict else ""


@dataclass(frozen=True)
class TriggerEvaluation:
    """What a verdict comes to: a trigger, or an objection to a retraining."""

    trigger: RetrainingTrigger | None
    objection: str = ""


def evaluate_trigger(
    verdict: Verdict,
    earlier: Sequence[Verdict],
    importance: Mapping[str, float],
    min_importance: float,
    windows: int = 1,
) -> TriggerEvaluation:
    """Whether a verdict calls for a retraining, and since when.

    Args:
        verdict: the verdict on the newest window.
        earlier: the verdicts before it, by time.
        importance: the share of each feature in the model's skill.
        min_importance: the share that the drifted features must carry together.
        windows: how many consecutive windows a feature must have drifted to count.

    """
    worse, drift = verdict.condition("performance"), verdict.condition("drift")
    objections = []
    if worse.is_alarming and verdict.performance is not None:
        if worse.confirmed:
            since = alarm_start(verdict, earlier, "performance", of_labels=True)
            trigger = RetrainingTrigger("performance", verdict.sentence, verdict, since)
            return TriggerEvaluation(trigger)
        objections.append(
            f"verdict {verdict.verdict_id}: expected worse performance in consecutive windows, or "
            "a fall that is certain, got one window"
        )
    if verdict.condition("quality").is_alarming:
        objections.append(
            f"verdict {verdict.verdict_id}: expected worse performance, or drift in data without "
            f"faults, got {verdict.decision!r}"
        )
    elif drift.is_alarming:
        found = _evaluate_drift(verdict, importance, min_importance, windows)
        if found.trigger:
            return found
        objections.append(found.objection)
    if not objections:
        objections.append(
            f"verdict {verdict.verdict_id}: expected worse performance, or drift in columns that "
            f"matter, got {verdict.decision!r}"
        )
    return TriggerEvaluation(None, "; ".join(objections))


def _evaluate_drift(
    verdict: Verdict, importance: Mapping[str, float], min_importance: float, windows: int
) -> TriggerEvaluation:
    drifted = [f for f in verdict.findings if f.drifted and not f.learning and f.windows >= windows]
    carried = sum(importance.get(f.column, 0.0) for f in drifted)
    if carried < min_importance:
        return TriggerEvaluation(
            None,
            f"verdict {verdict.verdict_id}: expected drift for {windows} windows in a row in "
            f"columns that carry {min_importance:.0%} of the model's skill, got {carried:.1%} "
            f"({_named(drifted, importance) or 'no column drifted that long'})",
        )
    since = min((f.since for f in drifted if f.since), default=verdict.window.start)
    return TriggerEvaluation(RetrainingTrigger("drift", verdict.sentence, verdict, since))


def _named(drifted: Sequence[Finding], importance: Mapping[str, float]) -> str:
    shares = {f.column: importance.get(f.column, 0.0) for f in drifted}
    most = sorted(shares, key=lambda name: -shares[name])[:MAX_NAMED_FEATURES]
    return ", ".join(f"{name} {shares[name]:.1%}" for name in most)


def too_soon(before: Sequence[Retraining], pause_s: float, *, now: datetime) -> str:
    """An objection if the last retraining began less than a pause ago, or nothing."""
    if not before:
        return ""
    last = parse_utc(before[-1].request.made_at)
    allowed = last + timedelta(seconds=pause_s)
    if now >= allowed:
        return ""
    return (
        f"retraining: the last one began at {utc_text(last)}; the next is allowed from "
        f"{utc_text(allowed)} on (pause: {pause_s:g} s)"
    )
