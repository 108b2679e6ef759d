"""What earlier windows teach: what is usual, since when, and where traffic is missing."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from contracts.errors import PlatformError
from contracts.names import Layout, window_id
from contracts.reference import CategoryReference, Reference
from contracts.times import utc_text
from contracts.verdict import Acceptance, Finding, Verdict, Window
from monitoring.drift.attribution import SegmentCounts, parts_of, segments_of_sample
from monitoring.drift.histograms import WindowHistograms
from monitoring.drift.rule import Rule, findings_of
from monitoring.reporting.verdict_index import verdict_index_html
from monitoring.settings import MonitoringSettings
from monitoring.traffic.batch import TrafficBatch
from monitoring.traffic.window import TimeWindow
from monitoring.verdicts import history
from slipway.app import app
from training.reference import number_reference

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
    words: dict[str, Any] = {
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
    return Verdict(**(words | changes))


def span(day: int) -> TimeWindow:
    return TimeWindow("tiny", 1, MONDAY + day * DAY, MONDAY + (day + 1) * DAY)


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
    sunday = history.calibrated_limits(past, span(9 * 7 + 6), frozenset())["age", "ks"]
    monday = history.calibrated_limits(past, span(9 * 7), frozenset())["age", "ks"]

    assert 0.2 < sunday.size < 0.4
    assert monday.size < 0.05
    assert sunday.source == "9 undrifted windows of a Sunday"


def test_few_windows_teach_nothing_and_a_limit_never_falls_below_the_settings() -> None:
    settings = MonitoringSettings()
    rule = Rule(settings, history.calibrated_limits(weeks(9), span(63), frozenset()))

    assert history.calibrated_limits(weeks(2), span(14), frozenset()) == {}
    assert rule.limit("age", "ks", 10**9).size == pytest.approx(settings.distance, abs=1e-4)
    assert rule.limit("age", "ks", 10**9).source == "settings"


def test_windows_that_a_person_accepted_teach_as_well(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    past = [verdict(day, finding("age", 0.3, drifted=True)) for day in range(30)]
    folder = layout.verdicts / "tiny"
    folder.mkdir(parents=True)
    for v in past:
        (folder / f"{v.verdict_id}.json").write_bytes(v.write())
        history.accept(layout, "tiny", v.verdict_id, who="ada", why="summer", now=MONDAY)
    usual = history.accepted(layout, "tiny")

    assert history.calibrated_limits(past, span(30), frozenset()) == {}
    assert history.calibrated_limits(past, span(30), usual)["age", "ks"].size >= 0.3
    stored = folder / "accepted" / "tiny-1-3.json"
    assert Acceptance.read(stored.read_bytes()) == Acceptance(
        verdict_id="tiny-1-3",
        model="tiny",
        who="ada",
        why="summer",
        accepted_at=utc_text(MONDAY),
    )


@pytest.mark.parametrize(
    ("verdict_id", "why", "told"),
    [
        ("tiny-1-99", "summer", "expected the id of a verdict, got 'tiny-1-99'"),
        ("../tiny-1-0", "summer", "expected the id of a verdict"),
        ("tiny-1-0", " ", "--because: expected a reason, got nothing"),
        ("tiny-1-1", "summer", "expected a verdict with findings to learn from, got 'no_traffic'"),
    ],
)
def test_what_cannot_be_accepted_is_told(
    verdict_id: str, why: str, told: str, tmp_path: Path
) -> None:
    layout = Layout(tmp_path)
    folder = layout.verdicts / "tiny"
    folder.mkdir(parents=True)
    (folder / "tiny-1-0.json").write_bytes(verdict(0, finding("age", 0.3, drifted=True)).write())
    (folder / "tiny-1-1.json").write_bytes(verdict(1, decision="no_traffic").write())

    with pytest.raises(PlatformError, match=told):
        history.accept(layout, "tiny", verdict_id, who="ada", why=why, now=MONDAY)
    assert history.accepted(layout, "tiny") == frozenset()


def test_the_command_accepts_and_keeps_who_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_VAR", str(tmp_path))
    monkeypatch.setenv("SLIPWAY_REGISTRY_ACTOR", "ada")
    folder = Layout(tmp_path).verdicts / "tiny"
    folder.mkdir(parents=True)
    (folder / "tiny-1-0.json").write_bytes(verdict(0, finding("age", 0.3, drifted=True)).write())
    done = CliRunner().invoke(app, ["accept", "tiny", "tiny-1-0", "--because", "sale", "--json"])
    told = json.loads(done.stdout)

    assert (told["who"], told["why"]) == ("ada", "sale")
    assert history.accepted(Layout(tmp_path), "tiny") == {"tiny-1-0"}


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
        limits = history.calibrated_limits(past, span(40), frozenset())
        passed += any(sizes[40, i] > limits[f"c{i}", "ks"].size for i in range(10))

    assert passed <= 0.04 * 300


def test_since_is_the_first_window_of_the_unbroken_run() -> None:
    past = [verdict(d, finding("age", 0.3, drifted=d in {1, 3, 4})) for d in range(5)]
    past.append(verdict(5, decision="no_traffic"))

    assert history.since("age", utc_text(MONDAY + 6 * DAY), past) == past[3].window.start
    assert history.since("income", "now", past) == "now"


def test_a_gap_alarms_where_earlier_windows_had_rows_and_is_told_elsewhere() -> None:
    gap = (10,) * 8 + (0,) * 6 + (10,) * 10
    full = [verdict(d, profile=(10,) * 24) for d in range(5)]
    nights = [verdict(d, profile=gap) for d in range(5)]

    assert [g.alarming for g in history.time_gaps(gap, 180, full)] == [True]
    assert [g.alarming for g in history.time_gaps(gap, 180, nights)] == [False]
    assert [g.alarming for g in history.time_gaps(gap, 180, [])] == [False]
    assert history.time_gaps((10,) * 24, 240, full) == []
    assert history.time_gaps((0,) * 24, 0, full) == []
    assert history.time_gaps((), 0, full) == []


def test_earlier_verdicts_are_those_of_the_version_and_before(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    folder = layout.verdicts / "tiny"
    folder.mkdir(parents=True)
    for day in range(4):
        (folder / f"tiny-1-{day}.json").write_bytes(verdict(day).write())
    (folder / "tiny-1-x.json").write_text("cut off")
    (folder / "tiny-2-0.json").write_bytes(verdict(0, version=2).write())

    assert [v.sentence for v in history.earlier_verdicts(layout, span(2))] == ["day 0", "day 1"]
    assert history.streak(verdict(4), history.earlier_verdicts(layout, span(4))) == 5


def test_a_window_is_past_once_a_later_one_of_its_length_was_judged(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    folder = layout.verdicts / "tiny"
    folder.mkdir(parents=True)

    def stored(start: datetime, end: datetime, version: int = 1) -> None:
        (folder / f"{window_id('tiny', version, start, end)}.json").touch()

    (folder / "tiny-1-notes.json").touch()
    stored(MONDAY, MONDAY + DAY)
    stored(MONDAY + 3 * DAY, MONDAY + 3 * DAY + timedelta(hours=1))
    stored(MONDAY + 5 * DAY, MONDAY + 6 * DAY, version=2)
    assert not history.is_past(layout, verdict(0)), "it is the newest of its length"
    assert not history.is_past(layout, verdict(1))

    stored(MONDAY + DAY / 2, MONDAY + 1.5 * DAY)
    assert not history.is_past(layout, verdict(0)), "windows that overlap are of one time"
    stored(MONDAY + DAY, MONDAY + 2 * DAY)
    assert history.is_past(layout, verdict(0))
    assert not history.is_past(layout, verdict(1))


def test_the_index_lists_every_window_and_escapes() -> None:
    page = verdict_index_html("tiny", [verdict(0), verdict(1, sentence="<script>")])

    assert page.index("&lt;script&gt;") < page.index("day 0")
    assert 'href="0.html"' in page
    assert "<script>" not in page


def test_the_slice_that_drives_a_drift_is_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def rows(n: int, older: float) -> dict[str, pl.Series]:
        region = rng.choice(["north", "south", "east"], n)
        age = rng.normal(40, 10, n) + np.where(region == "east", older, 0.0)
        return {
            "age": pl.Series(age),
            "region": pl.Series(region),
            "owner": pl.Series(rng.choice(["true", "false"], n)),
        }

    before = rows(20_000, 0)
    reference = Reference(
        n_rows=20_000,
        n_predictions=0,
        features={
            "age": number_reference(before["age"].to_numpy()),
            "region": CategoryReference(counts={"north": 1, "south": 1, "east": 1}, missing=0),
            "owner": CategoryReference(counts={"true": 1, "false": 1}, missing=0),
        },
        predictions={},
    )
    sample = tmp_path / "reference.parquet"
    pl.DataFrame(before).with_columns(
        owner=(before["owner"] == "true").cast(pl.Float64)
    ).write_parquet(sample)
    segments = ("region", "owner", "age", "nothing")
    now = SegmentCounts(reference, segments)
    counts = WindowHistograms(reference)
    for _ in range(2):
        window = TrafficBatch(np.arange(3_000), pl.Series(range(3_000)), rows(3_000, 15))
        now.add(window)
        counts.add(window)
    part = now.driver("age", segments_of_sample(sample, reference, segments))

    assert [f.column for f in findings_of(counts, Rule(MonitoringSettings())) if f.drifted] == [
        "age"
    ]
    assert str(part) == "region = east"
    assert part is not None
    assert part.share == pytest.approx(1, abs=0.1)
    assert now.names == ("region", "owner")


def test_the_slice_whose_values_are_missing_is_named_and_a_large_one_is_not_blamed() -> None:
    rng = np.random.default_rng(3)
    n = 10_000
    reference = Reference(
        n_rows=n,
        n_predictions=0,
        features={
            "age": number_reference(rng.normal(40, 10, n)),
            "work": CategoryReference(counts={"yes": n // 2, "no": n // 2}, missing=0),
            "region": CategoryReference(counts={"north": 9_000, "east": 1_000}, missing=0),
        },
        predictions={},
    )
    region = rng.choice(["north", "east"], n, p=[0.9, 0.1])
    east = pl.Series(region == "east")
    window = {"age": rng.normal(40, 10, n), "work": rng.choice(["yes", "no"], n), "region": region}
    rows = pl.DataFrame(window).with_columns(
        age=pl.when(pl.Series(rng.random(n) < 0.1)).then(float("nan")).otherwise(pl.col("age")),
        work=pl.when(east & pl.Series(rng.random(n) < 0.8)).then(None).otherwise(pl.col("work")),
    )
    now = SegmentCounts(reference, ("region",))
    now.add(TrafficBatch(np.arange(n), pl.Series(range(n)), {c: rows[c] for c in rows.columns}))
    part = now.culprit("work", "missing")

    assert rows.filter(east)["work"].null_count() == rows["work"].null_count()
    assert (str(part), part and part.share) == ("region = east", 1.0)
    assert now.culprit("age", "missing") is None, "a tenth of every region"


def test_the_slice_that_sends_another_unit_or_new_words_is_named() -> None:
    rng = np.random.default_rng(4)
    n = 5_000
    reference = Reference(
        n_rows=n,
        n_predictions=0,
        features={
            "income": number_reference(rng.normal(40, 10, n)),
            "work": CategoryReference(counts={"yes": n // 2, "no": n // 2}, missing=0),
            "region": CategoryReference(counts={"north": 4_000, "east": 1_000}, missing=0),
        },
        predictions={},
    )
    east = rng.random(n) < 0.2
    wrong = east & (rng.random(n) < 0.5)
    income = rng.normal(40, 10, n)
    rows = pl.DataFrame(
        {
            "income": np.where(wrong, income * 1000, income),
            "work": np.where(wrong, "maybe", "yes"),
            "region": np.where(east, "east", "north"),
        }
    )
    now = SegmentCounts(reference, ("region",))
    now.add(TrafficBatch(np.arange(n), pl.Series(range(n)), {c: rows[c] for c in rows.columns}))

    for column, fault in (("income", "unit"), ("income", "out_of_range"), ("work", "unseen")):
        part = now.culprit(column, fault)  # type: ignore[arg-type]  # words of the contract
        assert (str(part), part and part.share) == ("region = east", 1.0), fault
    assert now.culprit("income", "missing") is None
    assert now.culprit("work", "constant") is None


def test_parts_add_up_to_one() -> None:
    rng = np.random.default_rng(2)
    before, now = rng.integers(1, 50, (4, 6)), rng.integers(1, 50, (4, 6))

    assert parts_of(before, now).sum() == pytest.approx(1)
    assert parts_of(before, before).tolist() == [0, 0, 0, 0]
