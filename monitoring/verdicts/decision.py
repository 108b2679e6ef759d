"""The decision on a window: one word for what its findings mean."""

from collections.abc import Sequence

from contracts.verdict import Finding, QualityFinding, VerdictKind
from monitoring.settings import MonitoringSettings

JUDGED: frozenset[VerdictKind] = frozenset({"stable", "drift", "quality", "performance"})
"""Decisions on windows with enough rows; other windows have no findings."""


def decide(
    rows: int,
    torn: int,
    findings: Sequence[Finding],
    quality: Sequence[QualityFinding],
    settings: MonitoringSettings,
    *,
    worse: bool = False,
) -> VerdictKind:
    """What a window means; faults of the data come before drift, which they may cause.

    Args:
        rows: the window's rows.
        torn: lines and files of the window that could not be read.
        findings: drift, one finding per column.
        quality: faults of the data.
        settings: the least number of rows to judge.
        worse: labels have shown the model to be worse than at training.

    """
    if not rows:
        return "unreadable" if torn else "no_traffic"
    if rows < settings.fewest_rows:
        return "too_few_rows"
    if any(fault.alarming for fault in quality):
        return "quality"
    if worse:
        return "performance"
    return "drift" if any(finding.drifted for finding in findings) else "stable"
