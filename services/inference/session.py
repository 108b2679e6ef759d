"""The door to onnxruntime: a float32 matrix in, scores out."""

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from contracts.errors import CorruptModel
from contracts.names import MODEL_INPUT, MODEL_OUTPUT
from contracts.onnx_session import PROVIDERS, SESSION_OPTIONS


def first_line(err: Exception) -> str:
    """An error in a line; its class, if it says nothing."""
    return next(iter(str(err).splitlines()), type(err).__name__)


class Session:
    """One loaded model. One thread, not spinning: batches come one after the other."""

    def __init__(self, model: bytes, place: str) -> None:
        options = onnxruntime.SessionOptions()
        SESSION_OPTIONS.apply_to(options)
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=[*PROVIDERS])
        except Exception as err:  # onnxruntime raises classes of its own for each way to fail
            raise CorruptModel(
                f"{place}: expected an ONNX model that loads, got {first_line(err)}",
                remedy="train the version again",
            ) from err
        ends = [e.name for e in (*self._session.get_inputs(), *self._session.get_outputs())]
        if ends != [MODEL_INPUT, MODEL_OUTPUT]:
            raise CorruptModel(
                f"{place}: expected the input {MODEL_INPUT!r} and the output {MODEL_OUTPUT!r}, "
                f"got {ends}",
                remedy="train the version again",
            )

    def run(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores of shape `(n_rows, n_outputs)` for a matrix of `(n_rows, n_features)`."""
        scores: NDArray[np.float32] = self._session.run([MODEL_OUTPUT], {MODEL_INPUT: matrix})[0]
        return scores
