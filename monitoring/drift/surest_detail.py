"""The detail in which a column drifts: of those that are large and certain, the surest."""

from collections.abc import Sequence
from dataclasses import replace as replace_detail

from msgspec.structs import replace

from contracts.verdict import Finding
from monitoring.drift.details import Detail
from monitoring.drift.thresholds import DriftThresholds


def surest_detail(
    column: str, details: Sequence[Detail], chance: float, thresholds: DriftThresholds
) -> Detail | None:
    """The detail with the least p-value, corrected for their number; None if none is certain.

    `chance` is that of a false alarm in any detail of the column. Details that a person accepted
    count for nothing.
    """
    certain = [
        d
        for d in details
        if d.is_large
        and d.p_value < chance / len(details)
        and not thresholds.is_accepted(column, d.effect, d.size)
    ]
    if not certain:
        return None
    surest = min(certain, key=lambda d: d.p_value)
    return replace_detail(surest, p_value=min(surest.p_value * len(details), 1.0))


def drifted_in(finding: Finding, detail: Detail) -> Finding:
    """The finding of a column that drifts in a detail."""
    return replace(
        finding,
        drifted=True,
        effect=detail.effect,
        effect_size=detail.size,
        effect_threshold=detail.threshold,
        p_value=detail.p_value,
        statistics=finding.statistics | {detail.effect: detail.size},
        threshold_from="settings",
    )
