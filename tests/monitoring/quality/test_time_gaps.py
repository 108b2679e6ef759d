"""A gap in the traffic alarms where earlier windows had none."""

from monitoring.quality.time_gaps import time_gaps
from tests.monitoring.verdict_history import verdict


def test_a_gap_alarms_where_earlier_windows_had_rows_and_is_reported_elsewhere() -> None:
    gap = (10,) * 8 + (0,) * 6 + (10,) * 10
    full = [verdict(d, profile=(10,) * 24) for d in range(5)]
    nights = [verdict(d, profile=gap) for d in range(5)]

    assert [g.alarming for g in time_gaps(gap, 180, full)] == [True]
    assert [g.alarming for g in time_gaps(gap, 180, nights)] == [False]
    assert [g.alarming for g in time_gaps(gap, 180, [])] == [False]
    assert time_gaps((10,) * 24, 240, full) == []
    assert time_gaps((0,) * 24, 0, full) == []
    assert time_gaps((), 0, full) == []
