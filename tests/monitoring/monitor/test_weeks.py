"""Two weeks through the real monitor: nights are learned, and the page says what they are held to.

Windows of six hours; of the people of a day, who are as at training, the old come at night.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from contracts.season import SeasonProfile
from contracts.times import utc_text
from contracts.traffic import TrafficRecord
from contracts.verdict import Finding, Verdict
from tests.conftest import Workplace
from tests.monitoring.monitor.scenario import judge, served_rows

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_evidently")]

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
LENGTH = timedelta(hours=6)
ROWS = 150


def age_of(row: TrafficRecord) -> float:
    return float(row.features["age"] or 0)


def windows_of_a_day(rows: list[TrafficRecord]) -> list[list[TrafficRecord]]:
    """The rows of four windows: most of the old are in the first."""
    rng = np.random.default_rng(len(rows))
    noise = rng.normal(scale=8, size=len(rows))
    old = np.argsort([-age_of(row) - x for row, x in zip(rows, noise, strict=True)])
    order = [*rng.permutation(old[:ROWS]), *rng.permutation(old[ROWS:])]
    return [[rows[i] for i in order[n * ROWS : (n + 1) * ROWS]] for n in range(4)]


def write_window(place: Workplace, number: int, rows: list[TrafficRecord]) -> None:
    start = MONDAY + number * LENGTH
    folder = place.layout.traffic("tiny") / f"{start:%Y-%m-%d}"
    folder.mkdir(parents=True, exist_ok=True)
    records = [
        replace(row, prediction_id=f"{number}-{i}", time=utc_text(start + i * LENGTH / ROWS))
        for i, row in enumerate(rows)
    ]
    path = folder / f"{start:%H%M%S}-1-0.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(r) + b"\n" for r in records))


def judged(place: Workplace, number: int) -> tuple[Verdict, Finding]:
    start = MONDAY + number * LENGTH
    verdict = judge(place, start=start, end=start + LENGTH, now=start + LENGTH)
    return verdict, next(f for f in verdict.findings if f.column == "age")


def test_nights_are_learned_and_a_missing_night_is_reported(served: Workplace) -> None:
    rows = served_rows(served, 61 * ROWS, 5)
    verdicts: list[tuple[Verdict, Finding]] = []
    for day in range(15):
        for window in windows_of_a_day(rows[4 * day * ROWS : 4 * (day + 1) * ROWS]):
            write_window(served, len(verdicts), window)
            verdicts.append(judged(served, len(verdicts)))
    write_window(served, 60, rows[60 * ROWS :])
    verdicts.append(judged(served, 60))
    learning, (night, usual), (missing, unlike) = verdicts[:56], verdicts[56], verdicts[60]

    assert sum(age.learning for _, age in learning[::4]) >= 10
    assert not any(v.condition("drift").confirmed for v, _ in verdicts[:60])
    assert "learning the week: age (" in learning[0][0].sentence
    assert "may have a season" in Path(learning[4][0].report).read_text()
    assert (usual.drifted, usual.season) == (False, "Mondays 00:00 to 06:00")
    assert "Compared with Mondays 00:00 to 06:00" in Path(night.report).read_text()
    assert (unlike.drifted, unlike.learning) == (True, False)
    assert "version 1: age (" in missing.sentence
    assert "compared with Tuesdays 00:00 to 06:00" in missing.sentence
    files = served.layout.seasons("tiny")
    profile = SeasonProfile.read((files / "1-21600.json").read_bytes())
    assert profile.columns["age"].seasonal
    assert not profile.columns["lines"].seasonal
    assert len(list((files / "counts").iterdir())) == 61
