"""A shadow looks at what its share of a core is enough for, and then an even choice."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import settings
from contracts.errors import InvalidSetting
from services.settings import ServiceSettings
from services.shadow.cpu_budget import FIRST, Pace

SHARE = 0.1
ROW_S = 0.001


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_in_the_mean_it_takes_its_share(clock: list[float]) -> None:
    pace, used_s = Pace(SHARE), 0.0
    for _ in range(400):
        clock[0] += 0.25
        rows = len(pace.chosen(range(10_000)))
        pace.learn(rows * ROW_S, rows)
        # Beside the rows, each look takes as long as eight of them.
        pace.pay((rows + 8) * ROW_S)
        used_s += (rows + 8) * ROW_S
    assert used_s == pytest.approx(SHARE * clock[0], rel=0.05)


def test_rows_that_take_longer_than_can_be_saved_are_scored_now_and_then(
    clock: list[float],
) -> None:
    pace, used_s = Pace(SHARE), 0.0
    for _ in range(4_000):
        clock[0] += 0.25
        rows = len(pace.chosen(range(100)))
        if rows:
            pace.learn(rows * 1.0, rows)
        pace.pay(rows * 1.0)
        used_s += rows
    # The first rows, of which nothing was known, are paid off later.
    assert SHARE * clock[0] - 2 <= used_s <= SHARE * clock[0] + FIRST + 2


@pytest.mark.usefixtures("clock")
def test_a_canary_is_judged_without_any_credit() -> None:
    pace = Pace(SHARE)
    pace.pay(1_000.0)
    assert not pace.chosen(range(100))
    assert len(pace.chosen(range(100), least=10)) == 10


def test_what_was_not_used_is_kept_for_a_second_only(clock: list[float]) -> None:
    pace = Pace(SHARE)
    pace.learn(ROW_S, 1)
    clock[0] += 3_600.0
    before = len(pace.chosen(range(1_000_000)))
    clock[0] += 3_600.0
    assert len(pace.chosen(range(1_000_000))) == before


@pytest.mark.parametrize("share", ["0", "-0.1", "1.5", "nan", "inf"])
def test_a_share_that_is_none_stops_the_start(share: str) -> None:
    with pytest.raises(InvalidSetting, match=r"SHADOW_CORE: expected a share above 0 .*, got"):
        settings.load(ServiceSettings, {"SLIPWAY_SERVICE_SHADOW_CORE": share})


@given(st.integers(0, 5_000), st.integers(1, 700))
def test_the_choice_is_even_and_in_order(lines: int, rows: int) -> None:
    pace = Pace(SHARE)
    pace.pay(1_000.0)
    chosen = list(pace.chosen(range(lines), least=rows))

    assert len(chosen) <= rows
    if lines <= rows:
        assert chosen == list(range(lines))
    assert len({b - a for a, b in pairwise(chosen)}) <= 1
    # No more is left out than the bound asks for: twice as many would be over it.
    assert 2 * len(chosen) >= min(lines, rows)
