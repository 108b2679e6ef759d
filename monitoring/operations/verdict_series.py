"""The newest verdicts of a model: the timeline, and performance with and without labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from contracts.names import Layout
from contracts.times import parse_utc
from contracts.verdict import Performance, Verdict
from monitoring.operations.freshness import Freshness, missing
from monitoring.traffic.window import window_seconds
from monitoring.verdicts.history import newest_verdicts

MAX_WINDOWS = 96
OVERDUE_WINDOWS = 2.0
"""A verdict is stale when this many windows of its length have passed since its window's end."""


@dataclass(frozen=True)
class PerformancePoint:
    """The metric in one window; None where it is not known."""

    time: datetime
    realized: float | None
    low: float | None
    high: float | None
    estimated: float | None


@dataclass(frozen=True)
class PerformanceSeries:
    """One metric over windows: from labels (`realized`), without them (`estimated`).

    `baseline` is the metric on held-out rows; None if no window has it.
    """

    metric: str
    points: tuple[PerformancePoint, ...]
    baseline: float | None

    @property
    def newest_realized(self) -> PerformancePoint | None:
        """The newest point with labels."""
        return next((p for p in reversed(self.points) if p.realized is not None), None)

    @property
    def newest_estimated(self) -> PerformancePoint | None:
        """The newest point with an estimate."""
        return next((p for p in reversed(self.points) if p.estimated is not None), None)


@dataclass(frozen=True)
class LabelState:
    """What is known of labels: when the newest arrived, and the newest verdict's account."""

    performance: Performance | None
    freshness: Freshness


def verdicts_of(layout: Layout, name: str) -> list[Verdict]:
    """The newest verdicts of a model, by the end of their windows."""
    return newest_verdicts(layout, name, MAX_WINDOWS)


def verdict_freshness(name: str, verdicts: Sequence[Verdict]) -> Freshness:
    """When the newest window ended; stale once the next verdict is overdue."""
    command = f"slipway monitor {name} --every 15m"
    if not verdicts:
        return missing("no window has been judged", command)
    window = verdicts[-1].window
    overdue_s = OVERDUE_WINDOWS * window_seconds(window)
    return Freshness(parse_utc(window.end), overdue_s, command=command)


def performance_series(verdicts: Sequence[Verdict]) -> PerformanceSeries | None:
    """The metric that both labels and estimates have, or else the first one; None if none."""
    metric = _metric_of(verdicts)
    if not metric:
        return None
    points, baseline = [], None
    for verdict in verdicts:
        found = verdict.performance.metrics if verdict.performance is not None else ()
        realized = next((m for m in found if m.metric == metric), None)
        estimate = verdict.estimate
        if estimate is not None and (estimate.missing or estimate.metric != metric):
            estimate = None
        if realized is not None:
            baseline = realized.baseline
        elif estimate is not None and baseline is None:
            baseline = estimate.baseline
        points.append(
            PerformancePoint(
                time=parse_utc(verdict.window.end),
                realized=realized.value if realized else None,
                low=realized.low if realized else None,
                high=realized.high if realized else None,
                estimated=estimate.value if estimate else None,
            )
        )
    return PerformanceSeries(metric, tuple(points), baseline)


def _metric_of(verdicts: Sequence[Verdict]) -> str:
    realized: dict[str, None] = {}
    estimated: dict[str, None] = {}
    for verdict in reversed(verdicts):
        if verdict.performance is not None:
            realized |= dict.fromkeys(m.metric for m in verdict.performance.metrics)
        if verdict.estimate is not None and verdict.estimate.metric:
            estimated[verdict.estimate.metric] = None
    both = [metric for metric in estimated if metric in realized]
    return next(iter([*both, *realized, *estimated]), "")


def label_state(layout: Layout, name: str, verdicts: Sequence[Verdict]) -> LabelState:
    """When the newest label arrived, and what the newest verdict says of labels."""
    performance = next((v.performance for v in reversed(verdicts) if v.performance), None)
    folder = layout.labels(name)
    times = [
        *map(_changed_at, folder.glob("[!.]*.jsonl")),
        *map(_newest_label, folder.glob("[!.]*.parquet")),
    ]
    changed = max((time for time in times if time is not None), default=None)
    if changed is None:
        return LabelState(
            performance, missing("no label has arrived", f"slipway labels FILE --model {name}")
        )
    return LabelState(performance, Freshness(changed))


def _newest_label(path: Path) -> datetime | None:
    """The time of the newest label in a compacted file, which is itself as old as its compaction.

    None if it has none, or cannot be read.
    """
    try:
        newest = pl.scan_parquet(path, glob=False).select(pl.col("time").max()).collect().item()
    except (OSError, pl.exceptions.PolarsError):
        return None
    return None if newest is None else datetime.fromtimestamp(newest / 1e6, UTC)


def _changed_at(path: Path) -> datetime:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:  # compaction has just removed it
        return datetime.fromtimestamp(0, UTC)
