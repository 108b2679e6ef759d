"""Slow drift: a CUSUM chart of each column's effect over the windows of a version.

Page (1954), "Continuous inspection schemes", Biometrika 41: what exceeds the baseline by more than
`ALLOWANCE` standard deviations is added up, and alarms beyond `LIMIT`. A drift that no single
window shows adds up over many. The baseline is fixed, so that it cannot follow the drift: it is
the first windows of the version. With an allowance of 1 and a limit of 8 a column alarms by
chance once in 20 million windows if the baseline is exact (Siegmund 1985, "Sequential analysis",
formula 2.59), and once in 40,000 if it is off by two of its own standard errors.
"""

import math
from collections.abc import Mapping, Sequence

from contracts.trend import Trend
from contracts.verdict import Finding, Verdict
from monitoring.traffic.window import TimeWindow, is_same_length, window_seconds

BASELINE_WINDOWS = 20
ALLOWANCE = 1.0
LIMIT = 8.0
MAX_SUM = 2 * LIMIT
"""Sums stop here, so that a drift that is over is not reported for as long as it lasted."""
MIN_DEVIATION = 0.01
"""The smallest standard deviation of an effect. A shift of a normal column by 0.035 of its
standard deviations moves the rank effect by this: large windows see less, and it harms nobody."""


def trends_before(
    earlier: Sequence[Verdict], window: TimeWindow, accepted: frozenset[str] = frozenset()
) -> Mapping[str, Trend]:
    """The newest trend of each column among earlier windows of this length, by column.

    After a window that a person accepted, a new baseline begins.
    """
    length_s = (window.end - window.start).total_seconds()
    found: dict[str, Trend] = {}
    for verdict in earlier:
        if not is_same_length(window_seconds(verdict.window), length_s):
            continue
        if verdict.verdict_id in accepted:
            found = {}
            continue
        found.update({f.column: f.trend for f in verdict.findings if f.trend is not None})
    return found


def next_trend(
    before: Trend | None, finding: Finding, start: str, per_week: int = 0
) -> Trend | None:
    """The trend after the window from `start`; None for a column without an effect to follow.

    A column that is compared with its season from now on, or no longer, begins a new baseline: of
    a whole week, which has `per_week` slots, since each slot's season has an error of its own.
    """
    value, error = _effect(finding)
    if value is None:
        return None
    seasonal = bool(finding.season)
    trend = before if before and before.seasonal is seasonal else Trend(seasonal=seasonal)
    if trend.windows < (max(BASELINE_WINDOWS, per_week) if seasonal else BASELINE_WINDOWS):
        return _learned(trend, value)
    deviation = max(math.sqrt(trend.squares / (trend.windows - 1)), error, MIN_DEVIATION)
    surprise = (value - trend.mean) / deviation
    rise = min(max(trend.rise + surprise - ALLOWANCE, 0.0), MAX_SUM)
    fall = min(max(trend.fall - surprise - ALLOWANCE, 0.0), MAX_SUM)
    if finding.kind == "category":
        # A distance has no direction: a smaller one is no drift.
        fall = 0.0
    return Trend(
        windows=trend.windows,
        mean=trend.mean,
        squares=trend.squares,
        rise=rise,
        fall=fall,
        rise_since=(trend.rise_since or start) if rise else "",
        fall_since=(trend.fall_since or start) if fall else "",
        is_alarming=max(rise, fall) >= LIMIT,
        seasonal=seasonal,
    )


def _learned(trend: Trend, value: float) -> Trend:
    """The baseline with one more window (Welford 1962)."""
    windows = trend.windows + 1
    mean = trend.mean + (value - trend.mean) / windows
    squares = trend.squares + (value - trend.mean) * (value - mean)
    return Trend(windows=windows, mean=mean, squares=squares, seasonal=trend.seasonal)


def _effect(finding: Finding) -> tuple[float | None, float]:
    """The effect whose trend is followed, and its standard error of independent rows.

    For numbers P(window > reference) - 1/2, which has a direction; its variance is 1 / 12n. For
    categories the total variation, which has none.
    """
    rows = max(finding.rows_effective, 1.0)
    if finding.kind == "number":
        return finding.statistics.get("rank_shift"), math.sqrt(1 / (12 * rows))
    return finding.statistics.get("total_variation"), 0.25 / math.sqrt(rows)
