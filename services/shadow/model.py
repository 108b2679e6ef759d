"""Answers of the traffic log, scored again by another version on the same features."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.canary import LARGEST_CHANGE
from contracts.names import REFERENCE_FILE, Layout
from contracts.reference import NumberReference, Reference
from contracts.shadow import ShadowRecord
from services.faults import Fault
from services.inference.decode import Rows
from services.inference.loader import ServedModel, find_directory
from services.inference.render import Clerk, encode
from services.shadow.log_entry import Line

BATCH_ROWS = 256
NOT_FINITE = "expected finite scores, got NaN or infinity"
PROBABILITY = 1.0


class Comparison:
    """One version that looks on."""

    def __init__(self, served: ServedModel, layout: Layout) -> None:
        self.served = served
        self._clerk = Clerk(served.pointer, served.manifest)
        self._spread = PROBABILITY
        if not served.manifest.classes:
            self._spread = _spread_of(served, layout)

    def records(self, lines: Sequence[Line]) -> list[ShadowRecord]:
        """What it would have answered, line by line."""
        found: list[ShadowRecord] = []
        for start in range(0, len(lines), BATCH_ROWS):
            found += self._batch(lines[start : start + BATCH_ROWS])
        return found

    def _batch(self, lines: Sequence[Line]) -> list[ShadowRecord]:
        read = [self._rows(line) for line in lines]
        good = [rows for rows in read if isinstance(rows, Rows)]
        scored = iter(self._scores(good))
        return [
            self._record(line, next(scored) if isinstance(rows, Rows) else rows)
            for line, rows in zip(lines, read, strict=True)
        ]

    def _rows(self, line: Line) -> Rows | str:
        """The row of a line as this version takes it, or why it does not."""
        try:
            return self.served.decoder.one(bytes(line.features))
        except Fault as fault:
            return str(fault)

    def _scores(self, rows: Sequence[Rows]) -> list[list[float] | str]:
        """The scores of each row, or why there are none: a row that fails, fails alone."""
        if not rows:
            return []
        numbers = np.concatenate([np.asarray(r.numbers, dtype=np.float32) for r in rows])
        together = self._run(numbers)
        if not isinstance(together, str):
            return list(together)
        alone = [self._run(numbers[i : i + 1]) for i in range(len(numbers))]
        return [each if isinstance(each, str) else each[0] for each in alone]

    def _run(self, numbers: NDArray[np.float32]) -> list[list[float]] | str:
        try:
            scores = self.served.session.run(numbers)
        except Exception as err:  # noqa: BLE001 - a model may fail in any way, which is what is told
            return f"the model failed: {err}"[:300]
        listed: list[list[float]] = scores.tolist()
        return listed if np.isfinite(scores).all() else NOT_FINITE

    def _record(self, line: Line, scores: list[float] | str) -> ShadowRecord:
        pointer = self.served.pointer
        same = ShadowRecord(
            prediction_id=line.prediction_id,
            time=line.time,
            model=pointer.name,
            version=line.version,
            variant=line.variant,
            prediction=line.prediction,
            score=line.score,
            role=pointer.alias,
            other_version=pointer.version,
        )
        if isinstance(scores, str):
            return msgspec.structs.replace(same, error=scores)
        words, watched = self._clerk.decided([scores], [[encode(score)] for score in scores])
        prediction, score = msgspec.json.decode(words[0]), float(watched[0])
        difference = score - line.score
        is_class = bool(self.served.manifest.classes)
        return msgspec.structs.replace(
            same,
            other_prediction=prediction,
            other_score=score,
            difference=difference,
            agrees=(not is_class or prediction == line.prediction)
            and abs(difference) <= LARGEST_CHANGE * self._spread,
        )


def _spread_of(served: ServedModel, layout: Layout) -> float:
    """Two standard deviations of a regression's values, as they were at training."""
    path = find_directory(layout, served.pointer) / REFERENCE_FILE
    reference = Reference.read(path.read_bytes(), str(path))
    score = reference.predictions.get("score")
    return 2 * score.deviation if isinstance(score, NumberReference) else PROBABILITY
