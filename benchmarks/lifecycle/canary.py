"""The bars of the canary: harmful challengers are aborted soon, harmless ones complete.

    python -m benchmarks.lifecycle.canary [--repetitions 500] [--seed N] [--steps 1,5,25,50,100]

Each repetition is a canary of its own with the steps and numbers of `slipway traffic-split NAME
challenger=canary`, from the first request to its end: the traffic is simulated
(`benchmarks/lifecycle/scenarios.py`), counting and deciding are the code that runs next to the
service, and the canary is evaluated every 25 requests. Shares are printed with their 95 % Wilson
interval; requests are counted from the beginning, all of them, production's as well. The exit
code is 1 if a bar is missed.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from benchmarks.gate.__main__ import say, shown
from benchmarks.lifecycle.scenarios import World, lines_of, record_of, requests
from contracts.canary import Canary, CanaryEvidence
from registry.canary import decide_step
from registry.split_spec import DEFAULT_REQUESTS_PER_STEP, parse_split
from services.shadow.canary_evidence import EvidenceCounter
from services.shadow.log_entry import LogEntry

SEED = 20260420
LOOK = 25
"""Requests between two looks."""
PATIENCE = 100_000
"""Requests after which a canary counts as never ending."""
WITHIN = 1_000
FALSE_BAR, ABORTED_BAR = 0.02, 0.95

HARMLESS = (
    World("the same model"),
    World("no user ids", users=0),
    World("40 users", users=40),
    World("1.5 times slower", slower=1.5),
    World("one user in ten answered differently", changed=0.10),
    World("wide latencies", spread=1.0),
    World("fails 1 request in 500", failing=0.002),
    World("at every limit at once", failing=0.01, slower=1.5, changed=0.2),
)
HARMFUL = (
    World("returns errors", failing=1.0),
    World("5 times slower", slower=5.0),
    World("flips predictions", changed=1.0),
    World("returns errors, no user ids", failing=1.0, users=0),
    World("5 times slower, no user ids", slower=5.0, users=0),
    World("flips predictions, no user ids", changed=1.0, users=0),
)
SUBTLE = (
    World("errors in a tenth", failing=0.1),
    World("3.5 times slower", slower=3.5),
    World("half of the users answered differently", changed=0.5),
    World("5 times slower, wide latencies", slower=5.0, spread=1.0),
)
"""Harmful, but not the gross faults of the bar: when are they seen?"""

AGREED, DIFFERED = record_of(agrees=True), record_of(agrees=False)


@dataclass(frozen=True)
class End:
    """How a canary ended, after how many requests, and how many of them the challenger's."""

    action: str
    requests: int
    challenged: int


def run(world: World, weights: tuple[float, ...], rng: np.random.Generator) -> End:
    """One canary from its beginning to its end."""
    canary = _canary(weights)
    counter = EvidenceCounter(CanaryEvidence(canary=canary.began))
    source = requests(world, rng)
    seen = 0
    while seen < PATIENCE:
        # A weight is in force for a chunk at least, as it is for seconds in a service.
        for look in _looks(lines_of(world, next(source), canary.weights[canary.step])):
            agrees = {line.request_id: same for line, same in look}
            answers = counter.count(entry for entry, _ in look)
            counter.compare([(a, AGREED if agrees[a.request_id] else DIFFERED) for a in answers])
            seen += len(look)
            evidence = counter.evidence
            decision = decide_step(canary, evidence, held_s=0.0, hold_s=0.0)
            if decision.action in {"abort", "complete"}:
                return End(decision.action, seen, evidence.requests)
            if decision.action == "advance":
                counter.new_step()
                canary = replace(
                    canary,
                    step=canary.step + 1,
                    seen_before=evidence.seen,
                    requests_before=evidence.requests,
                    compared_before=evidence.compared,
                )
                break
    return End("wait", seen, counter.evidence.requests)


def _looks(lines: list[tuple[LogEntry, bool]]) -> Iterator[list[tuple[LogEntry, bool]]]:
    for start in range(0, len(lines), LOOK):
        yield lines[start : start + LOOK]


def _canary(weights: tuple[float, ...]) -> Canary:
    return Canary(
        model="simulated",
        challenger_version=2,
        challenger_digest="",
        production_version=1,
        weights=weights,
        requests_per_step=DEFAULT_REQUESTS_PER_STEP,
        began="",
        step_began="",
    )


def ends(world: World, weights: tuple[float, ...], repetitions: int, seed: int) -> list[End]:
    """Canaries in a world, each with traffic of its own."""
    streams = (np.random.default_rng([seed, number]) for number in range(repetitions))
    return [run(world, weights, stream) for stream in streams]


def harmless_missed(weights: tuple[float, ...], repetitions: int, seed: int) -> int:
    """Print the table of harmless challengers and return the number of missed bars."""
    missed = 0
    say("harmless challenger", "aborted, %", "completed, %", "requests (median)", "<= 2 %", "s")
    say(*["---"] * 6)
    for world in HARMLESS:
        begin = time.monotonic()
        found = ends(world, weights, repetitions, seed)
        aborted = float(np.mean([end.action == "abort" for end in found]))
        completed = float(np.mean([end.action == "complete" for end in found]))
        is_met = aborted <= FALSE_BAR and aborted + completed == 1.0
        missed += not is_met
        say(
            world.name,
            shown(aborted, len(found)),
            shown(completed, len(found)),
            int(np.median([end.requests for end in found])),
            "met" if is_met else "missed",
            f"{time.monotonic() - begin:.0f}",
        )
    return missed


def harmful_missed(weights: tuple[float, ...], repetitions: int, seed: int) -> int:
    """Print the table of harmful challengers and return the number of missed bars."""
    missed = 0
    heads = ("harmful challenger", "aborted, %", f"within {WITHIN} requests, %", "requests: median")
    say(*heads, "95 of 100", "challenger's: median", "most", f"all, >= {ABORTED_BAR:.0%} in time")
    say(*["---"] * 8)
    for world in (*HARMFUL, *SUBTLE):
        found = ends(world, weights, repetitions, seed)
        aborted = float(np.mean([end.action == "abort" for end in found]))
        in_time = float(
            np.mean([end.action == "abort" and end.requests <= WITHIN for end in found])
        )
        is_met = aborted == 1.0 and in_time >= ABORTED_BAR
        missed += world in HARMFUL and not is_met
        counts = [end.requests for end in found]
        challenged = [end.challenged for end in found]
        say(
            world.name,
            shown(aborted, len(found)),
            shown(in_time, len(found)),
            int(np.median(counts)),
            int(np.quantile(counts, 0.95)),
            int(np.median(challenged)),
            max(challenged),
            ("met" if is_met else "missed") if world in HARMFUL else "no bar",
        )
    return missed


def main() -> int:
    """Print the tables; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--repetitions", type=int, default=500)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--steps", default="", help="in per cent: 1,5,25,50,100")
    options = parser.parse_args()
    weights = parse_split(f"canary {options.steps}").steps[:-1]
    missed = harmless_missed(weights, options.repetitions, options.seed)
    sys.stdout.write("\n")
    missed += harmful_missed(weights, options.repetitions, options.seed)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
