"""The wire protocol between a job and the endpoint that scores it: a chunk in, lines out.

It reads what the batch route reads, and writes a line per row: the prediction or the error that
the batch route would answer for this row.
"""

from collections.abc import Mapping
from typing import ClassVar, cast

from services.faults import Fault
from services.inference.batch_result import BatchResult
from services.inference.jsonl_log import NEWLINE
from services.inference.loader import ServedModel
from services.inference.pending import Render
from services.inference.rows import Rows
from services.jobs.inputs import ChunkBody
from services.protocols.batch import PredictBatch, batch_rows
from services.protocols.fault_body import row_fault
from services.protocols.prediction import PredictionTemplate


class ChunkLines(bytes):
    """A line per row; `rejected` of them are errors."""

    rejected: int

    @classmethod
    def of(cls, lines: bytes, rejected: int) -> "ChunkLines":
        """`lines`, of which `rejected` are errors."""
        made = cls(lines)
        made.rejected = rejected
        return made


class JobChunk(PredictBatch):
    """A chunk of a job. It is the operation of workers only: no path of HTTP leads here."""

    paths: ClassVar[tuple[str, ...]] = ()

    def __init__(self, model: ServedModel) -> None:
        super().__init__(model)
        self._line_template = PredictionTemplate(model, NEWLINE)

    def read(self, body: bytes, limit: int) -> tuple[Rows, Render]:
        """The valid rows of a `ChunkBody`, and what writes its lines.

        Raises:
            Fault: `invalid_json`, `invalid_request`, or `body_too_large` for more than `limit`
                rows.

        """
        first_row = cast("ChunkBody", body).first_row
        decoder = self.model.decoder
        return batch_rows(body, decoder, limit, first_row=first_row, is_part=True), self._lines

    def _lines(self, result: BatchResult, rows: slice, refused: Mapping[int, Fault], /) -> bytes:
        if not refused:
            return ChunkLines.of(self._line_template.many(result, rows) + NEWLINE, 0)
        predictions = iter(
            [self._line_template.one(result, i) for i in range(rows.start, rows.stop)]
        )
        lines = [
            row_fault(refused[index]) if index in refused else next(predictions)
            for index in range(rows.stop - rows.start + len(refused))
        ]
        return ChunkLines.of(NEWLINE.join(lines) + NEWLINE, len(refused))
