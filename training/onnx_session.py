"""The door to onnxruntime in training: run a graph on a matrix."""

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from contracts.names import MODEL_INPUT, MODEL_OUTPUT


def onnx_scores(model: bytes, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """The graph's scores, shape `(n_rows, n_outputs)`, with one thread, as it is served."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run([MODEL_OUTPUT], {MODEL_INPUT: matrix})[0])
