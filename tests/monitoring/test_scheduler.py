"""The job judges each window once, in order, wherever it was interrupted."""

import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.names import Layout
from contracts.verdict import Verdict
from monitoring.scheduler import (
    GRACE_PERIOD,
    MAX_WINDOWS_BEHIND,
    WindowSpan,
    due_windows,
    early_windows,
    judge_due,
    set_aside,
    verdict_path,
)
from registry.promote import promote
from registry.pull import pull
from tests import tiny
from tests.conftest import Workplace
from training.run import train_recipe

HOUR = timedelta(hours=1)
GOLDEN = Path(__file__).parents[1] / "contracts" / "golden" / "verdict.v1.json"
VERDICT = Verdict.read(GOLDEN.read_bytes())
times = st.integers(600_000_000, 1_900_000_000).map(lambda s: datetime.fromtimestamp(s, UTC))


@given(times, st.integers(1, 50), st.sampled_from([60, 900, 3600, 86400, 7]))
def test_windows_stand_side_by_side_until_now(now: datetime, behind: int, seconds: int) -> None:
    every = timedelta(seconds=seconds)
    oldest = now - GRACE_PERIOD - (behind + 1) * every
    due = due_windows(now, every, lambda start, _: start < oldest)

    assert all(end - start == every for start, end in due)
    assert all(a[1] == b[0] for a, b in pairwise(due))
    assert timedelta(0) <= now - GRACE_PERIOD - due[-1][1] < every
    assert behind <= len(due) <= behind + 1


def test_a_new_job_begins_with_the_newest_window_and_a_late_one_is_bounded() -> None:
    now = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)

    assert due_windows(now, HOUR, lambda *_: False) == [
        (datetime(2026, 1, 31, 11, tzinfo=UTC), datetime(2026, 1, 31, 12, tzinfo=UTC))
    ]
    assert due_windows(now, HOUR, lambda *_: True) == []
    long_ago = now - 2 * MAX_WINDOWS_BEHIND * HOUR
    assert len(due_windows(now, HOUR, lambda start, _: start < long_ago)) == 1


@pytest.mark.parametrize("minutes", [5, 30])
def test_what_a_clock_that_was_ahead_judged_is_judged_again(tmp_path: Path, minutes: int) -> None:
    """At noon the clock says 13:00, and it is right again after some minutes."""
    layout, quarter = Layout(tmp_path), timedelta(minutes=15)
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    true_time = noon
    runs: list[tuple[WindowSpan, datetime]] = []
    judged: dict[WindowSpan, float] = {}

    def judge(start: datetime, end: datetime) -> Verdict:
        path = verdict_path(layout, "tiny", 1, start, end)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        runs.append(((start, end), true_time))
        judged[start, end] = (true_time - noon).total_seconds()
        return VERDICT

    def poll(clock: datetime) -> None:
        monotonic_s = (true_time - noon).total_seconds()
        set_aside(layout, "tiny", 1, early_windows(clock, monotonic_s, quarter, judged))
        judge_due(layout, "tiny", 1, quarter, clock, judge)

    verdict_path(layout, "tiny", 1, noon - 2 * quarter, noon - quarter).parent.mkdir(parents=True)
    verdict_path(layout, "tiny", 1, noon - 2 * quarter, noon - quarter).touch()
    poll(noon + timedelta(hours=1, seconds=15))
    assert len(runs) == 5
    for passed in range(minutes, 90):
        true_time = noon + timedelta(minutes=passed)
        poll(true_time)

    last = dict(runs)
    windows = [(noon + n * quarter, noon + (n + 1) * quarter) for n in range(-1, 5)]
    assert sorted(last) == windows
    assert all(at >= end + GRACE_PERIOD for (_, end), at in last.items() if end > noon)
    assert len(runs) == 5 + 5, "each early window once more, and one more window"
    assert len(list((layout.verdicts / "tiny").glob("*.early"))) == 4


@pytest.mark.slow
def test_the_command_judges_window_after_window_and_goes_on_after_a_kill(
    workplace: Workplace,
) -> None:
    """Three-second windows: killed, started again, each has one verdict."""
    train_recipe(tiny.binary(), workplace.store)
    promote(workplace.store, "tiny", actor="ada")
    pull(workplace.store, workplace.layout, "tiny")
    command = [sys.executable, "-m", "slipway", "monitor", "tiny", "--every", "3s", "--json"]
    seen: list[str] = []
    for _ in range(2):
        with subprocess.Popen(
            command, cwd=workplace.root, stdout=subprocess.PIPE, text=True
        ) as job:
            assert job.stdout is not None
            text = ""
            until = time.monotonic() + 120
            while time.monotonic() < until:
                text += job.stdout.readline()
                try:
                    seen.append(json.loads(text)["verdict_id"])
                except ValueError:
                    continue
                break
            job.kill()

    assert len(seen) == 2
    assert seen[0] < seen[1]
    stored = [p.stem for p in (workplace.layout.verdicts / "tiny").glob("*.json")]
    assert set(seen) <= set(stored)
