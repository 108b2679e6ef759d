"""A shadow scores an even sample, as large as its share of a core allows."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import InvalidSetting
from contracts.settings import load_settings
from services.settings import ServiceSettings
from services.shadow.cpu_budget import INITIAL_ROWS, CpuBudget

SHARE = 0.1
ROW_S = 0.001


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_on_average_it_takes_its_share(clock: list[float]) -> None:
    budget, used_s = CpuBudget(SHARE), 0.0
    for _ in range(400):
        clock[0] += 0.25
        rows = len(budget.sample(range(10_000)))
        budget.learn(rows * ROW_S, rows)
        # Apart from its rows, each poll takes as long as eight of them.
        budget.pay((rows + 8) * ROW_S)
        used_s += (rows + 8) * ROW_S
    assert used_s == pytest.approx(SHARE * clock[0], rel=0.05)


def test_rows_that_cost_more_than_can_be_saved_are_scored_now_and_then(
    clock: list[float],
) -> None:
    budget, used_s = CpuBudget(SHARE), 0.0
    for _ in range(4_000):
        clock[0] += 0.25
        rows = len(budget.sample(range(100)))
        if rows:
            budget.learn(rows * 1.0, rows)
        budget.pay(rows * 1.0)
        used_s += rows
    # The first rows, whose cost was unknown, are paid off later.
    assert SHARE * clock[0] - 2 <= used_s <= SHARE * clock[0] + INITIAL_ROWS + 2


@pytest.mark.usefixtures("clock")
def test_a_canary_is_compared_without_any_budget() -> None:
    budget = CpuBudget(SHARE)
    budget.pay(1_000.0)
    assert not budget.sample(range(100))
    assert len(budget.sample(range(100), at_least=10)) == 10


def test_unused_time_is_saved_for_a_second_only(clock: list[float]) -> None:
    budget = CpuBudget(SHARE)
    budget.learn(ROW_S, 1)
    clock[0] += 3_600.0
    before = len(budget.sample(range(1_000_000)))
    clock[0] += 3_600.0
    assert len(budget.sample(range(1_000_000))) == before


@pytest.mark.parametrize("share", ["0", "-0.1", "1.5", "nan", "inf"])
def test_an_impossible_share_stops_the_start(share: str) -> None:
    with pytest.raises(InvalidSetting, match=r"SHADOW_CORE: expected a share above 0 .*, got"):
        load_settings(ServiceSettings, {"SLIPWAY_SERVICE_SHADOW_CORE": share})


@given(st.integers(0, 5_000), st.integers(1, 700))
def test_the_sample_is_even_and_in_order(lines: int, rows: int) -> None:
    budget = CpuBudget(SHARE)
    budget.pay(1_000.0)
    sample = list(budget.sample(range(lines), at_least=rows))

    assert len(sample) <= rows
    if lines <= rows:
        assert sample == list(range(lines))
    assert len({b - a for a, b in pairwise(sample)}) <= 1
    # No more is left out than the bound asks for: twice as many would be over it.
    assert 2 * len(sample) >= min(lines, rows)
