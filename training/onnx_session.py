"""The only import of ONNX Runtime in training: a model, opened as the service opens it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.names import MODEL_INPUT, MODEL_OUTPUT
from contracts.onnx_session import (
    FLOAT64,
    INPUT_DTYPES,
    PROVIDERS,
    SESSION_OPTIONS,
    turn_telemetry_off,
)


class OnnxSession:
    """An exported model in memory, with the options of the service.

    `dtype` is the type of the matrix that `run` takes.
    """

    def __init__(self, model: bytes) -> None:
        turn_telemetry_off()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        SESSION_OPTIONS.apply_to(options)
        self._session = onnxruntime.InferenceSession(model, options, providers=[*PROVIDERS])
        self.dtype = INPUT_DTYPES.get(self._session.get_inputs()[0].type, FLOAT64)

    def run(self, matrix: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Scores `(n_rows, n_outputs)` of a matrix `(n_rows, n_features)` of this `dtype`."""
        return np.asarray(self._session.run([MODEL_OUTPUT], {MODEL_INPUT: matrix})[0])

    def run_named(
        self, outputs: Sequence[str], inputs: Mapping[str, NDArray[Any]]
    ) -> list[NDArray[Any]]:
        """The named outputs of a graph that has inputs of its own, such as an edge export's."""
        return [np.asarray(found) for found in self._session.run(list(outputs), dict(inputs))]


def onnx_scores(model: bytes, matrix: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Scores `(n_rows, n_outputs)` of a model that is needed once."""
    return OnnxSession(model).run(matrix)
