"""The priority of processes that work next to the service: they leave the cores to it."""

import os
import sys
from contextlib import suppress

LOWEST_NICENESS = 19


def lower_priority(niceness: int) -> None:
    """Run with this niceness, and with the lowest one on idle cores only.

    Niceness alone does not yield a core at once.
    """
    os.nice(niceness)
    if niceness >= LOWEST_NICENESS and sys.platform == "linux":
        # A container may forbid it; the niceness above stays in force.
        with suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
