"""`python -m services.shadow`: score this machine's traffic again until the parent process ends.

Only one instance runs per data folder; a second one exits immediately. It runs on idle cores;
requests that it cannot score in time are dropped and counted.
"""

import argparse
import logging
import os
import sys
import time

from contracts.errors import PlatformError
from contracts.files import try_lock
from contracts.manifest import Pointer
from contracts.names import SHADOW, Layout
from contracts.printable import log_to_stderr
from contracts.settings import load_settings
from services.inference.model_source import ModelSource
from services.process_priority import LOWEST_NICENESS, lower_priority
from services.settings import ServiceSettings
from services.shadow.scorer import ShadowScorer

SHADOW_POLL_INTERVAL_S = 0.25

logger = logging.getLogger("slipway.shadow")


def main() -> None:
    """Poll until the parent ends; exits with the error's code if the settings are invalid."""
    log_to_stderr("%(asctime)s [%(levelname)s] [shadow] %(message)s")
    parser = argparse.ArgumentParser(prog="python -m services.shadow", description=__doc__)
    parser.add_argument("--parent", type=int, default=os.getppid(), help="stop with this process")
    parent = parser.parse_args().parent
    try:
        own = load_settings(ServiceSettings, os.environ)
    except PlatformError as err:
        sys.stderr.write(f"error: {err}\n")
        sys.exit(err.exit_code)
    lower_priority(LOWEST_NICENESS)
    layout = Layout(own.var)
    with try_lock(layout.locks / f"{SHADOW}.lock") as lock:
        scorers: dict[str, ShadowScorer] = {}
        while lock is not None and os.getppid() == parent:
            poll(scorers, layout, own)
            time.sleep(SHADOW_POLL_INTERVAL_S)


def poll(scorers: dict[str, ShadowScorer], layout: Layout, own: ServiceSettings) -> None:
    """Read the new traffic of every model with a shadow or a canary; logs what fails."""
    try:
        source = ModelSource(layout)
        shadows = _by_name(source.role_pointers(SHADOW))
        splits = source.splits()
        productions = _by_name(source.pointers())
        watched = shadows.keys() | {name for name, split in splits.items() if split.canary}
        for name in scorers.keys() - watched:
            scorers.pop(name).close()
        for name in sorted(watched):
            if name not in scorers:
                scorers[name] = ShadowScorer(name, layout, own)
            scorers[name].poll(shadows.get(name), productions.get(name), splits.get(name))
    except (PlatformError, OSError) as err:
        logger.error("shadow: %s", err)  # noqa: TRY400 - the text names the file


def _by_name(pointers: list[Pointer]) -> dict[str, Pointer]:
    return {pointer.name: pointer for pointer in pointers}


if __name__ == "__main__":
    main()
