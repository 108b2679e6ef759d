"""A version that scores logged requests again and compares its answers with the logged ones."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.canary import MAX_CHANGE
from contracts.names import REFERENCE_FILE, Layout
from contracts.reference import NumberReference, Reference
from contracts.shadow import ShadowRecord
from services.faults import Fault
from services.inference.decode import Rows
from services.inference.loader import ServedModel, find_directory
from services.inference.render import Renderer, encode
from services.shadow.log_entry import LogEntry

SHADOW_BATCH_ROWS = 256
MAX_ERROR_CHARS = 300
NOT_FINITE = "expected finite scores, got NaN or infinity"
PROBABILITY_SPREAD = 1.0


class ShadowModel:
    """A loaded version that scores logged requests again."""

    def __init__(self, served: ServedModel, layout: Layout) -> None:
        self.served = served
        self._renderer = Renderer(served.pointer, served.manifest)
        self._spread = PROBABILITY_SPREAD
        if not served.manifest.classes:
            self._spread = _spread_of(served, layout)

    def records(self, entries: Sequence[LogEntry]) -> list[ShadowRecord]:
        """One record per entry, in their order: this version's answer next to the logged one."""
        found: list[ShadowRecord] = []
        for start in range(0, len(entries), SHADOW_BATCH_ROWS):
            found += self._batch(entries[start : start + SHADOW_BATCH_ROWS])
        return found

    def _batch(self, entries: Sequence[LogEntry]) -> list[ShadowRecord]:
        decoded = [self._rows(entry) for entry in entries]
        valid = [rows for rows in decoded if isinstance(rows, Rows)]
        scored = iter(self._scores(valid))
        return [
            self._record(entry, next(scored) if isinstance(rows, Rows) else rows)
            for entry, rows in zip(entries, decoded, strict=True)
        ]

    def _rows(self, entry: LogEntry) -> Rows | str:
        """The features of an entry, decoded by this version's schema; or why it refuses them."""
        try:
            return self.served.decoder.one(bytes(entry.features))
        except Fault as fault:
            return str(fault)

    def _scores(self, rows: Sequence[Rows]) -> list[list[float] | str]:
        """The scores of each row, or why it has none: a failing row does not fail its batch."""
        if not rows:
            return []
        numbers = np.concatenate([np.asarray(r.numbers, dtype=np.float32) for r in rows])
        batch = self._run(numbers)
        if not isinstance(batch, str):
            return list(batch)
        single = [self._run(numbers[i : i + 1]) for i in range(len(numbers))]
        return [each if isinstance(each, str) else each[0] for each in single]

    def _run(self, numbers: NDArray[np.float32]) -> list[list[float]] | str:
        try:
            scores = self.served.session.run(numbers)
        except Exception as err:  # noqa: BLE001 - a model may fail in any way; the record says how
            return f"the model failed: {err}"[:MAX_ERROR_CHARS]
        listed: list[list[float]] = scores.tolist()
        return listed if np.isfinite(scores).all() else NOT_FINITE

    def _record(self, entry: LogEntry, scores: list[float] | str) -> ShadowRecord:
        pointer = self.served.pointer
        record = ShadowRecord(
            prediction_id=entry.prediction_id,
            time=entry.time,
            model=pointer.name,
            version=entry.version,
            variant=entry.variant,
            prediction=entry.prediction,
            score=entry.score,
            role=pointer.alias,
            other_version=pointer.version,
        )
        if isinstance(scores, str):
            return msgspec.structs.replace(record, error=scores)
        predictions, monitored = self._renderer.decide(
            [scores], [[encode(score)] for score in scores]
        )
        prediction, score = msgspec.json.decode(predictions[0]), float(monitored[0])
        difference = score - entry.score
        is_class = bool(self.served.manifest.classes)
        return msgspec.structs.replace(
            record,
            other_prediction=prediction,
            other_score=score,
            difference=difference,
            agrees=(not is_class or prediction == entry.prediction)
            and abs(difference) <= MAX_CHANGE * self._spread,
        )


def _spread_of(served: ServedModel, layout: Layout) -> float:
    """Two standard deviations of a regression's predictions on its held-out rows."""
    path = find_directory(layout, served.pointer) / REFERENCE_FILE
    reference = Reference.read(path.read_bytes(), str(path))
    score = reference.predictions.get("score")
    return 2 * score.std if isinstance(score, NumberReference) else PROBABILITY_SPREAD
