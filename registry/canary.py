"""Whether a canary goes on, ends, or is taken back: counts in, a decision out.

Three questions are asked at every look, as often as one likes: does the challenger fail more
than one request in a hundred that production answers; is it slower by more than half; does it
answer more than a fifth of the units otherwise. Each is a test by betting: a capital of one is
staked against the harmless answer, at odds that make the expected capital at most one as long
as it is true. By Ville's inequality (Ville 1939; Ramdas, Grünwald, Vovk, Shafer 2023,
"Game-theoretic statistics and safe anytime-valid inference", Statistical Science 38) it then
ever reaches 1/alpha with a chance of at most alpha, however often it was looked at. The three
together abort a harmless challenger with a chance of at most 3 * ALPHA = 1.5 %.
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

ALPHA = 0.005
"""The chance of a false alarm of each test, over the whole canary."""
FAILED = 0.01
"""The share of its requests that a challenger may fail."""
CHANGED = 0.2
"""The share of units that a challenger may answer otherwise than production: it is another
model, so some change is what it is for. What must not happen is that it is another answer."""
FAILED_BETS = (0.05, 0.3, 0.95)
CHANGED_BETS = (0.35, 0.6, 0.99)
RANK_BETS = (1, 3, 15)
"""Each capital is divided between bets that win early on a gross fault or late on a small one."""
COMPARED = 0.5
"""The share of a step's answers that must have been compared before the next."""

PATIENCE = 2.0

Action = Literal["wait", "advance", "complete", "abort"]


@dataclass(frozen=True)
class CanaryDecision:
    """What to do with a canary now, in one sentence, and the checks it stands on."""

    action: Action
    sentence: str
    checks: tuple[Check, ...]


def decide(
    canary: Canary, evidence: CanaryEvidence, *, held_s: float, hold_s: float
) -> CanaryDecision:
    """Abort on a surety; else go on when the step has been seen for long enough.

    `held_s`: how long the present step lasts; `hold_s`: how long it must.
    """
    checks = (_failures(evidence), _latency(evidence), _changes(evidence))
    against = [check.sentence for check in checks if check.refuses]
    if against:
        return CanaryDecision("abort", f"aborted: {'; '.join(against)}", checks)
    requests = evidence.requests - canary.requests_before
    compared = evidence.compared - canary.compared_before
    enough = (
        requests >= canary.requests_per_step and compared >= COMPARED * canary.requests_per_step
    )
    if not (enough or _is_patient(canary, evidence)) or held_s < hold_s:
        progress = f"{requests} of {canary.requests_per_step} requests"
        seen = f"{progress}, {compared} compared, {held_s:.0f} s"
        return CanaryDecision("wait", f"{_step(canary)}: {seen}", checks)
    if canary.step + 1 < len(canary.weights):
        return CanaryDecision("advance", f"{_step(canary)} is passed", checks)
    return CanaryDecision("complete", f"passed every step, {evidence.requests} requests", checks)


def _is_patient(canary: Canary, evidence: CanaryEvidence) -> bool:
    """Whether so many requests came that the step would be over twice, were all units alike.

    Of forty users one in twenty may be nobody, and then nobody will ever be. But what came to
    the challenger must have been compared.
    """
    weight = canary.weights[canary.step]
    seen = evidence.seen - canary.seen_before
    requests = evidence.requests - canary.requests_before
    compared = evidence.compared - canary.compared_before
    return seen >= PATIENCE * canary.requests_per_step / weight and compared >= COMPARED * requests


def bernoulli_capital(k: int, n: int, limit: float, bets: Sequence[float]) -> float:
    """The log of what betting on k of n made, fair where the true share is at most `limit`.

    Wald's likelihood ratio (1945) against each of `bets`, all above `limit`, averaged.

    >>> round(math.exp(bernoulli_capital(2, 2, 0.01, (0.5,))))
    2500
    """
    return _mean_exp(
        [k * math.log(bet / limit) + (n - k) * math.log((1 - bet) / (1 - limit)) for bet in bets]
    )


def rank_capital(ranks: Sequence[int]) -> float:
    """The log of what betting on high ranks made, fair where each rank is as likely.

    A rank r of 0..m pays `(r + 1)**bet` over its mean, as the simple test martingales of
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
    """The log of the mean of what these are logs of."""
    highest = max(logs)
    return highest + math.log(sum(math.exp(each - highest) for each in logs) / len(logs))


def _failures(evidence: CanaryEvidence) -> Check:
    k, n = evidence.failed, evidence.requests
    capital = bernoulli_capital(k, n, FAILED, FAILED_BETS)
    got = f"{k} of {n} requests failed"
    return _check("failures", f"at most {FAILED:.0%} of requests failed", got, capital)


def _latency(evidence: CanaryEvidence) -> Check:
    n = sum(evidence.ranks)
    mean = (
        sum(r * times for r, times in enumerate(evidence.ranks)) / max(n, 1) / REFERENCE_LATENCIES
    )
    expected = f"latencies at most {MAX_SLOWDOWN:g} times production's and {LATENCY_SLACK_MS:g} ms"
    got = f"so reduced, they are slower than {mean:.0%} of production's ({n} looked at)"
    return _check("latency", expected, got, rank_capital(evidence.ranks))


def _changes(evidence: CanaryEvidence) -> Check:
    k, n = evidence.changed, evidence.units
    capital = bernoulli_capital(k, n, CHANGED, CHANGED_BETS)
    got = f"{k} of {n} changed"
    return _check("predictions", f"at most {CHANGED:.0%} of answers changed", got, capital)


def _check(path: str, expected: str, got: str, capital: float) -> Check:
    return Check(
        subject="canary",
        path=path,
        expected=expected,
        got=got,
        passed=capital < -math.log(ALPHA),
        sentence=f"{path}: expected {expected}, got {got}",
    )


def _step(canary: Canary) -> str:
    return f"step {canary.step + 1} of {len(canary.weights)} ({canary.weights[canary.step]:.4g})"
