"""Since when a column has drifted."""

from contracts.times import utc_text
from monitoring.drift.origin import drifted_since, drifted_windows
from tests.monitoring.verdict_history import DAY, MONDAY, finding, verdict, window


def test_since_is_the_first_window_of_the_unbroken_run() -> None:
    past = [verdict(d, finding("age", 0.3, drifted=d in {1, 3, 4})) for d in range(5)]
    past.append(verdict(5, decision="no_traffic"))

    assert drifted_since("age", utc_text(MONDAY + 6 * DAY), past) == past[3].window.start
    assert drifted_since("income", "now", past) == "now"
    assert drifted_windows("age", window(6), past) == 3
    assert drifted_windows("income", window(6), past) == 1
