"""Kill services and workers at named steps: no accepted job is lost, no result is doubled.

    python -m benchmarks.jobs.kills --kills 500

A service that accepts jobs and a worker that scores them run side by side; one of the two kills
itself (`kill -9`) right before or after a statement of SQLite. At the end a worker runs to the end,
and the database is read: every job that was acknowledged must have ended, with each row once.
"""

import argparse
import itertools
import os
import signal
import sqlite3
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from benchmarks.jobs.victims import ROWS, KillPoint, accept_jobs, fork, kill_points, score_jobs
from services.jobs.sqlite_database import JobDatabase
from services.jobs.sqlite_store import SqliteAcceptance

JOBS_PER_ROUND = 6


@dataclass(frozen=True)
class KillReport:
    """What a series of kills left behind; everything but the first three must be 0."""

    kills: int
    accepted: int
    seconds: float
    lost: int
    unfinished: int
    with_missing_rows: int
    with_doubled_rows: int


def run_kills(folder: Path, n_kills: int) -> KillReport:
    """Kill that often; the points come in turn."""
    began = time.monotonic()
    points = itertools.cycle(kill_points())
    accepted: list[str] = []
    n_done = n_rounds = 0
    while n_done < n_kills:
        n_rounds += 1
        killed, acknowledged = _round(folder, next(points), n_rounds)
        n_done += killed
        accepted += acknowledged
    os.waitpid(fork(partial(score_jobs, folder)), 0)
    return _examine(folder, accepted, n_done, time.monotonic() - began)


def _round(folder: Path, point: KillPoint, number: int) -> tuple[bool, list[str]]:
    """One service and one worker; whether one was killed, and the jobs that were acknowledged."""
    ids = [f"job-{number}-{index}" for index in range(JOBS_PER_ROUND)]
    reader, writer = os.pipe()
    service = fork(
        partial(accept_jobs, folder, ids, writer), point if point.role == "service" else None
    )
    worker = fork(partial(score_jobs, folder), point if point.role == "worker" else None)
    os.close(writer)
    statuses = [os.waitpid(pid, 0)[1] for pid in (service, worker)]
    with os.fdopen(reader) as pipe:
        acknowledged = pipe.read().splitlines()
    is_killed = any(
        os.WIFSIGNALED(each) and os.WTERMSIG(each) == signal.SIGKILL for each in statuses
    )
    return is_killed, acknowledged


def _examine(folder: Path, accepted: list[str], n_kills: int, seconds: float) -> KillReport:
    database = JobDatabase(folder / "jobs.db")
    store = SqliteAcceptance(database, 3600)
    with closing(sqlite3.connect(database.path)) as connection:
        known = {row[0] for row in connection.execute("SELECT id FROM jobs")}
    jobs = [store.find("", job_id) for job_id in sorted(known)]
    missing = doubled = 0
    for job in jobs:
        lines = [
            line for chunk in store.chunks(job, 0, 10 * ROWS) for line in chunk.lines.splitlines()
        ]
        numbers = [msgspec.json.decode(line)["n"] for line in lines]
        missing += set(numbers) != set(range(ROWS))
        doubled += len(numbers) != len(set(numbers)) or numbers != sorted(numbers)
    database.close()
    return KillReport(
        kills=n_kills,
        accepted=len(accepted),
        seconds=round(seconds, 1),
        lost=len(set(accepted) - known),
        unfinished=sum(job.state != "finished" for job in jobs),
        with_missing_rows=missing,
        with_doubled_rows=doubled,
    )


def main() -> None:
    """Print the report as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    n_kills: int = parser.parse_args().kills
    with tempfile.TemporaryDirectory() as folder:
        print(msgspec.json.encode(run_kills(Path(folder), n_kills)).decode())  # noqa: T201 - the result of the command


if __name__ == "__main__":
    main()
