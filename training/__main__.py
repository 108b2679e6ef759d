"""`python -m training loan iris`: train recipes where the command line is not at hand."""

import os
import sys

from contracts import settings
from contracts.errors import PlatformError
from registry.settings import RegistrySettings
from registry.store import Store
from training.run import train


def main() -> None:
    """Train the recipes that are named; exit with the error's code when one fails."""
    try:
        store = Store.open(settings.load(RegistrySettings, os.environ))
        for name in sys.argv[1:]:
            trained = train(name, store)
            sys.stdout.write(f"{name} version {trained.version} run {trained.run_id}\n")
    except PlatformError as err:
        sys.stderr.write(f"error: {err}\n")
        sys.exit(err.exit_code)


if __name__ == "__main__":
    main()
