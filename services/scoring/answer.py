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
from services.scoring.decode import Rows
from services.scoring.traffic import utc_text

encode = msgspec.json.Encoder().encode
encode_lines = msgspec.json.Encoder().encode_lines
_process = secrets.token_hex(4)
_counter = count(int.from_bytes(os.urandom(3), "big"))


class Clerk:
    """Writes records and answers for one model."""

    def __init__(self, pointer: Pointer, manifest: Manifest) -> None:
        self._pointer = pointer
        self._task = manifest.task
        self._classes = manifest.classes
        self._threshold = 0.5 if manifest.threshold is None else manifest.threshold
        names = manifest.classes or manifest.outputs
        fields = [(f"s{index}", float) for index in range(len(names))]
        rename = {f"s{index}": name for index, name in enumerate(names)}
        # JSON writes it as it writes a dict, in half the time.
        self._scores: Any = msgspec.defstruct("Scores", fields, rename=rename)
        self._word = "probabilities" if manifest.classes else "values"

    def records(
        self,
        rows: Rows,
        scores: Sequence[Sequence[float]],
        moment: "Moment",
        waited_s: float,
        request_id: str,
    ) -> list[TrafficRecord]:
        """What was asked and what is answered, a record for each row."""
        latency_ms = round(waited_s * 1e3, 3)
        decided = self._decided
        return [
            TrafficRecord(
                prediction_id=moment.new_prediction_id(),
                time=moment.text,
                model=self._pointer.name,
                version=self._pointer.version,
                features=features,
                prediction=(decision := decided(each))[0],
                score=decision[1],
                scores=self._scores(*each),
                flags=flags,
                latency_ms=latency_ms,
                request_id=request_id,
            )
            for features, flags, each in zip(rows.features, rows.flags, scores, strict=True)
        ]

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


def values_of(record: TrafficRecord) -> tuple[float, ...]:
    """The scores of a record that a clerk wrote, in the order of the manifest."""
    return msgspec.structs.astuple(record.scores)  # type: ignore[arg-type]  # a clerk's own struct


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
