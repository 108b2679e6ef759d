"""A version that scores logged requests again and compares its answers with the logged ones."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from contracts.canary import MAX_CHANGE
from contracts.names import REFERENCE_FILE
from contracts.reference import NumberReference, Reference
from contracts.shadow import ShadowRecord
from services.faults import Fault
from services.inference.json_templates import encode
from services.inference.loader import ServedModel
from services.inference.rows import Rows, model_input
from services.inference.scores import failure_text, scores_or_failures
from services.shadow.log_entry import LogEntry

SHADOW_BATCH_ROWS = 256
PROBABILITY_SPREAD = 1.0


class ShadowModel:
    """A loaded version that scores logged requests again; `directory` is its model directory."""

    def __init__(self, served: ServedModel, directory: Path) -> None:
        self.served = served
        self._renderer = served.renderer
        self._spread = PROBABILITY_SPREAD
        if not served.manifest.classes:
            self._spread = _spread_of(directory)

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
        session = self.served.session
        by_row = scores_or_failures(session.run, model_input(rows, session.dtype))
        return [failure_text(each) if isinstance(each, Exception) else each for each in by_row]

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
        predictions, monitored = self._renderer.predict(
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


def _spread_of(directory: Path) -> float:
    """Two standard deviations of a regression's predictions on its held-out rows."""
    path = directory / REFERENCE_FILE
    reference = Reference.read(path.read_bytes(), str(path))
    score = reference.predictions.get("score")
    return 2 * score.std if isinstance(score, NumberReference) else PROBABILITY_SPREAD
