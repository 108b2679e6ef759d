"""A canary ends for good reasons and without help; simulated by `benchmarks.lifecycle.canary`."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.lifecycle.canary import run
from benchmarks.lifecycle.scenarios import World
from contracts.canary import REFERENCE_LATENCIES, Canary, CanaryEvidence
from registry.canary import (
    ALPHA_PER_TEST,
    CHANGED_BETS,
    FAILED_BETS,
    MAX_CHANGED_SHARE,
    MAX_FAILED_SHARE,
    RANK_BETS,
    bernoulli_capital,
    decide_step,
    rank_capital,
)
from registry.split_spec import DEFAULT_STEPS

CANARY = Canary(
    model="loan",
    challenger_version=2,
    challenger_digest="d",
    production_version=1,
    weights=(0.05, 0.5),
    requests_per_step=100,
    began="2026-01-31T12:00:00Z",
    step_began="2026-01-31T12:00:00Z",
)


def evidence(**counts: object) -> CanaryEvidence:
    return CanaryEvidence(canary=CANARY.began, **counts)  # type: ignore[arg-type]  # counts


def action(canary: Canary = CANARY, held_s: float = 100.0, **counts: object) -> str:
    return decide_step(canary, evidence(**counts), held_s=held_s, hold_s=60.0).action


# The tests are fair: exact expectations, computed in fractions over every outcome.


@pytest.mark.parametrize(
    ("limit", "bets"), [(MAX_FAILED_SHARE, FAILED_BETS), (MAX_CHANGED_SHARE, CHANGED_BETS)]
)
@pytest.mark.parametrize("truth", [0.0, 0.5, 1.0])
def test_nobody_gets_rich_on_a_harmless_share(
    limit: float, bets: tuple[float, ...], truth: float
) -> None:
    """The capital expected after n requests, over all k of them, is at most what was staked."""
    p, n = Fraction(limit) * Fraction(truth), 12
    expected = sum(
        math.comb(n, k)
        * p**k
        * (1 - p) ** (n - k)
        * Fraction(math.exp(bernoulli_capital(k, n, limit, bets)))
        for k in range(n + 1)
    )

    assert expected <= 1 + Fraction(1, 10**9)
    if truth == 1.0:
        assert expected == pytest.approx(1.0)


def test_nobody_gets_rich_on_ranks_that_are_as_likely() -> None:
    """The capital expected over every pair of ranks is at most what was bet."""
    sides = REFERENCE_LATENCIES + 1
    total = 0.0
    for first in range(sides):
        for second in range(sides):
            ranks = np.bincount([first, second], minlength=sides)
            total += math.exp(rank_capital([int(n) for n in ranks]))

    assert total / sides**2 == pytest.approx(1.0)


@given(st.integers(0, 50), st.integers(0, 50))
def test_the_capital_is_walds_ratio(k: int, rest: int) -> None:
    exact = Fraction(0)
    for bet in FAILED_BETS:
        won, lost = (
            Fraction(bet) / Fraction(MAX_FAILED_SHARE),
            (1 - Fraction(bet)) / (1 - Fraction(MAX_FAILED_SHARE)),
        )
        exact += (won**k * lost**rest) / len(FAILED_BETS)

    assert bernoulli_capital(k, k + rest, MAX_FAILED_SHARE, FAILED_BETS) == pytest.approx(
        math.log(exact.numerator) - math.log(exact.denominator), abs=1e-9
    )


def test_a_slow_rank_pays_more() -> None:
    pays = [rank_capital(np.eye(REFERENCE_LATENCIES + 1, dtype=int)[r].tolist()) for r in range(13)]

    assert pays == sorted(pays)
    assert len(RANK_BETS) == 3


# deciding


def test_each_fault_alone_aborts_and_says_why() -> None:
    failed = decide_step(CANARY, evidence(requests=3, failed=3), held_s=0, hold_s=60)
    slow = decide_step(
        CANARY, evidence(ranks=(0,) * REFERENCE_LATENCIES + (4,)), held_s=0, hold_s=60
    )
    other = decide_step(CANARY, evidence(units=5, changed=5, compared=5), held_s=0, hold_s=60)

    assert {each.action for each in (failed, slow, other)} == {"abort"}
    assert "failures: expected at most 1% of requests failed, got 3 of 3" in failed.sentence
    assert "latency: expected latencies at most 1.5 times production's" in slow.sentence
    assert "predictions: expected at most 20% of answers changed, got 5 of 5" in other.sentence
    assert [check.path for check in failed.checks] == ["failures", "latency", "predictions"]
    assert [check.passed for check in failed.checks] == [False, True, True]


def test_a_step_is_over_when_it_was_seen_compared_and_held_for_long_enough() -> None:
    seen: dict[str, Any] = {"requests": 100, "compared": 60, "units": 60, "seen": 2_000}

    assert action(**seen) == "advance"
    assert action(**(seen | {"requests": 99})) == "wait"
    assert action(**(seen | {"compared": 49})) == "wait"
    assert action(held_s=59.0, **seen) == "wait"
    assert action(failed=0, requests=0) == "wait"


def test_the_last_step_completes_and_counts_from_its_own_beginning() -> None:
    from msgspec.structs import replace

    last = replace(CANARY, step=1, requests_before=100, compared_before=60, seen_before=2_000)

    assert action(last, requests=199, compared=160, units=160, seen=2_198) == "wait"
    assert action(last, requests=200, compared=160, units=160, seen=2_200) == "complete"


def test_a_share_without_any_user_does_not_hold_up_its_step() -> None:
    """2,000 requests should give 100 at 5 %; after twice as many the step does not wait longer."""
    assert action(seen=3_999) == "wait"
    assert action(seen=4_000) == "advance"
    assert action(seen=4_000, requests=50, compared=10, units=10) == "wait"


# from beginning to end


@pytest.mark.parametrize(
    "world",
    [
        World("the same"),
        World("without ids, a little slower and another model", users=0, slower=1.3, changed=0.1),
    ],
    ids=lambda world: world.name,
)
def test_a_harmless_challenger_completes(world: World) -> None:
    ends = [run(world, DEFAULT_STEPS[:-1], np.random.default_rng([1, i])) for i in range(12)]

    assert {end.action for end in ends} == {"complete"}


@pytest.mark.parametrize(
    "world",
    [
        World("returns errors", failing=1.0),
        World("5 times slower", slower=5.0),
        World("flips predictions", changed=1.0),
    ],
    ids=lambda world: world.name,
)
def test_a_harmful_challenger_is_aborted_within_a_thousand_requests(world: World) -> None:
    ends = [run(world, DEFAULT_STEPS[:-1], np.random.default_rng([2, i])) for i in range(12)]

    assert {end.action for end in ends} == {"abort"}
    assert sorted(end.requests for end in ends)[-2] <= 1_000
    assert 3 * ALPHA_PER_TEST <= 0.02
