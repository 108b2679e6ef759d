"""`python -m services.trial VAR POINTER`: try a version as a worker would load it."""

import sys
from pathlib import Path

from contracts.errors import PlatformError
from contracts.manifest import Pointer
from contracts.names import Layout
from services.scoring.models import load


def main() -> None:
    """Load, verify and warm the version; exit with the error's code if it cannot be served."""
    var, pointer = sys.argv[1:]
    try:
        load(Layout(Path(var)), Pointer.read(pointer.encode(), "argument"))
    except PlatformError as err:
        sys.stderr.write(f"{err}\n")
        sys.exit(err.exit_code)


if __name__ == "__main__":
    main()
