"""False positives of the A/B analysis under peeking, and its power.

    python -m benchmarks.experiment [--repetitions 200]

Each repetition draws a new experiment and looks at it 30 times on the way from 200 to 10,000
units, as the page does; it counts if any look decides. For comparison, the table shows the 95 %
interval made for a single look but used at every look, and the one that treats rows as
independent. The ratio check runs on all units, and with some of the challenger's units lost.
Shares are printed with their 95 % Wilson interval (1927). The exit code is 1 if a bar is missed.
"""

import argparse
import sys
import time

import numpy as np

from benchmarks.experiment.scenarios import HeavyErrors, RareErrors, World
from benchmarks.gate.__main__ import say, shown
from metrics.interval import Z95
from monitoring.experiment.effect import (
    MIN_EVENTS,
    TrialRows,
    confidence_sequence,
    estimate_difference,
)
from monitoring.experiment.sample_ratio import ratio_check

SEED = 20260520
UNITS = 10_000
FIRST = 200
LOOKS = 30
FALSE_BAR, POWER_BAR, MISMATCH_BAR = 0.05, 0.8, 0.01

NO_BETTER: tuple[World | RareErrors | HeavyErrors, ...] = (
    World("users come once", "accuracy", visits=1.0),
    World("users come again", "accuracy"),
    World("users come again", "roc_auc"),
    World("users come again", "brier"),
    World("users come again", "rmse"),
    World("one in ten meets the challenger", "roc_auc", weights=(0.1,)),
    World("the weight rises", "roc_auc", weights=(0.05, 0.25, 0.5)),
    World("users come ten times", "accuracy", visits=10.0, alike=2.0),
    RareErrors("an error in 200", "accuracy", rate=0.005),
    RareErrors(
        "an error in 200, one in ten meets the challenger", "accuracy", rate=0.005, weight=0.1
    ),
    RareErrors(
        "an error in 50, one in 20 meets the challenger", "accuracy", rate=0.02, weight=0.05
    ),
    HeavyErrors("heavy-tailed errors, one in ten meets the challenger", "rmse", weight=0.1),
    HeavyErrors("heavy-tailed errors", "mae"),
)
BETTER: tuple[World | RareErrors | HeavyErrors, ...] = (
    World("better", "accuracy", gain=0.15),
    World("better", "roc_auc", gain=0.15),
    World("better, one in ten meets the challenger", "roc_auc", gain=0.25, weights=(0.1,)),
    World("better, the weight rises", "roc_auc", gain=0.2, weights=(0.05, 0.25, 0.5)),
)


def looks(
    world: World | RareErrors | HeavyErrors, rng: np.random.Generator, n_units: int = UNITS
) -> np.ndarray:
    """Whether each kind of interval decides at any of the looks, shape `(3,)`.

    In this order: the confidence sequence, the single-look interval, and the single-look
    interval that ignores clusters.
    """
    whole = world.draw(n_units, rng)
    decided = np.zeros(3, dtype=bool)
    for units in np.linspace(FIRST, n_units, LOOKS).astype(int):
        seen = whole.where(whole.units < units)
        found = estimate_difference(seen, world.metric)
        if found is None:
            continue
        low, high = confidence_sequence(found, n_units)
        alone = estimate_difference(_unclustered(seen), world.metric)
        decided |= [
            found.events >= MIN_EVENTS and not low <= 0 <= high,
            abs(found.value) > Z95 * found.standard_error,
            alone is not None and abs(alone.value) > Z95 * alone.standard_error,
        ]
    return decided


def _unclustered(rows: TrialRows) -> TrialRows:
    """Return these rows as if each were its own unit."""
    return TrialRows(**(vars(rows) | {"units": np.arange(len(rows), dtype=np.uint64)}))


def mismatches(lost: float, weight: float, repetitions: int) -> float:
    """Return how often the ratio check fails when a share of the challenger's units is lost."""
    failed = 0
    for repetition in range(repetitions):
        rng = np.random.default_rng([SEED, round(lost * 1000), round(weight * 1000), repetition])
        treated = rng.random(UNITS) < weight
        kept = ~(treated & (rng.random(UNITS) < lost))
        units = np.arange(UNITS, dtype=np.uint64)[kept]
        strata = np.zeros(len(units), dtype=np.int64)
        failed += ratio_check(units, treated[kept], strata, np.array([weight])).failed
    return failed / repetitions


def main() -> int:
    """Print the tables; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--repetitions", type=int, default=200)
    repetitions = parser.parse_args().repetitions
    missed = 0
    sys.stdout.write(f"{repetitions} repetitions per line, seed {SEED}, {LOOKS} looks each\n\n")
    say(
        "scenario",
        "metric",
        "decided at any look, %",
        "single-look interval, %",
        "ignoring clusters, %",
        "bar",
        "s",
    )
    say(*["---"] * 7)
    for bar, worlds in ((FALSE_BAR, NO_BETTER), (POWER_BAR, BETTER)):
        for number, world in enumerate(worlds):
            begin = time.monotonic()
            drawn = [
                looks(world, np.random.default_rng([SEED, number, int(bar * 100), repetition]))
                for repetition in range(repetitions)
            ]
            shares = np.mean(drawn, axis=0)
            met = shares[0] <= bar if bar == FALSE_BAR else shares[0] >= bar
            missed += not met
            words = f"{'<=' if bar == FALSE_BAR else '>='} {bar:.0%} {'met' if met else 'MISSED'}"
            cells = [shown(float(share), repetitions) for share in shares]
            say(world.name, world.metric, *cells, words, f"{time.monotonic() - begin:.0f}")
    sys.stdout.write("\n")
    say("challenger's users lost", "weight", "mismatch detected, %", "bar")
    say(*["---"] * 4)
    for lost, weight in ((0.0, 0.5), (0.0, 0.1), (0.1, 0.5), (0.2, 0.1)):
        share = mismatches(lost, weight, repetitions)
        met = share >= POWER_BAR if lost else share <= MISMATCH_BAR
        missed += not met
        words = f"{'>= 80 %' if lost else '<= 1 %'} {'met' if met else 'MISSED'}"
        say(f"{lost:.0%}", weight, shown(share, repetitions), words)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
