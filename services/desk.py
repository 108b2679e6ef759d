"""The desk of one model: a request is decoded, scored in a batch, recorded and answered."""

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import count
from typing import Any

import msgspec
import numpy as np

from contracts.names import Layout
from contracts.traffic import TrafficRecord
from services.batcher import Batcher, Ticket
from services.decode import Decoder, Row, rows_of_batch
from services.faults import Fault
from services.metrics import Metrics
from services.models import ServedModel
from services.settings import ServiceSettings
from services.traffic import TrafficLog, utc_text

LIGHT_S = 0.002
"""A model that scores a full warm-up batch within this runs in the event loop."""
WARM_UP_ROWS = 32

logger = logging.getLogger("slipway.services")
encode = msgspec.json.Encoder().encode
_process = secrets.token_hex(4)
_counter = count(int.from_bytes(os.urandom(3), "big"))


class Desk:
    """Everything that answers for one model, in one worker's event loop."""

    def __init__(
        self, served: ServedModel, layout: Layout, settings: ServiceSettings, metrics: Metrics
    ) -> None:
        self.served = served
        self._manifest = served.manifest
        self._settings = settings
        self._metrics = metrics
        self._log = TrafficLog(layout.traffic(served.pointer.name), settings.segment_bytes)
        self._decoder: Decoder = served.decoder
        self._executor = None if _is_light(served) else ThreadPoolExecutor(1, served.pointer.name)
        self._batcher = Batcher(
            served.session.run,
            self,
            batch_rows=settings.batch_rows,
            queue_rows=settings.queue_rows,
            deadline_s=settings.deadline_s,
            executor=self._executor,
        )
        name, version = served.pointer.name, str(served.pointer.version)
        self._latency = metrics.latency.labels(name)
        self._batch_rows = metrics.batch_rows.labels(name)
        self._predictions = {
            word: metrics.predictions.labels(name, version, word)
            for word in self._manifest.classes or ("value",)
        }
        metrics.model_info.labels(name, version, served.pointer.run_id, served.pointer.digest).set(
            1
        )

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
        rows = [
            self._checked(row, f"rows[{index}]")
            for index, row in enumerate(rows_of_batch(body, self._settings.request_rows))
        ]
        good = [row for row in rows if isinstance(row, Row)]
        answered = b"[]"
        if good:
            answered = await self._batcher.submit(good, request_id, arrived, many=True)
        given = iter(msgspec.json.decode(answered, type=list[msgspec.Raw]))
        results = [
            next(given) if isinstance(row, Row) else {"error": row.as_dict()} for row in rows
        ]
        return encode({"results": results, "failed": len(rows) - len(good)})

    def describe(self) -> dict[str, Any]:
        """What the model is, for `GET /models/{name}`."""
        manifest, pointer = self._manifest, self.served.pointer
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
        if self._executor is not None:
            self._executor.shutdown()
        self._log.close()

    def batch_done(self, n_rows: int) -> None:
        """Count a model call."""
        self._batch_rows.observe(n_rows)

    def conclude(self, tickets: Sequence[Ticket]) -> None:
        """Record scored tickets with one write, then answer them.

        A ticket of one row gets an object; one of several rows a list.
        """
        moment = datetime.now(UTC)
        stamp, monotonic = utc_text(moment), time.monotonic()
        lines: list[bytes] = []
        answers = [
            self._concluded(ticket, moment, stamp, monotonic - ticket.arrived, lines)
            for ticket in tickets
        ]
        if not self._recorded(lines, moment):
            for ticket in tickets:
                ticket.answer.set_exception(Fault("traffic_log_unavailable"))
            return
        for ticket, answer in zip(tickets, answers, strict=True):
            self._latency.observe(monotonic - ticket.arrived)
            ticket.answer.set_result(answer)

    def _concluded(
        self, ticket: Ticket, moment: datetime, stamp: str, waited_s: float, lines: list[bytes]
    ) -> bytes:
        """The encoded answer to a ticket; its records are added to `lines`."""
        answers = []
        for row, scores in zip(ticket.rows, ticket.scores, strict=True):
            record = self._record(row, scores, moment, stamp, waited_s, ticket.request_id)
            lines.append(encode(record))
            answers.append(self._answer(record))
        return encode(answers if ticket.many else answers[0])

    def _record(
        self,
        row: Row,
        scores: list[float],
        moment: datetime,
        stamp: str,
        waited_s: float,
        request_id: str,
    ) -> TrafficRecord:
        prediction, score = self._decided(scores)
        pointer, manifest = self.served.pointer, self._manifest
        return TrafficRecord(
            prediction_id=new_prediction_id(moment),
            time=stamp,
            model=pointer.name,
            version=pointer.version,
            features=row.features,
            prediction=prediction,
            score=score,
            scores=dict(zip(manifest.classes or manifest.outputs, scores, strict=True)),
            flags=row.flags,
            latency_ms=round(waited_s * 1e3, 3),
            request_id=request_id,
        )

    def _decided(self, scores: list[float]) -> tuple[str | float, float]:
        """The answer, and the number that is watched for drift."""
        manifest = self._manifest
        if manifest.task == "regression":
            self._predictions["value"].inc()
            return scores[0], scores[0]
        if manifest.task == "binary":
            score = scores[1]
            word = manifest.classes[score >= (manifest.threshold or 0.5)]
        else:
            score = max(scores)
            word = manifest.classes[scores.index(score)]
        self._predictions[word].inc()
        return word, score

    def _answer(self, record: TrafficRecord) -> dict[str, Any]:
        return {
            "prediction_id": record.prediction_id,
            "model": record.model,
            "version": record.version,
            "variant": record.variant,
            "time": record.time,
            "prediction": record.prediction,
            "probabilities" if self._manifest.classes else "values": record.scores,
            "flags": record.flags,
        }

    def _recorded(self, lines: list[bytes], moment: datetime) -> bool:
        """Whether the answers may be given: the records are written, or may be dropped."""
        try:
            self._log.append(lines, moment)
        except OSError as err:
            self._metrics.traffic_errors.labels(self.served.pointer.name).inc(len(lines))
            logger.error("traffic log of %s: %s", self.served.pointer.name, err)  # noqa: TRY400 - the place is known, the cause is in the text
            return self._settings.traffic_on_error == "drop"
        return True

    def _checked(self, row: object, path: str) -> Row | Fault:
        try:
            return self._decoder.exact(row, path)
        except Fault as fault:
            return fault


def new_prediction_id(moment: datetime) -> str:
    """An id that sorts by time and is unique: UUID version 7 (RFC 9562, section 5.7).

    48 bits of milliseconds, then the process (32 random bits) and a counter.
    """
    milliseconds = int(moment.timestamp() * 1000)
    number = next(_counter) & 0xFFFFFFFF
    stamp = f"{milliseconds:012x}"
    return f"{stamp[:8]}-{stamp[8:]}-7{_process[:3]}-8{_process[3:6]}-{_process[6:]}00{number:08x}"


def _is_light(served: ServedModel) -> bool:
    """Whether a batch is scored so quickly that the event loop does not notice: measured."""
    golden = served.manifest.golden
    rows = [served.decoder.exact(golden[i % len(golden)].features) for i in range(WARM_UP_ROWS)]
    matrix = np.array([row.numbers for row in rows], dtype=np.float32)
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        served.session.run(matrix)
        times.append(time.perf_counter() - begin)
    return min(times) < LIGHT_S
