"""A scored row becomes a line of traffic and an answer, which say the same."""

import os
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

import msgspec

from contracts.manifest import Manifest, Pointer
from contracts.traffic import TrafficRecord
from services.decode import Row
from services.traffic import utc_text

encode = msgspec.json.Encoder().encode
_process = secrets.token_hex(4)
_counter = count(int.from_bytes(os.urandom(3), "big"))


class Clerk:
    """Writes records and answers for one model."""

    def __init__(self, pointer: Pointer, manifest: Manifest) -> None:
        self._pointer = pointer
        self._task = manifest.task
        self._classes = manifest.classes
        self._threshold = 0.5 if manifest.threshold is None else manifest.threshold
        self._names = manifest.classes or manifest.outputs
        self._word = "probabilities" if manifest.classes else "values"

    def record(
        self, row: Row, scores: Sequence[float], moment: "Moment", waited_s: float, request_id: str
    ) -> TrafficRecord:
        """What was asked and what is answered."""
        prediction, score = self._decided(scores)
        return TrafficRecord(
            prediction_id=moment.new_prediction_id(),
            time=moment.text,
            model=self._pointer.name,
            version=self._pointer.version,
            features=row.features,
            prediction=prediction,
            score=score,
            scores=dict(zip(self._names, scores, strict=True)),
            flags=row.flags,
            latency_ms=round(waited_s * 1e3, 3),
            request_id=request_id,
        )

    def answer(self, record: TrafficRecord) -> dict[str, Any]:
        """What the client is told of a record."""
        return {
            "prediction_id": record.prediction_id,
            "model": record.model,
            "version": record.version,
            "variant": record.variant,
            "time": record.time,
            "prediction": record.prediction,
            self._word: record.scores,
            "flags": record.flags,
        }

    def answers(self, records: Sequence[TrafficRecord]) -> list[dict[str, Any]]:
        """The same for several."""
        return [self.answer(record) for record in records]

    def _decided(self, scores: Sequence[float]) -> tuple[str | float, float]:
        """The answer, and the number that is watched for drift."""
        if self._task == "regression":
            return scores[0], scores[0]
        if self._task == "binary":
            return self._classes[scores[1] >= self._threshold], scores[1]
        highest = max(scores)
        return self._classes[scores.index(highest)], highest


class Moment:
    """A time as the records of one batch tell it: RFC 3339 in UTC, and the head of their ids."""

    def __init__(self, moment: datetime) -> None:
        self.datetime = moment
        self.text = utc_text(moment)
        stamp = f"{int(moment.timestamp() * 1000):012x}"
        self._head = f"{stamp[:8]}-{stamp[8:]}-7{_process[:3]}-8{_process[3:6]}-{_process[6:]}00"

    @classmethod
    def now(cls) -> "Moment":
        """The present."""
        return cls(datetime.now(UTC))

    def new_prediction_id(self) -> str:
        """An id that sorts by time and is unique: UUID version 7 (RFC 9562, section 5.7).

        48 bits of milliseconds, then the process (32 random bits) and a counter.
        """
        return f"{self._head}{next(_counter) & 0xFFFFFFFF:08x}"


def new_request_id() -> str:
    """What a request is called that came without a name: the process and a counter."""
    return f"{_process}{next(_counter) & 0xFFFFFFFF:08x}"
