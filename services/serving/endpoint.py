"""An endpoint: what answers prediction requests, and the endpoint of a single version."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from contracts.names import CHALLENGER, Layout
from services.faults import Fault
from services.inference.batch_result import EMPTY_RESULT
from services.inference.batcher import Batcher
from services.inference.cache import ResultCache
from services.inference.jsonl_log import JsonlLog
from services.inference.loader import ServedModel
from services.inference.pending import Assignment, PendingRequest, Request, ResponseSink
from services.inference.recorder import Recorder
from services.inference.scores import RunModel
from services.metrics import Metrics
from services.protocols.wire_protocol import PredictionCodec
from services.serving.pool_metrics import observe_pool
from services.settings import ServiceSettings

RETIRE_POLL_S = 0.02
NO_ROWS = slice(0, 0)

Operation = type[PredictionCodec]


class Endpoint(Protocol):
    """Answers prediction requests. Every transport asks it, and nothing else, for predictions."""

    def submit(self, operation: Operation, request: Request, sink: ResponseSink) -> None:
        """Answer a request in the encoding of `operation`.

        Returns at once. The sink gets the encoded response, or a `Fault`: `invalid_json`,
        `invalid_request`, `body_too_large`, `overloaded`, `deadline_exceeded`,
        `prediction_failed`, `traffic_log_unavailable`, `internal_error`, or `unknown_model` if
        the model was removed meanwhile. Call it in the event loop of the endpoint.
        """


class SingleEndpoint:
    """One version of a model in one worker: decode, batch, score, record, answer.

    `run`: scores in place of the version's own session, which it asks in turn.
    """

    def __init__(
        self,
        served: ServedModel,
        layout: Layout,
        settings: ServiceSettings,
        metrics: Metrics,
        cache: ResultCache | None = None,
        run: RunModel | None = None,
    ) -> None:
        pointer = served.pointer
        self.served = served
        self._request_rows = settings.request_rows
        self._codecs: dict[Operation, PredictionCodec] = {}
        self._cache = cache
        self._lookups: set[asyncio.Task[None]] = set()
        self._log = JsonlLog(layout.traffic(pointer.name), settings.log_file_bytes)
        must_log = settings.traffic_on_error == "refuse"
        self._needs_log = must_log and not settings.ready_without_log
        self._recorder = Recorder(served, self._log, metrics, cache, must_log=must_log)
        self._executor = ThreadPoolExecutor(served.concurrency, pointer.name)
        self._batcher = Batcher(
            run or served.session.run,
            self._recorder,
            batch_rows=settings.batch_rows,
            queue_rows=settings.queue_rows,
            deadline_s=settings.deadline_s,
            inline_rows=served.inline_rows,
            executor=self._executor,
            dtype=served.session.dtype,
            concurrency=served.concurrency,
        )
        self._info = metrics.model_info.labels(
            pointer.name, str(pointer.version), pointer.alias, pointer.run_id, pointer.digest
        )
        self._info.set(1)
        if served.pool is not None:
            observe_pool(served.pool, metrics, pointer.name, pointer.alias)

    @property
    def running_since(self) -> float | None:
        """Since when a model call runs in this process, in `time.monotonic`; any thread may ask.

        Calls of other processes end at their deadline, and are not counted.
        """
        return None if self.served.pool is not None else self._batcher.running_since

    @property
    def version(self) -> int:
        """The version's number in the registry."""
        return self.served.pointer.version

    def submit(
        self,
        operation: Operation,
        request: Request,
        sink: ResponseSink,
        assignment: Assignment | None = None,
    ) -> None:
        """Answer a request; see `Endpoint`. `assignment` is recorded with its predictions."""
        try:
            codec = self._codecs.get(operation) or self._bind(operation)
            rows, render = codec.read(request.body, self._request_rows)
            if not rows.features:
                sink.set_result(render(EMPTY_RESULT, NO_ROWS, rows.refused))
                return
            # If production answers for a challenger that fails, it answers for all rows.
            is_partial = operation.is_partial and not self._has_fallback(assignment)
            queued = time.monotonic()
            pending = PendingRequest(rows, request, sink, render, queued, assignment, is_partial)
            if self._cache is None:
                self._batcher.submit(pending)
            else:
                self._look_up(pending, self._cache)
        except Fault as fault:
            sink.set_exception(fault)

    def can_record(self) -> bool:
        """Whether predictions can be logged, or need not be."""
        return not self._needs_log or self._log.is_writable()

    async def retire(self) -> None:
        """Close once every accepted request is answered."""
        while self._lookups or not self._batcher.is_idle:  # noqa: ASYNC110 - an event would cost every batch
            await asyncio.sleep(RETIRE_POLL_S)
        self._info.set(0)
        await self.close()

    async def close(self) -> None:
        """Close the traffic log and the cache."""
        if self._cache is not None:
            await self._cache.close()
        await asyncio.to_thread(self.served.session.close)
        self._executor.shutdown()
        self._log.close()

    def _bind(self, operation: Operation) -> PredictionCodec:
        codec = self._codecs[operation] = operation(self.served)
        return codec

    def _has_fallback(self, assignment: Assignment | None) -> bool:
        return (
            assignment is not None
            and self.served.pointer.alias == assignment.assigned == CHALLENGER
        )

    def _look_up(self, pending: PendingRequest, cache: ResultCache) -> None:
        task = asyncio.get_running_loop().create_task(self._answer_from_cache(pending, cache))
        self._lookups.add(task)
        task.add_done_callback(self._lookups.discard)

    async def _answer_from_cache(self, pending: PendingRequest, cache: ResultCache) -> None:
        try:
            scores = await cache.get_many(pending.rows)
            if pending.sink.done():
                return
            if scores is None:
                self._batcher.submit(pending)
            else:
                pending.scores = scores
                self._recorder.complete([pending])
        except Exception as err:  # noqa: BLE001 - the client must not wait for ever
            if not pending.sink.done():
                pending.sink.set_exception(err)


async def ask(endpoint: Endpoint, operation: Operation, request: Request) -> bytes:
    """Submit a request and wait for its response.

    Raises:
        Fault: as `Endpoint.submit` gives it to a sink.

    """
    response: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    endpoint.submit(operation, request, response)
    return await response
