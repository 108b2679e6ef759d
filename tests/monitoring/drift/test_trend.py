"""A slow drift is reported, stays reported, and hides no jump; quiet windows alarm seldom."""

import numpy as np
import pytest
from msgspec.structs import replace

from benchmarks.monitoring.trends import QUIET_DAYS, Stream, cusum_day, message_days, verdicts
from contracts.trend import Trend
from monitoring.drift.trend import BASELINE_WINDOWS, LIMIT, MAX_SUM, next_trend, trends_before
from tests.monitoring.verdict_history import finding, verdict, window


@pytest.mark.parametrize(("slope", "days"), [(1 / 100, 70), (1 / 200, 85)])
def test_a_slow_drift_is_reported_about_when_cusum_reports_it_and_stays_reported(
    slope: float, days: int
) -> None:
    """Learned limits took it along: it was resolved, and never reported again."""
    stream = Stream(slope, days)
    judged = list(verdicts(stream, np.random.default_rng(1)))
    first = message_days(judged)[0]
    usual = np.mean([cusum_day(stream, np.random.default_rng(i)) for i in range(200)]) - QUIET_DAYS
    later = [v.condition("drift").is_alarming for v in judged[first:]]

    assert QUIET_DAYS < first <= QUIET_DAYS + 1.3 * usual + 1
    assert np.mean(later) >= 0.8


def test_a_jump_in_a_slow_drift_is_reported_within_two_windows() -> None:
    judged = list(verdicts(Stream(1 / 100, 76, jump=0.4, jump_day=72), np.random.default_rng(2)))

    assert {72, 73} & set(message_days(judged))


def test_windows_without_drift_have_no_trend() -> None:
    judged = list(verdicts(Stream(0, 80), np.random.default_rng(3), columns=8, rows=500))

    assert message_days(judged) == []
    assert not any(f.trend and f.trend.is_alarming for v in judged for f in v.findings)


def followed(shifts: list[float], rows: float) -> list[Trend]:
    trends: list[Trend] = []
    for shift in shifts:
        found = replace(finding("age", 0.01), statistics={"rank_shift": shift}, rows_effective=rows)
        trend = next_trend(trends[-1] if trends else None, found, "2026-01-01T00:00:00.000000Z")
        assert trend is not None
        trends.append(trend)
    return trends


def test_a_trend_that_is_over_is_soon_quiet() -> None:
    """The sums by hand: the least deviation is 0.01, so a shift of 0.05 adds four at a time."""
    quiet = [0.001, -0.001] * (BASELINE_WINDOWS // 2)
    sums = [t.rise for t in followed([*quiet, *[0.05] * 5, *[0.0] * 9], 10**9)]

    assert [round(rise) for rise in sums[BASELINE_WINDOWS:]] == [
        4,
        8,
        12,
        16,
        16,
        *range(15, 6, -1),
    ]
    assert MAX_SUM == 2 * LIMIT
    assert max(t.rise for t in followed([*quiet, *[0.05] * 5], 1)) == 0, "one row says nothing"


def test_an_accepted_window_begins_a_new_baseline() -> None:
    trend = Trend(windows=20, rise=12.0, is_alarming=True)
    past = [verdict(day, replace(finding("age", 0.1), trend=trend)) for day in range(3)]

    assert trends_before(past, window(3)) == {"age": trend}
    assert trends_before(past, window(3), frozenset({past[2].verdict_id})) == {}
