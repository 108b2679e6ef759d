"""Does the loop help? Streams through labels, verdicts, retraining and the gate.

    python -m benchmarks.monitoring.loop [--bikes <path of bike_sharing_hour.csv>] [--seed 20261126]
        [--streams abrupt gradual ...] [--repetitions 1]

Compared are: never refitted; refitted blindly every four weeks, on all rows or the newest;
and the oracle, the best of several windows in each week, chosen with that week's own truth.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from benchmarks.monitoring.closed_loop import ClosedLoop, LoopResult
from benchmarks.monitoring.streams import SYNTHETIC_STREAMS, Stream, bikes, points
from training.dataset import features_of, load_table, targets_of
from training.pipeline import fitted_pipeline, scores_of
from training.reference import predictions

SEED = 20261126
MONTH = 4
"""Weeks between two blind refits, and between two retrainings by schedule."""
WINDOWS = (3, 6, 12)
"""The lengths in weeks of the windows of a refit; there is also one on all rows."""
BEHIND_BLIND = 0.3
"""Points that the loop may be behind the better blind refit."""
SHARE_OF_ORACLE = 0.7
"""Share of the way from never to the oracle that the loop must have gone."""


@dataclass(frozen=True)
class Arms:
    """Points by week of what the loop is compared with."""

    never: Sequence[float]
    blind: Mapping[str, Sequence[float]]

    @property
    def oracle(self) -> Sequence[float]:
        """The best arm of each week."""
        return [max(week) for week in zip(self.never, *self.blind.values(), strict=True)]


def compared_arms(stream: Stream) -> Arms:
    """The other ways, week by week."""
    past = load_table(stream.recipe)
    never = _weekly(stream, lambda _: past, every=0)
    blind = {"all rows": _weekly(stream, partial(_known, stream, past, None), every=MONTH)}
    for length in WINDOWS:
        rows = partial(_known, stream, past, length)
        blind[f"{length} weeks"] = _weekly(stream, rows, every=MONTH)
    return Arms(never, blind)


def _known(stream: Stream, past: pd.DataFrame, length: int | None, week: int) -> pd.DataFrame:
    """The rows whose labels are known at the beginning of a week, or the newest of them."""
    target = stream.recipe.targets[0]
    known = [stream.weeks[k].assign(**{target: stream.labels_of(k)}) for k in range(week)]
    is_short = length is None or week < length
    return pd.concat([past, *known] if is_short else known[-(length or 0) :], ignore_index=True)


def _weekly(stream: Stream, known: Callable[[int], pd.DataFrame], *, every: int) -> list[float]:
    """The points of a model that is fitted again at intervals (`every`, in weeks; 0: never)."""
    found, pipeline, recipe = [], None, stream.recipe
    for week, table in enumerate(stream.weeks):
        if pipeline is None or (every and week % every == 0):
            rows = known(week)
            features = features_of(rows, recipe.schema)
            pipeline = fitted_pipeline(recipe, features, targets_of(recipe, rows), seed=0)
        scores = scores_of(pipeline, features_of(table, recipe.schema), recipe)
        found.append(points(stream, week, predictions(recipe, scores)))
    return found


def closed_loop(stream: Stream, *, schedule: int = MONTH) -> LoopResult:
    """The loop's run of a stream, in a temporary folder that is the current one meanwhile."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            return ClosedLoop(stream, Path(folder), schedule=schedule).run()
        finally:
            os.chdir(here)


def report(stream: Stream, seed: int, *, events: bool) -> bool:
    """Print a stream's line of the table; gives whether it meets the bars."""
    begin = time.process_time()
    arms = compared_arms(stream)
    result = closed_loop(stream)
    never, oracle, loop = (float(np.mean(p)) for p in (arms.never, arms.oracle, result.points))
    blind = {name: float(np.mean(p)) for name, p in arms.blind.items()}
    gone = (loop - never) / (oracle - never) if oracle > never else 1.0
    if stream.drifts:
        met = loop >= max(blind.values()) - BEHIND_BLIND and gone >= SHARE_OF_ORACLE
    else:
        met = loop >= never - BEHIND_BLIND
    listed = ", ".join(f"{value:.1f} ({name})" for name, value in blind.items())
    _say(
        f"| {stream.name} | {seed} | {len(stream.weeks)} | {never:.1f} | {listed} | {oracle:.1f} | "
        f"{loop:.1f} | {gone:.0%} | {result.count('promoted')} | {result.count('refused')} | "
        f"{result.count('waits')} | {'yes' if met else 'NO'} | {time.process_time() - begin:.0f} |"
    )
    for week, event in result.events if events else ():
        _say(f"    week {week}: {event[:300]}")
    return met


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Print the table; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bikes", type=Path, help="bike_sharing_hour.csv")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--repetitions", type=int, default=1)
    parser.add_argument("--streams", nargs="*", default=list(SYNTHETIC_STREAMS))
    parser.add_argument("--events", action="store_true", help="print what happened in each week")
    arguments = parser.parse_args()
    bike_file = arguments.bikes.absolute() if arguments.bikes else None
    _say(
        "| stream | seed | weeks | never | blind monthly refit | oracle | loop | way to the oracle "
        f"| promoted | refused | waits | bars | CPU s |\n|{'---|' * 13}"
    )
    # One thread, whatever else this machine does: small models gain nothing from more.
    with threadpool_limits(1):
        met = _all(arguments, bike_file)
    return int(not met)


def _all(arguments: argparse.Namespace, bike_file: Path | None) -> bool:
    met = True
    for seed in range(arguments.seed, arguments.seed + arguments.repetitions):
        for name in arguments.streams:
            stream = SYNTHETIC_STREAMS[name](seed)
            met &= report(stream, seed, events=arguments.events)
    if bike_file:
        met &= report(bikes(bike_file), 0, events=arguments.events)
    return met


if __name__ == "__main__":
    sys.exit(main())
