"""Processes that accept or score jobs, and that are killed at a named step.

They are forks, so that a kill costs milliseconds. The store, the queue and the runner are the real
ones; what scores is a stand-in that answers each row with its own number.
"""

import asyncio
import os
import signal
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec

from contracts.manifest import Pointer
from services.inference.pending import Request, ResponseSink
from services.jobs.chunk_protocol import ChunkLines
from services.jobs.endpoints import JobEndpoints
from services.jobs.queue import JobQueue
from services.jobs.runner import JobRunner
from services.jobs.sqlite_database import JobDatabase
from services.jobs.sqlite_leases import SqliteLeases
from services.jobs.sqlite_store import SqliteAcceptance
from services.serving.endpoint import Operation
from services.settings import ServiceSettings

LEASE_S = 0.15
ROWS, CHUNK_ROWS = 40, 10
IDLE_CLAIMS = 2
"""A worker ends after that many claims in a row found no job: no lease can be in force then."""
SETTINGS = ServiceSettings(
    jobs_chunk_rows=CHUNK_ROWS, jobs_lease_s=LEASE_S, jobs_attempts=1_000_000, jobs_open=1_000_000
)
POINTER = Pointer(
    name="tiny", version=1, run_id="r", digest="d" * 64, bento_tag="tiny:1", moved_at=""
)


@dataclass(frozen=True)
class KillPoint:
    """The nth statement of SQLite that begins so, before or after it; `role` runs it."""

    role: str
    statement: str
    call: int
    is_before: bool


def kill_points() -> list[KillPoint]:
    """Before and after each statement that accepts, claims, writes or ends a job."""
    statements = {
        "service": ("BEGIN", "INSERT INTO jobs", "INSERT INTO inputs", "COMMIT"),
        "worker": (
            "BEGIN",
            "UPDATE jobs SET state = 'running'",
            "UPDATE jobs SET pointer",
            "UPDATE jobs SET lease_until",
            "INSERT INTO results",
            "UPDATE jobs SET state = ?",
            "DELETE FROM inputs",
            "COMMIT",
        ),
    }
    return [
        KillPoint(role, statement, call, is_before)
        for role, texts in statements.items()
        for statement in texts
        for call in (1, 2, 5)
        for is_before in (True, False)
    ]


class StandIn:
    """An endpoint that answers each row with its number."""

    def submit(self, operation: Operation, request: Request, sink: ResponseSink) -> None:
        """Answer a chunk."""
        del operation
        rows = msgspec.json.decode(request.body)["rows"]
        lines = b"".join(b'{"n":%d}\n' % row["n"] for row in rows)
        sink.set_result(ChunkLines.of(lines, 0))


class StandIns:
    """What a runner asks for versions."""

    def production(self, model: str) -> Pointer:
        """The one version."""
        del model
        return POINTER

    async def open(self, pointer: Pointer) -> StandIn:
        """The one endpoint."""
        del pointer
        return StandIn()


def rows_body() -> bytes:
    """The body of every job."""
    return msgspec.json.encode({"rows": [{"n": index} for index in range(ROWS)]})


def accept_jobs(folder: Path, ids: list[str], acknowledged: int) -> None:
    """Accept jobs, and write the id of each to a pipe once it is acknowledged."""
    store = SqliteAcceptance(JobDatabase(folder / "jobs.db"), 3600)

    async def run() -> None:
        queue = JobQueue(store, SETTINGS)
        for job_id in ids:
            await queue.accept("", job_id, "tiny", "json", rows_body())
            os.write(acknowledged, f"{job_id}\n".encode())
        queue.close()

    asyncio.run(run())


def score_jobs(folder: Path) -> None:
    """Score jobs until none is left that may be claimed now or soon."""
    leases = SqliteLeases(JobDatabase(folder / "jobs.db"), LEASE_S, 1_000_000, 3600)
    endpoints = cast("JobEndpoints", StandIns())

    async def run() -> None:
        runner = JobRunner(leases, endpoints, SETTINGS, lambda: False)
        n_idle = 0
        while n_idle < IDLE_CLAIMS:
            lease = leases.claim()
            if lease is None:
                n_idle += 1
                await asyncio.sleep(1.2 * LEASE_S)
            else:
                n_idle = 0
                await runner.run(lease)

    asyncio.run(run())


def fork(work: Callable[[], None], point: KillPoint | None = None) -> int:
    """Run work in a fork that kills itself at a point; returns its process id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        if point is not None:
            _kill_at(point)
        work()
        status = 0
    finally:
        os._exit(status)


def _kill_at(point: KillPoint) -> None:
    """Make this process kill itself at a point."""
    n_calls = 0

    class Killing(sqlite3.Connection):
        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            nonlocal n_calls
            is_it = sql.startswith(point.statement)
            n_calls += is_it
            if is_it and n_calls == point.call and point.is_before:
                os.kill(os.getpid(), signal.SIGKILL)
            cursor = super().execute(sql, *arguments)
            if is_it and n_calls == point.call:
                os.kill(os.getpid(), signal.SIGKILL)
            return cursor

    connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    def killing_connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        return connect(*arguments, factory=Killing, **options)

    sqlite3.connect = killing_connect  # type: ignore[assignment]  # in this fork only
