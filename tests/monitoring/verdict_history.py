"""Made-up verdicts on the windows of one version, a day each."""

from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from contracts.times import utc_text
from contracts.verdict import Finding, Verdict, Window, derived_conditions
from monitoring.traffic.window import TimeWindow

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


DAY = timedelta(days=1)


def finding(column: str, size: float, *, drifted: bool = False) -> Finding:
    return Finding(
        column=column,
        kind="number",
        n=1000,
        p_value=0.5,
        test="",
        statistics={"ks": size},
        effect="ks",
        effect_size=size,
        effect_threshold=0.05,
        drifted=drifted,
    )


def verdict(day: int, *findings: Finding, **changes: Any) -> Verdict:
    start = MONDAY + day * DAY
    fields: dict[str, Any] = {
        "verdict_id": f"tiny-1-{day}",
        "model": "tiny",
        "version": 1,
        "run_id": "r",
        "made_at": utc_text(start),
        "window": Window(
            start=utc_text(start), end=utc_text(start + DAY), rows=1000, files=1, torn_lines=0
        ),
        "decision": "drift" if any(f.drifted for f in findings) else "stable",
        "sentence": f"day {day}",
        "findings": findings,
        "manifest_digest": "",
        "report": f"{day}.html",
    }
    return with_conditions(Verdict(**(fields | changes)))


def with_conditions(verdict: Verdict) -> Verdict:
    """The verdict with the conditions that its decision and findings show."""
    return replace(verdict, conditions=derived_conditions(verdict))


def window(day: int) -> TimeWindow:
    return TimeWindow("tiny", 1, MONDAY + day * DAY, MONDAY + (day + 1) * DAY)
