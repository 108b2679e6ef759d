"""`python -m training loan iris`, or `--request FILE`: train as a process of its own.

For places without the command line, and for retrainings: monitoring writes a request and starts
this process, because it may not import training.
"""

import argparse
import os
import sys
from pathlib import Path

import msgspec

from contracts.errors import PlatformError
from contracts.process_error import report_error
from contracts.settings import load_settings
from registry.settings import RegistrySettings
from registry.store import Store


def main() -> None:
    """Train the named recipes, or what a request names; exit with the error's code."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("recipes", nargs="*", help="names of recipes")
    parser.add_argument("--request", type=Path, help="a retraining request; prints JSON")
    arguments = parser.parse_args()
    try:
        store = Store.open(load_settings(RegistrySettings, os.environ))
        if arguments.request:
            _retrain(arguments.request, store)
        _train(arguments.recipes, store)
    except PlatformError as err:
        if arguments.request:
            report_error(err)
        else:
            sys.stderr.write(f"error: {err}\n")
        sys.exit(err.exit_code)


def _train(names: list[str], store: Store) -> None:
    if not names:
        return
    from training.recipe import load_recipe
    from training.run import train_recipe

    for name in names:
        trained = train_recipe(load_recipe(name), store)
        sys.stdout.write(f"{name} version {trained.version} run {trained.run_id}\n")


def _retrain(request: Path, store: Store) -> None:
    from training.recipe import load_recipe
    from training.retraining.job import read_request, retrain_recipe

    recipe = load_recipe(read_request(request).model)
    trained = retrain_recipe(recipe, request, store)
    sys.stdout.buffer.write(msgspec.json.encode(trained) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
