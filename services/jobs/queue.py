"""The jobs of a service: accepts, finds, lists and cancels them without blocking the event loop.

Every call of the store runs in a thread: one thread writes, so that a locked database holds up
no reader, and another reads.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from services.faults import Fault
from services.jobs.callbacks import allowed_hosts, check_callback
from services.jobs.input_files import referenced_file, referenced_path
from services.jobs.inputs import count_rows
from services.jobs.job import InputKind, Job, NewJob
from services.jobs.store import Chunk, JobAcceptance, JobPage, QueueFigures
from services.settings import ServiceSettings

Reply = TypeVar("Reply")


class JobQueue:
    """What the transports ask for; call it in an event loop. `owner` is the key of the caller."""

    def __init__(self, store: JobAcceptance, settings: ServiceSettings) -> None:
        self._store = store
        self._max_rows = settings.jobs_rows
        self._max_open = settings.jobs_open
        self._input_folder = settings.jobs_input_folder
        self._callback_hosts = allowed_hosts(settings)
        self._writer = ThreadPoolExecutor(1, "jobs-write")
        self._reader = ThreadPoolExecutor(1, "jobs-read")

    async def accept(
        self,
        owner: str,
        job_id: str,
        model: str,
        kind: InputKind,
        body: bytes,
        callback: str = "",
    ) -> Job:
        """Accept a job; it is on the disk when this returns. `callback`: notified of its end.

        Raises:
            Fault: `invalid_json`, `invalid_csv`, `invalid_request`, `body_too_large`,
                `job_conflict`, `too_many_jobs`, `jobs_unavailable`.

        """
        check_callback(callback, self._callback_hosts)

        def new_job() -> NewJob:
            found = kind
            n_rows = None
            path = referenced_path(body) if kind == "json" else None
            if path is None:
                n_rows = count_rows(kind, body, self._max_rows)
            else:
                found = "file"
                referenced_file(self._input_folder, path)
            digest = input_digest({"model": model, "kind": found, "callback": callback}, body)
            return NewJob(
                owner=owner, id=job_id, model=model, kind=found, body=body, digest=digest,
                n_rows=n_rows, callback=callback,
            )  # fmt: skip

        job = await self._read(new_job)
        return await self._write(lambda: self._store.accept(job, self._max_open))

    async def find(self, owner: str, job_id: str) -> Job:
        """A job.

        Raises:
            Fault: `unknown_job`, `jobs_unavailable`.

        """
        return await self._read(lambda: self._store.find(owner, job_id))

    async def list_open(self, owner: str, after: int, limit: int) -> JobPage:
        """The open jobs behind a cursor, oldest first.

        Raises:
            Fault: `jobs_unavailable`.

        """
        return await self._read(lambda: self._store.list_open(owner, after, limit))

    async def results(
        self, job: Job, first_row: int, n_rows: int, render: Callable[[list[bytes]], Reply]
    ) -> Reply:
        """What `render` makes, in a thread, of the lines of these rows of a finished job.

        Raises:
            Fault: `job_unfinished`, `jobs_unavailable`, or what `render` raises.

        """
        if job.state != "finished":
            raise Fault("job_unfinished", f"job: expected a finished one, got a {job.state} one")

        def rendered() -> Reply:
            chunks = self._store.chunks(job, first_row, n_rows)
            return render([line for chunk in chunks for line in _lines(chunk, first_row, n_rows)])

        return await self._read(rendered)

    async def cancel(self, owner: str, job_id: str) -> Job:
        """Cancel an open job.

        Raises:
            Fault: `unknown_job`, `job_ended`, `jobs_unavailable`.

        """
        return await self._write(lambda: self._store.cancel(owner, job_id))

    async def figures(self) -> QueueFigures:
        """What is measured.

        Raises:
            Fault: `jobs_unavailable`.

        """
        return await self._read(self._store.figures)

    def close(self) -> None:
        """Finish what is being written, and end the threads."""
        self._writer.shutdown()
        self._reader.shutdown()

    async def _write(self, call: Callable[[], Reply]) -> Reply:
        return await asyncio.get_running_loop().run_in_executor(self._writer, call)

    async def _read(self, call: Callable[[], Reply]) -> Reply:
        return await asyncio.get_running_loop().run_in_executor(self._reader, call)


def input_digest(fields: Mapping[str, str], body: bytes) -> str:
    """sha256 of what decides on the results of a job; the fields cannot run into each other."""
    digest = hashlib.sha256()
    for name, value in sorted(fields.items()):
        digest.update(f"{name}\0{value}\0".encode())
    digest.update(body)
    return digest.hexdigest()


def _lines(chunk: Chunk, first_row: int, n_rows: int) -> list[bytes]:
    """The lines of a chunk that are among these rows."""
    start = max(first_row - chunk.first_row, 0)
    return chunk.lines.split(b"\n")[:-1][start : first_row + n_rows - chunk.first_row]
