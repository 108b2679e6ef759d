"""Runs one job: chunk after chunk through the endpoint of its version, each written once."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar, cast

from contracts.errors import PlatformError
from contracts.manifest import Pointer
from services.faults import Fault
from services.inference.ids import IdsFromHash
from services.inference.pending import Request
from services.jobs.chunk_protocol import ChunkLines, JobChunk
from services.jobs.endpoints import JobEndpoints
from services.jobs.input_files import file_rows, referenced_file, referenced_path
from services.jobs.inputs import ChunkBody, JobRows, csv_table_rows, json_rows
from services.jobs.job import Job
from services.jobs.store import Chunk, JobLeases, Lease, LeaseLost
from services.serving.endpoint import SingleEndpoint, ask
from services.settings import ServiceSettings

RENEWALS = 3
"""How often a lease is renewed while it lasts."""
ATTEMPT_PAUSE_S = 2.0
"""The pause before another attempt at a job whose worker met a fault that may pass."""
STORAGE_PAUSE_S = 2.0
"""The pause before the traffic log or the store is written again after a failure."""
TRANSIENT = frozenset({"overloaded", "deadline_exceeded", "model_unavailable", "internal_error"})
"""Faults of a chunk that another attempt may not meet."""
STORAGE = frozenset({"traffic_log_unavailable", "jobs_unavailable"})

logger = logging.getLogger("slipway.jobs")
Written = TypeVar("Written")


class Stopped(Exception):
    """The worker is about to stop: the rest of the job is for another."""


class JobRunner:
    """Scores jobs of a store, one at a time. `should_stop`: asked between two chunks.

    `_attempts`: at the present chunk of the job; each chunk that is written begins at 0 again.
    """

    def __init__(
        self,
        leases: JobLeases,
        endpoints: JobEndpoints,
        settings: ServiceSettings,
        should_stop: Callable[[], bool],
    ) -> None:
        self._leases = leases
        self._endpoints = endpoints
        self._settings = settings
        self._should_stop = should_stop
        self._attempts = 0

    async def run(self, lease: Lease) -> None:
        """Score a job to its end, or give it back; whatever happens, it is not forgotten.

        Raises:
            Fault: `jobs_unavailable`; the lease then ends by itself.

        """
        job = lease.job
        self._attempts = job.attempts
        keeping = asyncio.create_task(self._keep(lease))
        try:
            await self._score(lease)
        except LeaseLost:
            logger.info("job %s: cancelled, or taken by another worker", job.id)
        except Stopped:
            await self._give_back(lease, 0.0, is_attempt=False)
        except Fault as fault:
            await self._end_attempt(lease, fault)
        except PlatformError as err:
            await self._end_attempt(lease, Fault("model_unavailable", err.what))
        except Exception:
            logger.exception("job %s: an unexpected error", job.id)
            await self._end_attempt(lease, Fault("internal_error"))
        finally:
            keeping.cancel()

    async def _score(self, lease: Lease) -> None:
        began = time.monotonic()
        job = lease.job
        pointer = self._pointer(lease)
        endpoint = await self._endpoints.open(pointer)
        rows, source = await asyncio.to_thread(self._rows, lease, endpoint)
        if job.pointer and source != job.source:
            raise Fault("invalid_request", "input: expected the file as it was, got a changed one")
        if not job.pointer:
            begin = partial(self._leases.begin, lease, pointer.write(), rows.n_rows, source)
            await self._patiently(partial(asyncio.to_thread, begin))
        done, index = job.rows_done, job.n_chunks
        for n_rows, body in rows.chunks(done, self._settings.jobs_chunk_rows):
            if self._should_stop():
                raise Stopped
            lines = await self._patiently(partial(_score_chunk, endpoint, job, body))
            await self._write(lease, Chunk(done, n_rows, lines), index, lines.rejected)
            done += n_rows
            index += 1
        await self._patiently(partial(asyncio.to_thread, self._leases.finish, lease))
        elapsed_s = time.monotonic() - began
        logger.info("job %s: %d rows of %s in %.1f s", job.id, rows.n_rows, job.model, elapsed_s)

    async def _write(self, lease: Lease, chunk: Chunk, index: int, rejected: int) -> None:
        """Keep the results of a chunk; what comes then is the next one's first attempt."""
        write = partial(self._leases.write_chunk, lease, chunk, index, rejected)
        await self._patiently(partial(asyncio.to_thread, write))
        self._attempts = 0

    def _pointer(self, lease: Lease) -> Pointer:
        """The version that scores a job: that in production when it began."""
        job = lease.job
        if job.pointer:
            return Pointer.read(job.pointer, f"job {job.id}")
        return self._endpoints.production(job.model)

    def _rows(self, lease: Lease, endpoint: SingleEndpoint) -> tuple[JobRows, str]:
        """The rows of a job, and the digest of the file that has them, if it is one."""
        body, max_rows = self._leases.input(lease), self._settings.jobs_rows
        if lease.job.kind == "json":
            return json_rows(body, max_rows), ""
        schema = endpoint.served.manifest.schema
        features = {feature.name: feature for feature in schema.features}
        if lease.job.kind == "csv":
            return csv_table_rows(body, features, max_rows), ""
        path = referenced_file(self._settings.jobs_input_folder, referenced_path(body) or "")
        return file_rows(path, features, max_rows)

    async def _keep(self, lease: Lease) -> None:
        """Renew a lease until this task is cancelled: a chunk may take longer than a lease."""
        while True:
            await asyncio.sleep(self._settings.jobs_lease_s / RENEWALS)
            try:
                await asyncio.to_thread(self._leases.renew, lease)
            except LeaseLost:
                return  # the next write says so
            except Fault as fault:
                logger.warning("job %s: its lease is not renewed: %s", lease.job.id, fault.message)

    async def _patiently(self, attempt: Callable[[], Awaitable[Written]]) -> Written:
        """What `attempt` returns, tried until the traffic log and the store can be written.

        A full disk is no fault of the job: it waits, and keeps its lease.
        """
        while True:
            try:
                return await attempt()
            except Fault as fault:
                if fault.code not in STORAGE or self._should_stop():
                    raise
                logger.warning("jobs wait: %s", fault.message)
            await asyncio.sleep(STORAGE_PAUSE_S)

    async def _end_attempt(self, lease: Lease, fault: Fault) -> None:
        """After a fault: give the job back, or end it as failed."""
        job = lease.job
        if fault.code in STORAGE:
            await self._give_back(lease, 0.0, is_attempt=False)
        elif fault.code in TRANSIENT and self._attempts < self._settings.jobs_attempts:
            logger.warning("job %s: attempt %d: %s", job.id, self._attempts, fault)
            pause_s = ATTEMPT_PAUSE_S * 2 ** max(self._attempts - 1, 0)
            await self._give_back(lease, pause_s, is_attempt=True)
        else:
            logger.warning("job %s has failed: %s", job.id, fault)
            fail = partial(self._leases.fail, lease, fault)
            await self._unless_lost(lease, self._patiently(partial(asyncio.to_thread, fail)))

    async def _give_back(self, lease: Lease, delay_s: float, *, is_attempt: bool) -> None:
        give_back = partial(self._leases.give_back, lease, delay_s, is_attempt=is_attempt)
        await self._unless_lost(lease, asyncio.to_thread(give_back))

    async def _unless_lost(self, lease: Lease, write: Awaitable[None]) -> None:
        try:
            await write
        except LeaseLost:
            logger.info("job %s: cancelled, or taken by another worker", lease.job.id)


async def _score_chunk(endpoint: SingleEndpoint, job: Job, body: ChunkBody) -> ChunkLines:
    """The lines of a chunk. Scored again after a kill, its rows have the same prediction ids."""
    ids = IdsFromHash(f"job\0{job.owner}\0{job.id}\0{job.digest}".encode())

    def choose_ids(digest: str, indices: Sequence[int], /) -> Sequence[bytes]:
        return ids(digest, [body.first_row + index for index in indices])

    request = Request(body, job.id, b"", time.monotonic(), choose_ids=choose_ids)
    return cast("ChunkLines", await ask(endpoint, JobChunk, request))
