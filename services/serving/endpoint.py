"""The endpoint of one model: a request is decoded, scored in a batch, recorded and answered."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from contracts.names import CHALLENGER, Layout
from services.faults import Fault
from services.inference.batch_result import BatchClock, BatchResult
from services.inference.batcher import DRAINED, FULL, Batcher
from services.inference.cache import ResultCache
from services.inference.decode import Rows, join_rows
from services.inference.jsonl_log import TrafficLog
from services.inference.loader import ServedModel
from services.inference.pending import (
    Assignment,
    FallbackSink,
    PendingRequest,
    Render,
    ResponseSink,
    failed_attempt_s,
)
from services.inference.render import Renderer, encode
from services.metrics import Metrics, observe_all
from services.protocols import batch, invocations, labels
from services.protocols.open_inference import OpenInference
from services.settings import ServiceSettings

RETIRE_LOOK_S = 0.02
MODEL_FAILED = frozenset({"prediction_failed"})
ERROR = b'{"error":'

logger = logging.getLogger("bentoml.slipway")


class SingleEndpoint:
    """Everything that answers for one model, in one worker's event loop."""

    def __init__(
        self,
        served: ServedModel,
        layout: Layout,
        settings: ServiceSettings,
        metrics: Metrics,
        cache: ResultCache | None = None,
    ) -> None:
        self.served = served
        self.name = served.pointer.name
        self.version = served.pointer.version
        self.variant = served.pointer.alias
        self.has_split = False
        self.open_inference = OpenInference(served.pointer, served.manifest, served.decoder)
        self._cache = cache
        self._settings = settings
        self._decoder = served.decoder
        self._renderer = Renderer(served.pointer, served.manifest)
        self._labels = TrafficLog(layout.labels(self.name), settings.segment_bytes, by_day=False)
        self._log = TrafficLog(layout.traffic(served.pointer.name), settings.segment_bytes)
        self._tasks: set[asyncio.Task[bytes]] = set()
        self._cache_lookups = 0
        self._executor = ThreadPoolExecutor(1, served.pointer.name)
        self._batcher = Batcher(
            served.session.run,
            self,
            batch_rows=settings.batch_rows,
            queue_rows=settings.queue_rows,
            deadline_s=settings.deadline_s,
            inline_rows=served.inline_rows,
            executor=self._executor,
        )
        self._count_with(metrics)

    def _count_with(self, metrics: Metrics) -> None:
        name, version = self.served.pointer.name, str(self.served.pointer.version)
        variant = self.variant
        self._answered = metrics.requests.labels(name, 200)
        self._latency = metrics.latency.labels(name, variant)
        self._batch_rows = metrics.batch_rows.labels(name)
        self._batches = {why: metrics.batches.labels(name, why) for why in (DRAINED, FULL)}
        self._labels_taken = metrics.labels.labels(name)
        self._queue_rows = metrics.queue_rows.labels(name, variant)
        self._traffic_errors = metrics.traffic_errors.labels(name)
        self._predictions = {
            encode(word): metrics.predictions.labels(name, version, variant, word)
            for word in self.served.manifest.classes
        }
        values = metrics.predictions.labels
        self._values = None if self._predictions else values(name, version, variant, "value")
        pointer = self.served.pointer
        self._info = metrics.model_info.labels(
            name, version, variant, pointer.run_id, pointer.digest
        )
        self._info.set(1)

    @property
    def is_synchronous(self) -> bool:
        """Whether `ask` will do: no cache must be asked first."""
        return self._cache is None

    def ask(
        self,
        body: bytes,
        request_id: str,
        answer: ResponseSink,
        assignment: Assignment | None = None,
    ) -> None:
        """Let the encoded answer to a body that is one row be given to `answer`.

        Raises:
            Fault: the body, or the queue.

        """
        arrived = time.monotonic()
        rows = self._decoder.one(body)
        self._batcher.submit(
            PendingRequest(rows, request_id, arrived, answer, self._one_answer, (), assignment)
        )

    def ask_batch(
        self,
        body: bytes,
        request_id: str,
        answer: ResponseSink,
        assignment: Assignment | None = None,
    ) -> None:
        """The same for a batch, whose answer may be errors for some of its rows.

        Raises:
            Fault: the queue.

        """

        def ask_slowly(_fault: Fault | None = None) -> None:
            self._follow_up(self.predict_batch(body, request_id, assignment), answer)

        arrived = time.monotonic()
        rows = batch.quick_rows_of(body, self._decoder, self._settings.request_rows)
        if rows is None:
            ask_slowly()
            return
        to = (
            answer
            if self._has_fallback(assignment)
            else FallbackSink(answer, MODEL_FAILED, ask_slowly)
        )
        self._batcher.submit(
            PendingRequest(rows, request_id, arrived, to, self._batch_answer, (), assignment)
        )

    def _follow_up(self, asked: Coroutine[Any, Any, bytes], answer: ResponseSink) -> None:
        """Let what is asked in a task of its own be given to `answer`."""

        def answered(task: asyncio.Task[bytes]) -> None:
            self._tasks.discard(task)
            if answer.done() or task.cancelled():
                return
            error = task.exception()
            if error is None:
                answer.set_result(task.result())
            else:
                answer.set_exception(error)

        task = asyncio.get_running_loop().create_task(asked)
        self._tasks.add(task)
        task.add_done_callback(answered)

    async def predict(
        self, body: bytes, request_id: str, assignment: Assignment | None = None
    ) -> bytes:
        """The encoded answer to a body that is one row.

        Raises:
            Fault: the body, the queue, or the model.

        """
        arrived = time.monotonic()
        rows = self._decoder.one(body)
        answer: bytes = await self.scored(rows, request_id, arrived, self._one_answer, assignment)
        return answer

    async def predict_row(
        self, row: object, request_id: str, assignment: Assignment | None = None
    ) -> bytes:
        """The same for a row that is parsed already."""
        arrived = time.monotonic()
        rows = self._decoder.exact(row)
        answer: bytes = await self.scored(rows, request_id, arrived, self._one_answer, assignment)
        return answer

    async def predict_batch(
        self, body: bytes, request_id: str, assignment: Assignment | None = None
    ) -> bytes:
        """The encoded answers to rows or columns: a prediction or an error for each row.

        Raises:
            Fault: the body, or the queue; the model, if another is asked in its place.

        """
        arrived = time.monotonic()
        parts = batch.rows_of(body, self._decoder, self._settings.request_rows)
        good = [part for part in parts if isinstance(part, Rows)]
        answers = await self._each_answered(good, request_id, arrived, assignment)
        if len(good) < len(parts):
            given = iter(answers)
            answers = [each for part in parts for each in _answers_of(part, given)]
        failed = sum(answer.startswith(ERROR) for answer in answers)
        return _batch_of(b",".join(answers), failed)

    async def invoke(
        self, body: bytes, request_id: str, assignment: Assignment | None = None
    ) -> bytes:
        """The same in MLflow's protocol, where one bad row refuses all.

        Raises:
            Fault: the body, the queue, or the model.

        """
        arrived = time.monotonic()
        rows = invocations.rows_of(body, self._decoder, self._settings.request_rows)
        answer: bytes = await self.scored(
            rows, request_id, arrived, invocations.body_of, assignment
        )
        return answer

    async def infer(
        self, body: bytes, request_id: str, assignment: Assignment | None = None
    ) -> bytes:
        """The same in the Open Inference Protocol.

        Raises:
            Fault: the body, the queue, or the model.

        """
        arrived = time.monotonic()
        rows, render = self.open_inference.read(body, self._settings.request_rows)
        answer: bytes = await self.scored(rows, request_id, arrived, render, assignment)
        return answer

    async def label(self, body: bytes, _request_id: str) -> bytes:
        """Take what turned out to be true, all of it or nothing; says how much.

        Raises:
            Fault: the body, or the log of labels.

        """
        now = datetime.now(UTC)
        taken = labels.labels_of(body, self.served.manifest, self._settings.request_rows, now)
        try:
            self._labels.append([encode(label) for label in taken], now)
        except OSError as err:
            logger.error("labels of %s: %s", self.name, err)  # noqa: TRY400 - the same
            raise Fault("label_log_unavailable") from err
        self._labels_taken.inc(len(taken))
        return encode({"accepted": len(taken)})

    async def _each_answered(
        self,
        parts: Sequence[Rows],
        request_id: str,
        arrived: float,
        assignment: Assignment | None,
    ) -> Sequence[bytes]:
        """An answer for each row; if the model fails on them, each is tried alone."""
        if not parts:
            return ()
        rows = parts[0] if len(parts) == 1 else join_rows(parts)
        try:
            answers: Sequence[bytes] = await self.scored(
                rows, request_id, arrived, self._each_answer, assignment
            )
        except Fault as fault:
            if fault.code != "prediction_failed" or self._has_fallback(assignment):
                raise
        else:
            return answers
        alone = [
            self.scored(row, request_id, arrived, self._each_answer, assignment)
            for row in rows.split()
        ]
        tried = await asyncio.gather(*alone, return_exceptions=True)
        return [error_of(a) if isinstance(a, BaseException) else a[0] for a in tried]

    async def scored(
        self,
        rows: Rows,
        request_id: str,
        arrived: float,
        render: Render,
        assignment: Assignment | None = None,
    ) -> Any:
        """What `render` makes of these rows when they are scored, all of them or none.

        Raises:
            Fault: the queue, the model, or the traffic log.

        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        pending = PendingRequest(rows, request_id, arrived, answer, render, (), assignment)
        known = None if self._cache is None else await self._cached_scores(rows, self._cache)
        if known is not None:
            pending.scores = known
            self.complete([pending])
        else:
            self._batcher.submit(pending)
        return await answer

    async def _cached_scores(self, rows: Rows, cache: ResultCache) -> Any:
        self._cache_lookups += 1
        try:
            return await cache.get_many(rows)
        finally:
            self._cache_lookups -= 1

    def _has_fallback(self, assignment: Assignment | None) -> bool:
        """Whether production is asked for what this endpoint fails to answer."""
        return assignment is not None and self.variant == assignment.assigned == CHALLENGER

    def _one_answer(self, result: BatchResult, place: slice) -> bytes:
        return self._renderer.answer(result, place.start)

    def _each_answer(self, result: BatchResult, place: slice) -> list[bytes]:
        return [self._renderer.answer(result, index) for index in range(place.start, place.stop)]

    def _batch_answer(self, result: BatchResult, place: slice) -> bytes:
        return _batch_of(self._renderer.answers(result, place)[:-1])

    def describe(self) -> dict[str, Any]:
        """What the model is, for `GET /models/{name}`."""
        manifest, pointer = self.served.manifest, self.served.pointer
        return {
            "name": pointer.name,
            "version": pointer.version,
            "task": manifest.task,
            "description": manifest.description,
            "schema": manifest.schema,
            "classes": manifest.classes,
            "threshold": manifest.threshold,
            "outputs": manifest.outputs,
            "unit": manifest.output_unit,
            "metrics": manifest.metrics,
            "run_id": pointer.run_id,
            "digest": pointer.digest,
            "trained_at": manifest.created_at,
            "git_commit": manifest.git_commit,
        }

    async def retire(self) -> None:
        """Close, once all that was accepted is answered."""
        while self._cache_lookups or self._tasks or not self._batcher.is_idle:  # noqa: ASYNC110 - an event would cost every batch
            await asyncio.sleep(RETIRE_LOOK_S)
        self._info.set(0)
        await self.close()

    async def close(self) -> None:
        """Seal the traffic log."""
        if self._cache is not None:
            await self._cache.close()
        self._executor.shutdown()
        self._log.close()
        self._labels.close()

    def batch_done(self, n_rows: int, n_waiting: int, reason: str) -> None:
        """Count a model call."""
        self._batch_rows.observe(n_rows)
        self._batches[reason].inc()
        self._queue_rows.set(n_waiting)

    def cache_scores(self, batch: Sequence[PendingRequest]) -> None:
        """Keep the scores of a model call for whoever asks the same."""
        if self._cache is not None:
            for pending in batch:
                self._cache.put_many(pending.rows, pending.scores)

    def complete(self, batch: Sequence[PendingRequest]) -> None:
        """Record scored batch with one write, then answer them."""
        clock, monotonic = BatchClock.now(), time.monotonic()
        waits_s = [monotonic - pending.arrived for pending in batch]
        if self.has_split:
            waits_s = [w + failed_attempt_s(t) for w, t in zip(waits_s, batch, strict=True)]
        result = self._renderer.result(batch, clock)
        if not self._recorded(result, batch, waits_s, clock):
            for pending in batch:
                pending.answer.set_exception(Fault("traffic_log_unavailable"))
            return
        start = 0
        for pending in batch:
            place = slice(start, start + len(pending.rows))
            pending.answer.set_result(pending.render(result, place))
            start = place.stop
        self._answered.inc(len(batch))
        observe_all(self._latency, waits_s)

    def _recorded(
        self,
        result: BatchResult,
        batch: Sequence[PendingRequest],
        waits_s: Sequence[float],
        clock: BatchClock,
    ) -> bool:
        """Whether the answers may be given: the records are written, or may be dropped."""
        try:
            self._log.append_block(
                self._renderer.lines(result, batch, waits_s, self.has_split), clock.datetime
            )
        except OSError as err:
            self._traffic_errors.inc(len(result.ids))
            logger.error("traffic log of %s: %s", self.served.pointer.name, err)  # noqa: TRY400 - the place is known, the cause is in the text
            if self._settings.traffic_on_error == "refuse":
                return False
        if self._values is None:
            for word, times in Counter(result.predictions).items():
                self._predictions[word].inc(times)
        else:
            self._values.inc(len(result.ids))
        return True


def _answers_of(part: Rows | Fault, answers: Iterator[bytes]) -> list[bytes]:
    """What stands for a part of a batch: as many of the answers as it has rows, or its error."""
    return list(islice(answers, len(part))) if isinstance(part, Rows) else [error_of(part)]


def _batch_of(answers: bytes, failed: int = 0) -> bytes:
    """The answer to a batch."""
    return b'{"results":[%b],"failed":%d}' % (answers, failed)


def error_of(fault: object) -> bytes:
    """What stands in the place of an answer for a row that has none."""
    known = fault if isinstance(fault, Fault) else Fault("internal_error")
    return encode({"error": known.as_dict()})
