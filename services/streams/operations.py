"""How predictions are written to a stream: as HTTP writes them, without the time of scoring.

A message that is scored again gets the same bytes again, so nothing in them may depend on when
that happens. The traffic record of the prediction, found by its id, has the time.
"""

import re

from services.inference.batch_result import BatchResult
from services.inference.json_templates import EMPTY_LIST, fill, object_template, split_template
from services.inference.loader import ServedModel
from services.protocols.batch import PredictBatch
from services.protocols.prediction import PredictionTemplate, prediction_fields
from services.protocols.row import PredictRow
from services.serving.endpoint import Operation

_TABLE = re.compile(rb'\s*\{\s*"(?:rows"\s*:\s*\[|columns"\s*:\s*\{)')
"""How a body of several rows begins. No row does, since no feature is a list or an object."""


class StreamTemplate(PredictionTemplate):
    """Writes predictions without their time."""

    def __init__(self, model: ServedModel) -> None:
        super().__init__(model)
        fields = prediction_fields(model)
        del fields["time"]
        self._template = object_template(fields)
        self._pieces = split_template(self._template + b",")

    def one(self, result: BatchResult, index: int) -> bytes:
        """The prediction of one row of a result."""
        scores = [column[index] for column in result.scores]
        flags = result.flags[index] if result.flags else EMPTY_LIST
        row = (result.id_head, result.ids[index], result.predictions[index], *scores, flags)
        return self._template % row

    def many(self, result: BatchResult, rows: slice) -> bytes:
        """The predictions of the rows of a result, separated by commas."""
        flags = result.flags[rows] if result.flags else EMPTY_LIST
        scores = (column[rows] for column in result.scores)
        ids, predictions = result.ids[rows], result.predictions[rows]
        return fill(self._pieces, result.id_head, ids, predictions, *scores, flags)[:-1]


class StreamRow(PredictRow):
    """A message of one row, an object of features; its prediction."""

    def __init__(self, model: ServedModel) -> None:
        super().__init__(model)
        self._one = StreamTemplate(model).one


class StreamTable(PredictBatch):
    """A message of several rows or columns; a prediction or an error per row."""

    def __init__(self, model: ServedModel) -> None:
        super().__init__(model)
        self._template = StreamTemplate(model)


def operation_for(body: bytes) -> Operation:
    """What reads a message: one row, or several.

    >>> operation_for(b'{"rows": [{"age": 40}]}').__name__, operation_for(b'{"age": 40}').__name__
    ('StreamTable', 'StreamRow')
    """
    return StreamTable if _TABLE.match(body) else StreamRow
