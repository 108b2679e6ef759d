"""`python -m services.job_worker`: score the jobs of this machine until the parent process ends.

`bentoml serve` starts it, and so does `slipway worker`. Any number may run at the same time:
each job is leased to one of them. What scores is loaded with the first job, because most services
have none.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
import time

from contracts.errors import PlatformError
from contracts.printable import log_to_stderr
from contracts.settings import load_settings
from services.faults import Fault
from services.jobs.callbacks import signing_key
from services.jobs.sqlite_leases import SqliteLeases
from services.jobs.stores import open_leases
from services.process_priority import lower_priority
from services.settings import ServiceSettings

IDLE_POLL_S = 0.25

logger = logging.getLogger("slipway.jobs")


def main() -> None:
    """Work until SIGTERM or the end of the parent."""
    parser = argparse.ArgumentParser(prog="python -m services.job_worker", description=__doc__)
    parser.add_argument("--parent", type=int, default=os.getppid(), help="stop with this process")
    run_worker(parser.parse_args().parent)


def run_worker(parent: int | None) -> None:
    """Score jobs until this process is asked to stop, or `parent` has ended, if there is one.

    Exits with the error's code if the settings are invalid.
    """
    log_to_stderr("%(asctime)s [%(levelname)s] [jobs] %(message)s")
    try:
        settings = load_settings(ServiceSettings, os.environ)
        signing_key(settings)
    except PlatformError as err:
        sys.stderr.write(f"error: {err}\n")
        sys.exit(err.exit_code)
    lower_priority(settings.jobs_niceness)
    stop = _StopSignal(parent)
    leases = open_leases(settings)
    while not stop.is_set() and not _has_work(leases):
        time.sleep(IDLE_POLL_S)
    if not stop.is_set():
        asyncio.run(_work(leases, settings, stop))


def _has_work(leases: SqliteLeases) -> bool:
    """Whether a job or a notification waits; not while the database cannot be read."""
    try:
        return leases.has_work()
    except Fault:
        return False  # the database logs why


async def _work(leases: SqliteLeases, settings: ServiceSettings, stop: "_StopSignal") -> None:
    from services.bento.bento_context import model_source
    from services.jobs.callbacks import Notifier
    from services.jobs.endpoints import JobEndpoints
    from services.jobs.runner import JobRunner
    from services.jobs.worker import work

    endpoints = JobEndpoints(model_source(settings), settings)
    try:
        runner = JobRunner(leases, endpoints, settings, stop.is_set)
        await work(leases, runner, Notifier(leases, settings), stop.is_set)
    finally:
        await endpoints.close()


class _StopSignal:
    """Whether to stop: SIGTERM or SIGINT came, or the parent that is watched is gone."""

    def __init__(self, parent: int | None) -> None:
        self._parent = parent
        self._is_set = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._set)

    def is_set(self) -> bool:
        """Whether to stop."""
        return self._is_set or self._parent not in (None, os.getppid())

    def _set(self, number: int, frame: object) -> None:
        del number, frame
        self._is_set = True


if __name__ == "__main__":
    main()
