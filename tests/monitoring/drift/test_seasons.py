"""Seasons: a recurring weekend is silent, what the week does not explain is reported."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from benchmarks.monitoring.seasons import DAY, HOUR, MONDAY, Monitor, Stream, hours, weekend
from contracts.errors import InvalidSetting
from contracts.names import Layout, window_id
from contracts.season import SeasonProfile, WindowCounts, slot_of
from contracts.times import utc_text
from contracts.verdict import Verdict
from monitoring.drift.season_files import COUNTS_KEPT, read_seasons, store_season, time_zone
from monitoring.drift.seasons import MAX_WEEKS
from monitoring.traffic.window import TimeWindow

WEEK = 7 * DAY
THURSDAY = 3


class WiderStream(Stream):
    """A stream whose column `normal` spreads 1.3 times as far as training's."""

    def table(
        self, shift: NDArray[np.float64], rng: np.random.Generator
    ) -> dict[str, NDArray[np.generic]]:
        """The columns, one of them wider."""
        return super().table(shift, rng) | {"normal": np.clip(rng.normal(shift, 1.3), -3, 4)}


def sentences(verdicts: list[Verdict]) -> str:
    return "\n".join(v.condition("drift").sentence for v in verdicts)


def test_a_recurring_weekend_is_silent_and_a_missing_one_is_reported(tmp_path: Path) -> None:
    """Nothing alarms in the first weeks either: they say that they learn."""

    def missing(time: datetime) -> float:
        is_missing = MONDAY + 4 * WEEK <= time < MONDAY + 5 * WEEK
        return -weekend(1.0)(time) if is_missing else 0.0

    monitor = Monitor(Stream(weekend(1.0), DAY, 1_000, missing), tmp_path, seed=1)
    learning = monitor.run(MONDAY, 14)
    usual = monitor.run(MONDAY + 2 * WEEK, 14)
    odd = monitor.run(MONDAY + 4 * WEEK, 7)

    assert (learning, usual, odd) == ([], [], [6])
    assert "learning the week: " in sentences(monitor.verdicts[:14])
    assert "learning" not in sentences(monitor.verdicts[14:])
    sunday = monitor.verdicts[-1]
    normal = next(f for f in sunday.findings if f.column == "normal")
    assert (normal.season, normal.drifted) == ("Sundays", True)
    assert "compared with Sundays" in sunday.condition("drift").sentence
    assert not next(f for f in sunday.findings if f.column == "steady0").season


def test_a_wave_of_the_day_is_learned_from_windows_of_hours(tmp_path: Path) -> None:
    monitor = Monitor(Stream(hours(1.0), 6 * HOUR, 500), tmp_path, seed=2)
    learning = monitor.run(MONDAY, 56)
    usual = monitor.run(MONDAY + 2 * WEEK, 28)

    assert (learning, usual) == ([], [])
    seasonal = {f.column: f.season for f in monitor.verdicts[-1].findings if f.season}
    assert set(seasonal) == {"normal", "amount", "count", "kind"}
    assert set(seasonal.values()) == {"Sundays 18:00 to 24:00"}


def test_a_small_jump_in_a_seasonal_column_is_reported_within_two_windows(tmp_path: Path) -> None:
    stream = Stream(weekend(1.0), DAY, 5_000, lambda t: 0.4 * (t >= MONDAY + 2 * WEEK + 2 * DAY))
    monitor = Monitor(stream, tmp_path, seed=3)
    monitor.run(MONDAY, 14)

    assert monitor.run(MONDAY + 2 * WEEK, 4) == [3]


def test_traffic_unlike_training_from_the_start_is_reported_once(tmp_path: Path) -> None:
    """Its hours are as they always were here; the week as a whole is not like the reference."""
    stream = Stream(weekend(1.0), DAY, 1_000, lambda _: 0.5)
    monitor = Monitor(stream, tmp_path, seed=4)
    learning = monitor.run(MONDAY, 14)
    later = monitor.run(MONDAY + 2 * WEEK, 14)
    normal = [next(f for f in v.findings if f.column == "normal") for v in monitor.verdicts[14:]]

    assert learning
    assert max(learning) <= 6
    assert later == []
    assert {f.effect for f in normal} == {"week_ks"}
    assert all(f.drifted and f.season for f in normal)


def test_a_jump_is_reported_while_learning_once_no_season_explains_it(tmp_path: Path) -> None:
    stream = Stream(weekend(0.5), DAY, 1_000, lambda t: 1.5 * (t >= MONDAY + 8 * DAY))
    sent = Monitor(stream, tmp_path, seed=5).run(MONDAY, 12)

    assert sent
    assert sent[0] in {8, 9, 10}


def test_weeks_after_the_fourth_are_not_learned_and_old_counts_are_removed(tmp_path: Path) -> None:
    monitor = Monitor(Stream(weekend(1.0), DAY, 400), tmp_path, seed=6)
    monitor.run(MONDAY, 28)
    path = tmp_path / "seasons" / "tiny" / "1-86400.json"
    learned = path.read_bytes()
    monitor.run(MONDAY + 4 * WEEK, 22)
    profile = SeasonProfile.read(learned)

    assert path.read_bytes() == learned
    assert (profile.weeks, profile.until) == (4, utc_text(MONDAY + 4 * WEEK))
    assert {c.weeks for c in profile.columns["normal"].slots.values()} == {4}
    kept = list((tmp_path / "seasons" / "tiny" / "counts").iterdir())
    assert len(kept) <= COUNTS_KEPT / DAY + 7


def test_days_after_a_gap_are_no_week(tmp_path: Path) -> None:
    """A version that returns from a rollback on a Thursday: its first days are not like a week."""
    stream = Stream(weekend(2.0), DAY, 1_000)
    monitor = Monitor(stream, tmp_path, seed=13)
    monitor.run(MONDAY, 28)

    assert monitor.run(MONDAY + 38 * DAY, 4) == []
    assert not any(f.drifted for v in monitor.verdicts[28:] for f in v.findings)


def test_the_week_after_a_gap_is_compared_once_it_is_whole(tmp_path: Path) -> None:
    monitor = Monitor(Stream(weekend(1.0), DAY, 1_000, lambda _: 0.5), tmp_path, seed=4)
    monitor.run(MONDAY, 14)
    monitor.run(MONDAY + 24 * DAY, 11)
    later = [f for v in monitor.verdicts[14:] for f in v.findings if f.column == "normal"]

    assert [f.drifted for f in later] == [False] * 6 + [True] * 5
    assert {f.effect for f in later[6:]} == {"week_ks"}


def test_an_unlearned_slot_does_not_reset_the_trend(tmp_path: Path) -> None:
    monitor = Monitor(Stream(weekend(1.0), DAY, 400), tmp_path, seed=14)
    monitor.run(MONDAY, 14)
    path = tmp_path / "seasons" / "tiny" / "1-86400.json"
    profile = SeasonProfile.read(path.read_bytes())
    columns = {
        name: replace(c, slots={i: slot for i, slot in c.slots.items() if i != THURSDAY})
        for name, c in profile.columns.items()
    }
    path.write_bytes(replace(profile, weeks=MAX_WEEKS, columns=columns).write())
    monitor.run(MONDAY + 2 * WEEK, 30)
    trends = [f.trend for v in monitor.verdicts[14:] for f in v.findings if f.column == "normal"]
    followed = [trend for trend in trends if trend is not None]

    assert [i for i, trend in enumerate(trends) if trend is None] == [3, 10, 17, 24]
    assert [trend.windows for trend in followed] == [*range(1, 21), *[20] * 6]
    assert max(trend.rise + trend.fall for trend in followed) > 0


def test_old_counts_are_removed_where_nights_have_no_rows(tmp_path: Path) -> None:
    monitor = Monitor(Stream(weekend(1.0), 6 * HOUR, 20), tmp_path, seed=15)
    for day in range(8 * 7):
        for hour in (6, 12):
            monitor.judge(MONDAY + day * DAY + hour * HOUR)

    kept = list((tmp_path / "seasons" / "tiny" / "counts").iterdir())
    assert len(kept) <= 2 * (COUNTS_KEPT / DAY + 1)


def test_a_wider_spread_of_every_week_is_one_of_seven_days(tmp_path: Path) -> None:
    """Its Saturdays are like Saturdays, so nothing says that it was compared with them."""

    class Wider(Monitor):
        """A monitor whose traffic has 1.3 times the spread of training from day one."""

        def judge(self, start: datetime) -> Verdict:
            self.stream = WiderStream(weekend(1.0), DAY, 1_000)
            return super().judge(start)

    monitor = Wider(Stream(weekend(1.0), DAY, 1_000), tmp_path, seed=16)
    monitor.run(MONDAY, 21)
    normal = [f for v in monitor.verdicts[14:] for f in v.findings if f.column == "normal"]
    counts = [p.read_bytes() for p in (tmp_path / "seasons" / "tiny" / "counts").iterdir()]

    assert {(f.effect, f.drifted, bool(f.season)) for f in normal} == {("week_spread", True, True)}
    assert "log-spread of seven days" in sentences(monitor.verdicts[14:])
    assert "compared with" not in sentences(monitor.verdicts[14:])
    assert all("normal" not in WindowCounts.read(c).drifted for c in counts)


def test_a_window_that_is_judged_again_counts_once(tmp_path: Path) -> None:
    monitor = Monitor(Stream(weekend(1.0), DAY, 400), tmp_path, seed=7)
    monitor.run(MONDAY, 13)
    monitor.judge(MONDAY + 12 * DAY)
    monitor.judge(MONDAY + 13 * DAY)
    profile = SeasonProfile.read((tmp_path / "seasons" / "tiny" / "1-86400.json").read_bytes())

    slots = profile.columns["normal"].slots.values()
    assert [sum(slot.counts) for slot in slots] == [800] * 7


def test_cut_files_are_as_none(tmp_path: Path) -> None:
    monitor = Monitor(Stream(weekend(1.0), DAY, 400), tmp_path, seed=8)
    monitor.run(MONDAY, 3)
    for path in (tmp_path / "seasons" / "tiny").rglob("*.json"):
        path.write_bytes(b'{"cut')
    window = TimeWindow("tiny", 1, MONDAY + 3 * DAY, MONDAY + 4 * DAY)
    found = read_seasons(Layout(tmp_path), window, 1, UTC)

    assert found is not None
    assert (found.profile, found.week, found.seen) == (None, {}, 1 / 7)


def test_columns_that_were_steady_in_an_earlier_version_are_not_learned_again(
    tmp_path: Path,
) -> None:
    monitor = Monitor(Stream(weekend(1.0), DAY, 400), tmp_path, seed=9)
    monitor.run(MONDAY, 14)
    window = TimeWindow("tiny", 2, MONDAY + 14 * DAY, MONDAY + 15 * DAY)
    found = read_seasons(Layout(tmp_path), window, 2, UTC)

    assert found is not None
    assert found.steady >= {"steady0", "client"}
    assert "normal" not in found.steady


def test_weeks_begin_again_after_a_week_without_windows(tmp_path: Path) -> None:
    monitor = Monitor(Stream(weekend(1.0), DAY, 400), tmp_path, seed=10)
    monitor.run(MONDAY, 2)
    monitor.run(MONDAY + 5 * WEEK, 1)
    profile = SeasonProfile.read((tmp_path / "seasons" / "tiny" / "1-86400.json").read_bytes())

    assert profile.since == utc_text(MONDAY + 5 * WEEK)


def test_windows_without_a_slot_have_no_season(tmp_path: Path) -> None:
    """A look at some hours, or at a week, is compared with the whole reference."""
    half_past = MONDAY + timedelta(minutes=30)
    for start, end in ((half_past, half_past + HOUR), (MONDAY, MONDAY + WEEK)):
        window = TimeWindow("tiny", 1, start, end)
        assert read_seasons(Layout(tmp_path), window, 1, UTC) is None
    assert slot_of(MONDAY, MONDAY + timedelta(seconds=5), UTC) is None


@pytest.mark.parametrize(
    ("start", "length", "label"),
    [
        (datetime(2026, 1, 5, 23, tzinfo=UTC), HOUR, "Tuesdays 00:00"),
        (datetime(2026, 7, 6, 22, tzinfo=UTC), HOUR, "Tuesdays 00:00"),
        (datetime(2026, 1, 5, 8, 45, tzinfo=UTC), HOUR / 4, "Mondays 09:00"),
        (datetime(2026, 1, 5, tzinfo=UTC), DAY, "Mondays"),
        (datetime(2026, 7, 5, 18, tzinfo=UTC), 6 * HOUR, "Sundays 18:00 to 24:00"),
    ],
)
def test_hours_are_those_of_a_time_zone(start: datetime, length: timedelta, label: str) -> None:
    slot = slot_of(start, start + length, time_zone("Europe/Berlin"))

    assert slot is not None
    assert slot.label == label


def test_a_season_learned_in_another_time_zone_is_not_used(tmp_path: Path) -> None:
    monitor = Monitor(Stream(weekend(1.0), DAY, 400), tmp_path, seed=11)
    monitor.run(MONDAY, 14)
    window = TimeWindow("tiny", 1, MONDAY + 14 * DAY, MONDAY + 15 * DAY)
    zones = UTC, time_zone("Asia/Tokyo")
    known = [read_seasons(Layout(tmp_path), window, 1, zone) for zone in zones]

    assert [found is not None and found.profile is not None for found in known] == [True, False]


@pytest.mark.parametrize("name", ["Mars/Olympus", "../../etc/passwd", ""])
def test_an_unknown_time_zone_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidSetting, match="SLIPWAY_MONITORING_TIME_ZONE: expected"):
        time_zone(name)


def test_faulty_windows_are_not_learned(tmp_path: Path) -> None:
    from contracts.verdict import Condition
    from monitoring.drift.histograms import WindowHistograms

    monitor = Monitor(Stream(weekend(1.0), DAY, 400), tmp_path, seed=12)
    verdict = monitor.judge(MONDAY)
    faulty = replace(verdict, conditions=(Condition(kind="quality", state="alarming"),))
    window = TimeWindow("tiny", 1, MONDAY + DAY, MONDAY + 2 * DAY)
    histograms = WindowHistograms(monitor.sketch)
    store_season(monitor.layout, window, histograms, monitor.sketch, faulty, UTC)

    stored = list((tmp_path / "seasons" / "tiny" / "counts").iterdir())
    assert [path.stem for path in stored] == [window_id("tiny", 1, MONDAY, MONDAY + DAY)]
    assert sum(WindowCounts.read(stored[0].read_bytes()).columns["normal"]) == 400


def test_a_category_that_training_did_not_have_has_a_count_of_its_own() -> None:
    import polars as pl

    from contracts.reference import CategoryReference
    from monitoring.drift.histograms import CategoricalHistogram
    from monitoring.drift.seasons import season_counts

    column = CategoricalHistogram(CategoryReference(counts={"a": 5, "b": 5}, missing=0))
    column.add(pl.Series(["b", "new", "a", "newer", "b"]), np.zeros(5, dtype=np.int64), None)

    assert season_counts(column).tolist() == [1, 2, 2]
