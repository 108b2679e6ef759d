"""A worker: takes one job after the other until it is asked to stop."""

import asyncio
import logging
from collections.abc import Callable

from services.faults import Fault
from services.jobs.callbacks import Notifier
from services.jobs.runner import JobRunner
from services.jobs.store import JobLeases

CLAIM_INTERVAL_S = 0.25
"""How long a worker without a job waits before it asks again."""
UNAVAILABLE_PAUSE_S = 2.0
"""How long it waits after the store could not be read."""
EXPIRE_INTERVAL_S = 30.0

logger = logging.getLogger("slipway.jobs")


async def work(
    leases: JobLeases, runner: JobRunner, notifier: Notifier, should_stop: Callable[[], bool]
) -> None:
    """Run jobs until `should_stop`; the one that is running then is given back."""
    others = [asyncio.create_task(each) for each in (_expire(leases), notifier.run())]
    try:
        while not should_stop():
            try:
                lease = await asyncio.to_thread(leases.claim)
                if lease is not None:
                    await runner.run(lease)
                    continue
                pause_s = CLAIM_INTERVAL_S
            except Fault as fault:
                logger.warning("the store of jobs: %s", fault.message)
                pause_s = UNAVAILABLE_PAUSE_S
            await asyncio.sleep(pause_s)
    finally:
        for task in others:
            task.cancel()


async def _expire(leases: JobLeases) -> None:
    """Remove expired jobs, again and again."""
    while True:
        try:
            n_removed = await asyncio.to_thread(leases.expire)
        except Fault:
            n_removed = 0  # the database logs why
        if n_removed:
            logger.info("%d expired jobs removed", n_removed)
        await asyncio.sleep(EXPIRE_INTERVAL_S)
