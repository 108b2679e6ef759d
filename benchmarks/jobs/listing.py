"""How long the listing of many open jobs takes, and how fast jobs are accepted.

    python -m benchmarks.jobs.listing --jobs 10000

It asks the queue of a service as the edge does, without a socket: pages of 100 jobs, from random
cursors, while another thread accepts jobs.
"""

import argparse
import asyncio
import random
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.jobs.victims import rows_body
from services.jobs.job import new_job_id, status_of
from services.jobs.queue import JobQueue
from services.jobs.sqlite_database import JobDatabase
from services.jobs.sqlite_store import SqliteAcceptance
from services.settings import ServiceSettings

N_PAGES, PAGE_JOBS = 1000, 100


async def measure(folder: Path, n_jobs: int) -> dict[str, float]:
    """Milliseconds of a page, and of an acceptance."""
    store = SqliteAcceptance(JobDatabase(folder / "jobs.db"), 3600)
    queue = JobQueue(store, ServiceSettings(jobs_open=10 * n_jobs))
    accepting = [await _accept(queue) for _ in range(n_jobs)]
    busy = asyncio.create_task(_accept_more(queue))
    pages = []
    for _ in range(N_PAGES):
        cursor = random.randrange(n_jobs)
        began = time.perf_counter()
        page = await queue.list_open("", cursor, PAGE_JOBS)
        msgspec.json.encode([status_of(job, 0.0) for job in page.jobs])
        pages.append(time.perf_counter() - began)
    busy.cancel()
    await asyncio.gather(busy, return_exceptions=True)
    queue.close()
    return {
        "open_jobs": n_jobs,
        "list_p50_ms": _percentile_ms(pages, 50),
        "list_p99_ms": _percentile_ms(pages, 99),
        "accept_p50_ms": _percentile_ms(accepting, 50),
        "accept_p99_ms": _percentile_ms(accepting, 99),
    }


async def _accept(queue: JobQueue) -> float:
    began = time.perf_counter()
    await queue.accept("", new_job_id(), "tiny", "json", rows_body())
    return time.perf_counter() - began


async def _accept_more(queue: JobQueue) -> None:
    while True:
        await _accept(queue)


def _percentile_ms(seconds: list[float], percent: int) -> float:
    return round(float(np.percentile(seconds, percent)) * 1e3, 2)


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    n_jobs: int = parser.parse_args().jobs
    with tempfile.TemporaryDirectory() as folder:
        print(msgspec.json.encode(asyncio.run(measure(Path(folder), n_jobs))).decode())  # noqa: T201 - the result of the command


if __name__ == "__main__":
    main()
