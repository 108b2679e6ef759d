"""How predictions are written to a stream: as HTTP writes them, without the time of scoring.

A message that is scored again gets the same bytes again, so nothing in them may depend on when
that happens. The traffic record of the prediction, found by its id, has the time.
"""

from services.inference.loader import ServedModel
from services.protocols.batch import PredictBatch, holds_table
from services.protocols.prediction import PredictionTemplate
from services.protocols.row import PredictRow
from services.serving.endpoint import Operation


class StreamRow(PredictRow):
    """A message of one row, an object of features; its prediction."""

    def __init__(self, model: ServedModel) -> None:
        super().__init__(model)
        self._one = PredictionTemplate(model, is_timed=False).one


class StreamTable(PredictBatch):
    """A message of several rows or columns; a prediction or an error per row."""

    def __init__(self, model: ServedModel) -> None:
        super().__init__(model)
        self._template = PredictionTemplate(model, is_timed=False)


def operation_for(body: bytes) -> Operation:
    """What reads a message: one row, or several.

    >>> operation_for(b'{"rows": [{"age": 40}]}').__name__, operation_for(b'{"age": 40}').__name__
    ('StreamTable', 'StreamRow')
    """
    return StreamTable if holds_table(body) else StreamRow
