"""The watchdog: ends a worker in which a model call stands still, so that another takes its place.

A model call in the event loop holds all models of a worker, and a thread cannot be ended. BentoML's
process manager starts a new worker for one that ends. Models in scoring processes are not watched:
those processes end at the deadline.
"""

import logging
import os
import time
from collections.abc import Callable
from threading import Thread

from services.serving.repository import ModelRepository

PATIENCE = 2
"""A call that runs this many times the deadline is given up: its requests are answered long ago."""
EXIT_CODE = 70
"""EX_SOFTWARE of sysexits.h."""

logger = logging.getLogger("bentoml.slipway")


def start_watchdog(
    repository: ModelRepository, deadline_s: float, end: Callable[[int], object] = os._exit
) -> None:
    """Watch the model calls of a worker in a thread, as long as the worker lives."""

    def watch() -> None:
        while True:
            time.sleep(deadline_s / 4)
            for name in standing_models(repository, PATIENCE * deadline_s):
                logger.critical(
                    "%s: a model call stands still for more than %g s; this worker ends, and "
                    "another takes its place",
                    name,
                    PATIENCE * deadline_s,
                )
                end(EXIT_CODE)
                return

    Thread(target=watch, name="watchdog", daemon=True).start()


def standing_models(repository: ModelRepository, limit_s: float) -> list[str]:
    """The models of which a call runs for longer than that in this process."""
    oldest = time.monotonic() - limit_s
    return [
        name
        for (name, _), endpoint in list(repository.versions.items())
        if (since := endpoint.running_since) is not None and since < oldest
    ]


def models_without_process(repository: ModelRepository) -> list[str]:
    """The models of which a version's scoring processes are all being replaced."""
    return sorted(
        {
            name
            for (name, _), endpoint in list(repository.versions.items())
            if (pool := endpoint.served.pool) is not None and not pool.n_alive
        }
    )
