"""The ONNX Runtime session: a matrix of float32 or float64 in, scores out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.errors import CorruptModel, first_line
from contracts.names import MODEL_INPUT, MODEL_OUTPUT
from contracts.onnx_session import (
    INPUT_DTYPES,
    PROVIDERS,
    SESSION_OPTIONS,
    turn_telemetry_off,
)


class Session:
    """One loaded model, with one thread: a worker scores one batch at a time.

    `dtype` is the type of the matrix that the model takes: float32, or float64 for a model whose
    certificate needs it.
    """

    def __init__(self, model: bytes, location: str) -> None:
        turn_telemetry_off()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        SESSION_OPTIONS.apply_to(options)
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=[*PROVIDERS])
        except Exception as err:  # onnxruntime has exception classes of its own
            raise CorruptModel(
                f"{location}: expected an ONNX model that loads, got {first_line(err)}",
                remedy="train the version again",
            ) from err
        ends = [e.name for e in (*self._session.get_inputs(), *self._session.get_outputs())]
        if ends != [MODEL_INPUT, MODEL_OUTPUT]:
            raise CorruptModel(
                f"{location}: expected the input {MODEL_INPUT!r} and the output {MODEL_OUTPUT!r}, "
                f"got {ends}",
                remedy="train the version again",
            )

        kind = self._session.get_inputs()[0].type
        if kind not in INPUT_DTYPES:
            raise CorruptModel(
                f"{location}: expected an input of {' or '.join(INPUT_DTYPES)}, got {kind}",
                remedy="train the version again",
            )
        self.dtype = INPUT_DTYPES[kind]

    def close(self) -> None:
        """Release nothing: the memory goes with the object."""

    def run(self, matrix: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Scores, float32 `(n_rows, n_outputs)`, of a matrix `(n_rows, n_features)`."""
        scores: NDArray[np.float32] = self._session.run([MODEL_OUTPUT], {MODEL_INPUT: matrix})[0]
        return scores
