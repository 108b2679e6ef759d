"""`python -m services.shadow`: look on at the traffic of this machine until the parent is gone.

One at a time looks on at a folder: who comes second ends at once. It runs when the workers leave
a core idle; what it cannot look at in time it drops and counts.
"""

import logging
import os
import sys
import time
from contextlib import suppress

from contracts import settings
from contracts.errors import PlatformError
from contracts.files import alone
from contracts.manifest import Pointer
from contracts.names import SHADOW, Layout
from services.inference.loader import find_beside, find_pointers, find_splits
from services.settings import ServiceSettings
from services.shadow.scorer import Onlooker

LOOK_S = 0.25
NICE = 19

logger = logging.getLogger("slipway.shadow")


def main() -> None:
    """Look on; exit with the error's code where that cannot begin."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s [%(levelname)s] [shadow] %(message)s"
    )
    parent = os.getppid()
    try:
        wishes = settings.load(ServiceSettings, os.environ)
    except PlatformError as err:
        sys.stderr.write(f"error: {err}\n")
        sys.exit(err.exit_code)
    give_way()
    layout = Layout(wishes.var)
    with alone(layout.var / "locks" / f"{SHADOW}.lock") as lock:
        onlookers: dict[str, Onlooker] = {}
        while lock is not None and os.getppid() == parent:
            look(onlookers, layout, wishes)
            time.sleep(LOOK_S)


def give_way() -> None:
    """Run only when nobody else wants to: a nice process still keeps its turn of milliseconds."""
    os.nice(NICE)
    if sys.platform == "linux":
        # A container may forbid it; then it is nice at least.
        with suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def look(onlookers: dict[str, Onlooker], layout: Layout, wishes: ServiceSettings) -> None:
    """Look once at every model that has a shadow or a canary; what fails is told."""
    try:
        shadows = _by_name(find_beside(layout, SHADOW))
        splits = find_splits(layout)
        productions = _by_name(find_pointers(layout))
        watched = shadows.keys() | {name for name, split in splits.items() if split.canary}
        for name in onlookers.keys() - watched:
            onlookers.pop(name).close()
        for name in sorted(watched):
            if name not in onlookers:
                onlookers[name] = Onlooker(name, layout, wishes)
            onlookers[name].look(shadows.get(name), productions.get(name), splits.get(name))
    except (PlatformError, OSError) as err:
        logger.error("shadow: %s", err)  # noqa: TRY400 - the place is in the text


def _by_name(pointers: list[Pointer]) -> dict[str, Pointer]:
    return {pointer.name: pointer for pointer in pointers}


if __name__ == "__main__":
    main()
