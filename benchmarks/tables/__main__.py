"""`python -m benchmarks.tables --examples 5000`: no table ends in a traceback."""

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings

from benchmarks.tables.attempts import draft_and_load, load_and_split
from benchmarks.tables.random_tables import RandomTable, random_tables


def main() -> None:
    """Try random tables and print how they ended; an error that is a fault of ours is raised."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--examples", type=int, default=5000, help="number of tables")
    examples = parser.parse_args().examples
    outcomes: Counter[str] = Counter()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @given(random_tables())
        def attempt(example: RandomTable) -> None:
            outcomes[f"loader: {load_and_split(example)}"] += 1
            outcomes[f"slipway new: {draft_and_load(example, Path(folder))}"] += 1

        attempt()
    print(f"{examples:,} tables in {time.monotonic() - start:.0f} s, no traceback")  # noqa: T201 - the result
    for outcome, count in sorted(outcomes.items()):
        print(f"{outcome:28} {count:,}")  # noqa: T201 - the result


if __name__ == "__main__":
    main()
