"""The desk of one model: a request is decoded, scored in a batch, recorded and answered."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from contracts.names import Layout
from contracts.traffic import TrafficRecord
from services.answer import Clerk, Moment, encode
from services.batcher import Batcher, Ticket
from services.decode import Row
from services.faults import Fault
from services.metrics import Metrics, observe_all
from services.models import ServedModel
from services.settings import ServiceSettings
from services.traffic import TrafficLog

logger = logging.getLogger("bentoml.slipway")


class Desk:
    """Everything that answers for one model, in one worker's event loop."""

    def __init__(
        self, served: ServedModel, layout: Layout, settings: ServiceSettings, metrics: Metrics
    ) -> None:
        self.served = served
        self._settings = settings
        self._decoder = served.decoder
        self._clerk = Clerk(served.pointer, served.manifest)
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
        self._queue_rows = metrics.queue_rows.labels(name)
        self._traffic_errors = metrics.traffic_errors.labels(name)
        self._predictions = {
            word: metrics.predictions.labels(name, version, word)
            for word in self.served.manifest.classes or ("value",)
        }
        pointer = self.served.pointer
        metrics.model_info.labels(name, version, pointer.run_id, pointer.digest).set(1)

    def predict(self, body: bytes, request_id: str) -> asyncio.Future[bytes]:
        """The encoded answer to a body that is one row.

        Raises:
            Fault: the body, or the queue.

        """
        arrived = time.monotonic()
        return self._batcher.submit((self._decoder.one(body),), request_id, arrived)

    def predict_row(self, row: object, request_id: str) -> asyncio.Future[bytes]:
        """The same for a row that is parsed already."""
        arrived = time.monotonic()
        return self._batcher.submit((self._decoder.exact(row),), request_id, arrived)

    async def predict_batch(self, body: bytes, request_id: str) -> bytes:
        """The encoded answers to `{"rows": [...]}`: a prediction or an error for each row."""
        arrived = time.monotonic()
        rows = self._decoder.many(body, self._settings.request_rows)
        good = [row for row in rows if isinstance(row, Row)]
        given = iter(await self._results(good, request_id, arrived))
        results = [next(given) if isinstance(row, Row) else _error(row) for row in rows]
        failed = sum(isinstance(result, dict) for result in results)
        return encode({"results": results, "failed": failed})

    async def _results(
        self, rows: Sequence[Row], request_id: str, arrived: float
    ) -> Sequence[msgspec.Raw | dict[str, Any]]:
        """An encoded answer for each row; if the model fails on them, each is tried alone."""
        if not rows:
            return ()
        try:
            listed = await self._batcher.submit(rows, request_id, arrived, many=True)
        except Fault as fault:
            if fault.code != "prediction_failed":
                raise
        else:
            return msgspec.json.decode(listed, type=list[msgspec.Raw])
        alone = [self._batcher.submit((row,), request_id, arrived) for row in rows]
        answers = await asyncio.gather(*alone, return_exceptions=True)
        return [msgspec.Raw(a) if isinstance(a, bytes) else _error(a) for a in answers]

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

    def close(self) -> None:
        """Seal the traffic log."""
        self._executor.shutdown()
        self._log.close()

    def batch_done(self, n_rows: int, n_waiting: int) -> None:
        """Count a model call."""
        self._batch_rows.observe(n_rows)
        self._queue_rows.set(n_waiting)

    def conclude(self, tickets: Sequence[Ticket]) -> None:
        """Record scored tickets with one write, then answer them.

        A ticket of one row gets an object; one of several rows a list.
        """
        moment, monotonic = Moment.now(), time.monotonic()
        waits = [monotonic - ticket.arrived for ticket in tickets]
        records = [
            [
                self._clerk.record(row, scores, moment, waited_s, ticket.request_id)
                for row, scores in zip(ticket.rows, ticket.scores, strict=True)
            ]
            for ticket, waited_s in zip(tickets, waits, strict=True)
        ]
        if not self._recorded([record for listed in records for record in listed], moment):
            for ticket in tickets:
                ticket.answer.set_exception(Fault("traffic_log_unavailable"))
            return
        for ticket, listed in zip(tickets, records, strict=True):
            answers = [self._clerk.answer(record) for record in listed]
            ticket.answer.set_result(encode(answers if ticket.many else answers[0]))
        self._answered.inc(len(tickets))
        observe_all(self._latency, waits)

    def _recorded(self, records: Sequence[TrafficRecord], moment: Moment) -> bool:
        """Whether the answers may be given: the records are written, or may be dropped."""
        try:
            self._log.append([encode(record) for record in records], moment.datetime)
        except OSError as err:
            self._traffic_errors.inc(len(records))
            logger.error("traffic log of %s: %s", self.served.pointer.name, err)  # noqa: TRY400 - the place is known, the cause is in the text
            if self._settings.traffic_on_error == "refuse":
                return False
        for word, times in Counter(record.prediction for record in records).items():
            self._predictions[word if isinstance(word, str) else "value"].inc(times)
        return True


def _error(fault: object) -> dict[str, Any]:
    known = fault if isinstance(fault, Fault) else Fault("internal_error")
    return {"error": known.as_dict()}
