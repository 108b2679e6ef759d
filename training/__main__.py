"""`python -m training loan iris`, or `--order FILE`: train as a process of its own.

Where the command line is not at hand, and for retrainings, whose orders monitoring writes: it
starts this process and imports nothing of training.
"""

import argparse
import os
import sys
from pathlib import Path

import msgspec

from contracts import settings
from contracts.errors import PlatformError
from registry.settings import RegistrySettings
from registry.store import Store


def main() -> None:
    """Train the recipes that are named, or what an order names; exit with the error's code."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("recipes", nargs="*", help="names of recipes")
    parser.add_argument("--order", type=Path, help="an order of a retraining; prints JSON")
    arguments = parser.parse_args()
    try:
        store = Store.open(settings.load(RegistrySettings, os.environ))
        if arguments.order:
            _retrain(arguments.order, store)
        _train(arguments.recipes, store)
    except PlatformError as err:
        sys.stderr.write(f"error: {err}\n")
        sys.exit(err.exit_code)


def _train(names: list[str], store: Store) -> None:
    if not names:
        return
    from training.run import train

    for name in names:
        trained = train(name, store)
        sys.stdout.write(f"{name} version {trained.version} run {trained.run_id}\n")


def _retrain(order: Path, store: Store) -> None:
    from training.retraining.job import retrain

    trained = retrain(order, store)
    sys.stdout.buffer.write(msgspec.json.encode(trained) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
