"""How long two models take to answer, measured in turns, so that a busy machine hits both."""

import statistics
import time
from collections.abc import Mapping

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from contracts.names import MODEL_INPUT, MODEL_OUTPUT

CALLS: Mapping[int, int] = {1: 300, 100: 60}
"""Timed calls by rows a call."""
WARM_UP = 10


def latencies_ms(
    models: Mapping[str, bytes], matrices: Mapping[str, NDArray[np.float32]], rows: int
) -> dict[str, float]:
    """The median time of a call with `rows` rows in milliseconds, by the models' names.

    One thread, as it is served; `matrices` have each model's columns.
    """
    sessions = {name: _session(model) for name, model in models.items()}
    batches = {
        name: {MODEL_INPUT: np.resize(matrix, (rows, matrix.shape[1]))}
        for name, matrix in matrices.items()
    }
    taken: dict[str, list[float]] = {name: [] for name in models}
    for call in range(WARM_UP + CALLS.get(rows, min(CALLS.values()))):
        for name, session in sessions.items():
            begin = time.perf_counter()
            session.run([MODEL_OUTPUT], batches[name])
            if call >= WARM_UP:
                taken[name].append(time.perf_counter() - begin)
    return {name: statistics.median(seconds) * 1000 for name, seconds in taken.items()}


def _session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
