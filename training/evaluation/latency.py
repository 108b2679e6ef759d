"""How long two models take to answer, in alternate calls, so that a busy machine slows both."""

import statistics
import time
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from training.onnx_session import OnnxSession

CALLS: Mapping[int, int] = {1: 300, 100: 60}
"""Timed calls by rows per call."""
WARM_UP = 10
"""Calls of each model before the first timed one."""


def latencies_ms(
    sessions: Mapping[str, OnnxSession], matrices: Mapping[str, NDArray[np.float32]], rows: int
) -> dict[str, float]:
    """The median time in milliseconds of a call with `rows` rows, for each model by name.

    The sessions have the options of the service (`contracts.onnx_session`). `matrices` have
    the shape `(n_rows, n_features)` of each model; their rows are repeated as needed.
    """
    batches = {
        name: np.resize(matrix, (rows, matrix.shape[1])) for name, matrix in matrices.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in sessions}
    for call in range(WARM_UP + CALLS[rows]):
        for name, session in sessions.items():
            start = time.perf_counter()
            session.run(batches[name])
            if call >= WARM_UP:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) * 1000 for name, times in seconds.items()}
