"""Whether a verdict calls for a retraining; pure functions of documents.

Performance that labels have shown to be worse does. Drift does where the columns that moved
carry enough of the model's skill. Faults of the data do not: a model that learns them is wrong
in a new way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts.retraining import Reason
from contracts.verdict import Finding, Verdict

SHOWN = 3


@dataclass(frozen=True)
class Cause:
    """Why a model shall be trained anew, in a word and in a sentence; `since` when it is so."""

    reason: Reason
    because: str
    verdict: Verdict | None = None
    since: str = ""

    @property
    def verdict_id(self) -> str:
        """The verdict that says so, or nothing."""
        return self.verdict.verdict_id if self.verdict else ""


@dataclass(frozen=True)
class Judged:
    """What a verdict gives: a cause, or an objection against it."""

    cause: Cause | None
    objection: str = ""


def judged(
    verdict: Verdict,
    earlier: Sequence[Verdict],
    importance: Mapping[str, float],
    least: float,
    windows: int = 1,
) -> Judged:
    """Whether a verdict calls for a retraining, and since when it is as it says.

    `earlier` are the verdicts before it, by time; `importance` is the share of each feature
    in the model's skill, of which those that drifted for `windows` in a row must carry `least`.
    """
    if verdict.decision == "performance" and verdict.performance is not None:
        since = verdict.performance.start
        for before in reversed(earlier):
            if before.decision != "performance" or before.performance is None:
                break
            since = min(since, before.performance.start)
        return Judged(Cause("performance", verdict.sentence, verdict, since))
    if verdict.decision == "drift":
        return _of_drift(verdict, importance, least, windows)
    named = f"verdict {verdict.verdict_id}: expected performance that is worse, or drift in columns"
    return Judged(None, f"{named} that matter, got {verdict.decision!r}")


def _of_drift(
    verdict: Verdict, importance: Mapping[str, float], least: float, windows: int
) -> Judged:
    drifted = [f for f in verdict.findings if f.drifted and f.windows >= windows]
    carried = sum(importance.get(f.column, 0.0) for f in drifted)
    if carried < least:
        return Judged(
            None,
            f"verdict {verdict.verdict_id}: expected drift for {windows} windows in a row in "
            f"columns that carry {least:.0%} of the model's skill, got {carried:.1%} "
            f"({_shown(drifted, importance) or 'none that long'})",
        )
    since = min((f.since for f in drifted if f.since), default=verdict.window.start)
    return Judged(Cause("drift", verdict.sentence, verdict, since))


def _shown(drifted: Sequence[Finding], importance: Mapping[str, float]) -> str:
    shares = {f.column: importance.get(f.column, 0.0) for f in drifted}
    most = sorted(shares, key=lambda name: -shares[name])[:SHOWN]
    return ", ".join(f"{name} {shares[name]:.1%}" for name in most)
