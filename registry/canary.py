"""Whether a canary advances, completes or aborts: counts in, a decision out.

Three tests run at every look, and one may look any number of times. Does the challenger fail
more than 1 % of its requests? Is it slower than production by more than half? Does it answer
more than a fifth of the units differently? Each is a test by betting: a capital of one is bet
against the harmless answer, at odds that keep the expected capital at one or below while that
answer is true. By Ville's inequality (Ville 1939; Ramdas, Grünwald, Vovk, Shafer 2023,
"Game-theoretic statistics and safe anytime-valid inference", Statistical Science 38) the
capital then ever reaches 1/alpha with a probability of at most alpha, however many looks there
are. The three tests together abort a harmless challenger with a probability of at most
3 * ALPHA_PER_TEST = 1.5 %.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from contracts.canary import (
    LATENCY_SLACK_MS,
    MAX_SLOWDOWN,
    REFERENCE_LATENCIES,
    Canary,
    CanaryEvidence,
)
from contracts.decision import Check

ALPHA_PER_TEST = 0.005
"""The probability of a false alarm of each test, over the whole canary."""
MAX_FAILED_SHARE = 0.01
"""The share of its requests that a challenger may fail."""
MAX_CHANGED_SHARE = 0.2
"""The share of units that a challenger may answer differently from production. It is a different
model, so some change is its purpose; it must not change everything."""
FAILED_BETS = (0.05, 0.3, 0.95)
CHANGED_BETS = (0.35, 0.6, 0.99)
RANK_BETS = (1, 3, 15)
"""Each capital is divided between bets that win early on a large fault or late on a small one."""
MIN_COMPARED_SHARE = 0.5
"""The share of a step's answers that must have been compared before the next step."""
MAX_WAIT_FACTOR = 2.0
"""A step ends at the latest after this many times the requests that should suffice for it."""

Action = Literal["wait", "advance", "complete", "abort"]


@dataclass(frozen=True)
class CanaryDecision:
    """What to do with a canary now, in one sentence, and the checks that it is based on."""

    action: Action
    sentence: str
    checks: tuple[Check, ...]


def decide_step(
    canary: Canary, evidence: CanaryEvidence, *, held_s: float, hold_s: float
) -> CanaryDecision:
    """Abort if a test fails; advance or complete once the present step has enough evidence.

    `held_s` is how long the present step has lasted, in seconds, `hold_s` its minimum.
    """
    checks = (_failures(evidence), _latency(evidence), _changes(evidence))
    reasons = [check.sentence for check in checks if check.refuses]
    if reasons:
        return CanaryDecision("abort", f"aborted: {'; '.join(reasons)}", checks)
    requests = evidence.requests - canary.requests_before
    compared = evidence.compared - canary.compared_before
    wanted = canary.requests_per_step
    enough = requests >= wanted and compared >= MIN_COMPARED_SHARE * wanted
    if not (enough or _has_waited_enough(canary, evidence)) or held_s < hold_s:
        so_far = f"{requests} of {wanted} requests, {compared} compared, {held_s:.0f} s"
        return CanaryDecision("wait", f"{_step(canary)}: {so_far}", checks)
    if canary.step + 1 < len(canary.weights):
        return CanaryDecision("advance", f"{_step(canary)} is passed", checks)
    return CanaryDecision("complete", f"passed every step, {evidence.requests} requests", checks)


def _has_waited_enough(canary: Canary, evidence: CanaryEvidence) -> bool:
    """Whether `MAX_WAIT_FACTOR` times the requests came that should suffice for the step.

    With 40 users and a weight of 5 %, the challenger may get no user at all, however long the
    step lasts. The requests that it did get must have been compared.
    """
    expected_seen = canary.requests_per_step / canary.weights[canary.step]
    seen = evidence.seen - canary.seen_before
    requests = evidence.requests - canary.requests_before
    compared = evidence.compared - canary.compared_before
    return seen >= MAX_WAIT_FACTOR * expected_seen and compared >= MIN_COMPARED_SHARE * requests


def bernoulli_capital(k: int, n: int, limit: float, bets: Sequence[float]) -> float:
    """The log of the capital after bets on k successes in n; fair if the share is <= `limit`.

    It is Wald's likelihood ratio (1945) against each of `bets`, all above `limit`, averaged.

    >>> round(math.exp(bernoulli_capital(2, 2, 0.01, (0.5,))))
    2500
    """
    return _mean_exp(
        [k * math.log(bet / limit) + (n - k) * math.log((1 - bet) / (1 - limit)) for bet in bets]
    )


def rank_capital(ranks: Sequence[int]) -> float:
    """The log of the capital after bets on high ranks; fair if all ranks are equally likely.

    `ranks[r]` counts the rank r. A rank r of 0..m pays `(r + 1)**bet` divided by the mean of
    that over all ranks, as the simple test martingales of
    Vovk, Nouretdinov, Gammerman (2003, "Testing exchangeability on-line") do on p-values.
    """
    return _mean_exp(
        [
            sum(n * math.log(pay) for n, pay in zip(ranks, _pays(bet), strict=True))
            for bet in RANK_BETS
        ]
    )


@lru_cache
def _pays(bet: int) -> tuple[float, ...]:
    powers = [float(r + 1) ** bet for r in range(REFERENCE_LATENCIES + 1)]
    mean = sum(powers) / len(powers)
    return tuple(power / mean for power in powers)


def _mean_exp(logs: Sequence[float]) -> float:
    """The log of the mean of numbers, from their logs, without overflow."""
    highest = max(logs)
    return highest + math.log(sum(math.exp(each - highest) for each in logs) / len(logs))


def _failures(evidence: CanaryEvidence) -> Check:
    k, n = evidence.failed, evidence.requests
    capital = bernoulli_capital(k, n, MAX_FAILED_SHARE, FAILED_BETS)
    got = f"{k} of {n} requests failed"
    return _check("failures", f"at most {MAX_FAILED_SHARE:.0%} of requests failed", got, capital)


def _latency(evidence: CanaryEvidence) -> Check:
    n = sum(evidence.ranks)
    mean = sum(rank * count for rank, count in enumerate(evidence.ranks)) / max(n, 1)
    slower = mean / REFERENCE_LATENCIES
    limit = f"{MAX_SLOWDOWN:g} times production's plus {LATENCY_SLACK_MS:g} ms"
    reduced = f"after subtracting {LATENCY_SLACK_MS:g} ms and dividing by {MAX_SLOWDOWN:g}"
    got = f"{reduced}, slower than {slower:.0%} of production's (n = {n})"
    return _check("latency", f"latencies at most {limit}", got, rank_capital(evidence.ranks))


def _changes(evidence: CanaryEvidence) -> Check:
    k, n = evidence.changed, evidence.units
    capital = bernoulli_capital(k, n, MAX_CHANGED_SHARE, CHANGED_BETS)
    expected = f"at most {MAX_CHANGED_SHARE:.0%} of answers changed"
    return _check("predictions", expected, f"{k} of {n} changed", capital)


def _check(path: str, expected: str, got: str, capital: float) -> Check:
    return Check(
        subject="canary",
        path=path,
        expected=expected,
        got=got,
        passed=capital < -math.log(ALPHA_PER_TEST),
        sentence=f"{path}: expected {expected}, got {got}",
    )


def _step(canary: Canary) -> str:
    return f"step {canary.step + 1} of {len(canary.weights)} ({canary.weights[canary.step]:.4g})"
