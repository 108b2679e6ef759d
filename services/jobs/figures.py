"""What is measured of the jobs, for Prometheus.

The store counts, not the processes: a worker that was killed takes no count away, and every worker
of the service shows the same figures.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence

from services.faults import Fault
from services.jobs.queue import JobQueue
from services.jobs.store import ModelCount, QueueFigures

REFRESH_INTERVAL_S = 2.0
"""How old the figures on the page of metrics may be."""

logger = logging.getLogger("bentoml.slipway")


class JobFigures:
    """The figures as a part of the page of metrics; `run` keeps them up to date."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self.page = b""

    async def run(self) -> None:
        """Read the figures again and again, without blocking the event loop."""
        while True:
            try:
                self.page = job_metrics(await self._queue.figures())
            except Fault as fault:
                self.page = b""  # the store has logged why; old figures would say that all is well
                logger.debug("no figures of jobs: %s", fault)
            await asyncio.sleep(REFRESH_INTERVAL_S)


def job_metrics(figures: QueueFigures) -> bytes:
    """The figures in Prometheus's text format."""
    lines = [
        *_family("slipway_jobs", "gauge", "Open jobs by state", "state", figures.jobs),
        *_family(
            "slipway_jobs_ended_total", "counter", "Jobs that ended", "outcome", figures.ended
        ),
        *_family(
            "slipway_job_rows_total",
            "counter",
            "Rows of jobs that were scored, or rejected by the schema",
            "outcome",
            figures.rows,
        ),
        "# HELP slipway_jobs_oldest_seconds How long the oldest queued job has waited; 0 for none",
        "# TYPE slipway_jobs_oldest_seconds gauge",
        f"slipway_jobs_oldest_seconds {figures.oldest_s:.3f}",
    ]
    return ("\n".join(lines) + "\n").encode()


def _family(
    name: str, kind: str, meaning: str, label: str, counts: Sequence[ModelCount]
) -> Iterator[str]:
    if not counts:
        return
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} {kind}"
    for count in counts:
        state = count.state.removeprefix("rows_")
        yield f'{name}{{model="{count.model}",{label}="{state}"}} {count.n}'
