"""Limits of drift are learned from undrifted windows, and from those that people accept."""

from pathlib import Path

import numpy as np
import pytest

from contracts.names import Layout
from contracts.times import utc_text
from contracts.verdict import Acceptance, Verdict
from monitoring.drift.thresholds import (
    DriftThresholds,
    Limit,
    accepted_limits,
    calibrated_limits,
)
from monitoring.settings import MonitoringSettings
from monitoring.verdicts.acceptance import accept, accepted_ids
from tests.monitoring.verdict_history import MONDAY, finding, verdict, window


def weeks(n: int) -> list[Verdict]:
    """Weekdays are like training; at weekends another kind of people comes."""
    rng = np.random.default_rng(0)
    return [
        verdict(
            day, finding("age", float(rng.lognormal(np.log(0.2 if day % 7 > 4 else 0.02), 0.1)))
        )
        for day in range(7 * n)
    ]


def test_a_sunday_is_usual_where_sundays_are_and_a_monday_like_it_is_not() -> None:
    past = weeks(9)
    sunday = calibrated_limits(past, window(9 * 7 + 6), frozenset())["age", "ks"]
    monday = calibrated_limits(past, window(9 * 7), frozenset())["age", "ks"]

    assert 0.2 < sunday.size < 0.4
    assert monday.size < 0.05
    assert sunday.source == "9 undrifted windows of a Sunday"


def test_few_windows_give_no_limit_and_a_limit_never_falls_below_the_settings() -> None:
    settings = MonitoringSettings()
    thresholds = DriftThresholds(settings, calibrated_limits(weeks(9), window(63), frozenset()))

    assert calibrated_limits(weeks(2), window(14), frozenset()) == {}
    assert thresholds.limit("age", "ks", 10**9).size == pytest.approx(settings.distance, abs=1e-4)
    assert thresholds.limit("age", "ks", 10**9).source == "settings"


def test_a_limit_is_learned_from_the_first_windows_only_and_has_a_ceiling() -> None:
    """An effect that grows from window to window does not take its limit along."""
    growing = [verdict(day, finding("age", 0.01 * 1.03**day)) for day in range(126)]
    at_first = calibrated_limits(growing[:63], window(63), frozenset())["age", "ks"]
    later = calibrated_limits(growing, window(126), frozenset())["age", "ks"]
    settings = MonitoringSettings()
    thresholds = DriftThresholds(settings, {("age", "ks"): Limit(5.0, "60 undrifted windows")})

    assert later.size == at_first.size
    assert thresholds.limit("age", "ks", 10**9).size == pytest.approx(
        3 * settings.distance, abs=1e-3
    )


def test_an_accepted_drift_is_usual_from_the_next_window_on() -> None:
    past = [verdict(0, finding("age", 0.4, drifted=True), finding("income", 0.3))]
    found = accepted_limits(past, frozenset({past[0].verdict_id}))
    thresholds = DriftThresholds(MonitoringSettings(), accepted=found)

    assert set(found) == {("age", "ks")}
    assert thresholds.limit("age", "ks", 1000).size == pytest.approx(0.5)
    assert thresholds.limit("age", "ks", 1000).source == f"accepted in {past[0].verdict_id}"
    assert thresholds.limit("income", "ks", 1000).source == "settings"


def test_limits_are_learned_from_accepted_windows_as_well(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    past = [verdict(day, finding("age", 0.3, drifted=True)) for day in range(30)]
    folder = layout.verdicts / "tiny"
    folder.mkdir(parents=True)
    for v in past:
        (folder / f"{v.verdict_id}.json").write_bytes(v.write())
        accept(layout, "tiny", v.verdict_id, who="ada", why="summer", now=MONDAY)
    usual = accepted_ids(layout, "tiny")

    assert calibrated_limits(past, window(30), frozenset()) == {}
    assert calibrated_limits(past, window(30), usual)["age", "ks"].size >= 0.3
    stored = folder / "accepted" / "tiny-1-3.json"
    assert Acceptance.read(stored.read_bytes()) == Acceptance(
        verdict_id="tiny-1-3",
        model="tiny",
        who="ada",
        why="summer",
        accepted_at=utc_text(MONDAY),
    )


def test_a_calibrated_limit_is_passed_as_seldom_as_it_says() -> None:
    """Simulated: 40 windows teach, the next is judged; any of 10 columns in 2 %."""
    rng = np.random.default_rng(1)
    passed = 0
    for _ in range(300):
        sizes = rng.lognormal(np.log(0.1), 0.3, size=(41, 10))
        past = [
            verdict(d, *(finding(f"c{i}", float(s)) for i, s in enumerate(row)))
            for d, row in enumerate(sizes[:40])
        ]
        limits = calibrated_limits(past, window(40), frozenset())
        passed += any(sizes[40, i] > limits[f"c{i}", "ks"].size for i in range(10))

    assert passed <= 0.04 * 300
