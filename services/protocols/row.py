"""Our own protocol for one row: an object of features, answered by one prediction."""

from collections.abc import Mapping
from typing import Any

from services.faults import Fault
from services.inference.batch_result import BatchResult
from services.inference.loader import ServedModel
from services.inference.pending import Render
from services.inference.rows import Rows
from services.protocols.prediction import PredictionTemplate
from services.protocols.wire_protocol import ModelTypes, WireProtocol


class PredictRow(WireProtocol):
    """One row in, one prediction out."""

    paths = ("/models/{model}/predict", "/predict")
    tag = "Predictions"
    summary = "One prediction."
    is_one_row = True

    def __init__(self, model: ServedModel) -> None:
        super().__init__(model)
        self._one = PredictionTemplate(model).one
        self._decode = model.decoder.one
        # Bound once: this runs for every request.
        self._render_bound: Render = self._render

    def read(self, body: bytes, limit: int) -> tuple[Rows, Render]:
        """The row of a body, and what encodes its prediction.

        Raises:
            Fault: `invalid_json` or `invalid_request`.

        """
        del limit
        return self._decode(body), self._render_bound

    def _render(self, result: BatchResult, rows: slice, refused: Mapping[int, Fault], /) -> bytes:
        del refused
        return self._one(result, rows.start)

    @classmethod
    def request_type(cls, types: ModelTypes) -> Any:
        """A row of features."""
        return types.row

    @classmethod
    def response_type(cls, types: ModelTypes) -> Any:
        """A prediction."""
        return types.prediction
