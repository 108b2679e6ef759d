"""The desk of one model: a request is decoded, scored in a batch, recorded and answered."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from contracts.names import Layout
from contracts.traffic import TrafficRecord
from services.faults import Fault
from services.metrics import Metrics, observe_all
from services.protocols import batch, invocations, labels
from services.protocols.inference_v2 import V2
from services.scoring.answer import Clerk, Moment, encode, encode_lines
from services.scoring.batcher import DRAINED, FULL, Answer, Batcher, Ticket
from services.scoring.cache import ResultCache
from services.scoring.decode import Rows, joined
from services.scoring.models import ServedModel
from services.scoring.traffic import TrafficLog
from services.settings import ServiceSettings

RETIRE_LOOK_S = 0.02

logger = logging.getLogger("bentoml.slipway")


class Desk:
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
        self.v2 = V2(served.pointer, served.manifest, served.decoder)
        self._cache = cache
        self._settings = settings
        self._decoder = served.decoder
        self._clerk = Clerk(served.pointer, served.manifest)
        self._labels = TrafficLog(layout.labels(self.name), settings.segment_bytes, by_day=False)
        self._log = TrafficLog(layout.traffic(served.pointer.name), settings.segment_bytes)
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
        self._answered = metrics.requests.labels(name, 200)
        self._latency = metrics.latency.labels(name)
        self._batch_rows = metrics.batch_rows.labels(name)
        self._batches = {why: metrics.batches.labels(name, why) for why in (DRAINED, FULL)}
        self._labels_taken = metrics.labels.labels(name)
        self._queue_rows = metrics.queue_rows.labels(name)
        self._traffic_errors = metrics.traffic_errors.labels(name)
        self._predictions = {
            word: metrics.predictions.labels(name, version, word)
            for word in self.served.manifest.classes or ("value",)
        }
        pointer = self.served.pointer
        self._info = metrics.model_info.labels(name, version, pointer.run_id, pointer.digest)
        self._info.set(1)

    @property
    def is_immediate(self) -> bool:
        """Whether `ask` will do: no cache must be asked first."""
        return self._cache is None

    def ask(self, body: bytes, request_id: str, answer: Answer) -> None:
        """Let the encoded answer to a body that is one row be given to `answer`.

        Raises:
            Fault: the body, or the queue.

        """
        arrived = time.monotonic()
        rows = self._decoder.one(body)
        self._batcher.submit(Ticket(rows, request_id, arrived, answer, self._one_answer))

    async def predict(self, body: bytes, request_id: str) -> bytes:
        """The encoded answer to a body that is one row.

        Raises:
            Fault: the body, the queue, or the model.

        """
        arrived = time.monotonic()
        rows = self._decoder.one(body)
        answer: bytes = await self.scored(rows, request_id, arrived, self._one_answer)
        return answer

    async def predict_row(self, row: object, request_id: str) -> bytes:
        """The same for a row that is parsed already."""
        arrived = time.monotonic()
        rows = self._decoder.exact(row)
        answer: bytes = await self.scored(rows, request_id, arrived, self._one_answer)
        return answer

    async def predict_batch(self, body: bytes, request_id: str) -> bytes:
        """The encoded answers to rows or columns: a prediction or an error for each row.

        Raises:
            Fault: the body, or the queue.

        """
        arrived = time.monotonic()
        parts = batch.rows_of(body, self._decoder, self._settings.request_rows)
        good = [part for part in parts if isinstance(part, Rows)]
        answers = await self._each_answered(good, request_id, arrived)
        if len(good) < len(parts):
            given = iter(answers)
            answers = [each for part in parts for each in _answers_of(part, given)]
        failed = sum("error" in answer for answer in answers)
        return encode({"results": answers, "failed": failed})

    async def invoke(self, body: bytes, request_id: str) -> bytes:
        """The same in MLflow's protocol, where one bad row refuses all.

        Raises:
            Fault: the body, the queue, or the model.

        """
        arrived = time.monotonic()
        rows = invocations.rows_of(body, self._decoder, self._settings.request_rows)
        answer: bytes = await self.scored(rows, request_id, arrived, invocations.body_of)
        return answer

    async def infer(self, body: bytes, request_id: str) -> bytes:
        """The same in the Open Inference Protocol.

        Raises:
            Fault: the body, the queue, or the model.

        """
        arrived = time.monotonic()
        rows, render = self.v2.read(body, self._settings.request_rows)
        answer: bytes = await self.scored(rows, request_id, arrived, render)
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
        self, parts: Sequence[Rows], request_id: str, arrived: float
    ) -> Sequence[dict[str, Any]]:
        """An answer for each row; if the model fails on them, each is tried alone."""
        if not parts:
            return ()
        rows = parts[0] if len(parts) == 1 else joined(parts)
        try:
            answers: Sequence[dict[str, Any]] = await self.scored(
                rows, request_id, arrived, self._clerk.answers
            )
        except Fault as fault:
            if fault.code != "prediction_failed":
                raise
        else:
            return answers
        alone = [self.scored(row, request_id, arrived, self._clerk.answers) for row in rows.alone()]
        tried = await asyncio.gather(*alone, return_exceptions=True)
        return [error_of(a) if isinstance(a, BaseException) else a[0] for a in tried]

    async def scored(
        self,
        rows: Rows,
        request_id: str,
        arrived: float,
        render: Callable[[Sequence[TrafficRecord]], Any],
    ) -> Any:
        """What `render` makes of the records of these rows, all of them or none.

        Raises:
            Fault: the queue, the model, or the traffic log.

        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        ticket = Ticket(rows, request_id, arrived, answer, render)
        known = None if self._cache is None else await self._cache.recall(rows)
        if known is not None:
            ticket.scores = known
            self.conclude([ticket])
        else:
            self._batcher.submit(ticket)
        return await answer

    def _one_answer(self, records: Sequence[TrafficRecord]) -> bytes:
        return encode(self._clerk.answer(records[0]))

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
        while not self._batcher.is_idle:  # noqa: ASYNC110 - an event would cost every batch
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

    def remember(self, tickets: Sequence[Ticket]) -> None:
        """Keep the scores of a model call for whoever asks the same."""
        if self._cache is not None:
            for ticket in tickets:
                self._cache.keep(ticket.rows, ticket.scores)

    def conclude(self, tickets: Sequence[Ticket]) -> None:
        """Record scored tickets with one write, then answer them."""
        moment, monotonic = Moment.now(), time.monotonic()
        waits = [monotonic - ticket.arrived for ticket in tickets]
        records = [
            self._clerk.records(ticket.rows, ticket.scores, moment, waited_s, ticket.request_id)
            for ticket, waited_s in zip(tickets, waits, strict=True)
        ]
        if not self._recorded([record for listed in records for record in listed], moment):
            for ticket in tickets:
                ticket.answer.set_exception(Fault("traffic_log_unavailable"))
            return
        for ticket, listed in zip(tickets, records, strict=True):
            ticket.answer.set_result(ticket.render(listed))
        self._answered.inc(len(tickets))
        observe_all(self._latency, waits)

    def _recorded(self, records: Sequence[TrafficRecord], moment: Moment) -> bool:
        """Whether the answers may be given: the records are written, or may be dropped."""
        try:
            self._log.append_block(encode_lines(records), moment.datetime)
        except OSError as err:
            self._traffic_errors.inc(len(records))
            logger.error("traffic log of %s: %s", self.served.pointer.name, err)  # noqa: TRY400 - the place is known, the cause is in the text
            if self._settings.traffic_on_error == "refuse":
                return False
        if self.served.manifest.classes:
            for word, times in Counter([str(record.prediction) for record in records]).items():
                self._predictions[word].inc(times)
        else:
            self._predictions["value"].inc(len(records))
        return True


def _answers_of(part: Rows | Fault, answers: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """What stands for a part of a batch: as many of the answers as it has rows, or its error."""
    return list(islice(answers, len(part))) if isinstance(part, Rows) else [error_of(part)]


def error_of(fault: object) -> dict[str, Any]:
    """What stands in the place of an answer for a row that has none."""
    known = fault if isinstance(fault, Fault) else Fault("internal_error")
    return {"error": known.as_dict()}
