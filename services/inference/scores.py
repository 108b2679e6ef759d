"""Scores of a matrix: all finite, or a failure, which does not spread to other rows."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from services.faults import Fault
from services.inference.rows import Matrix

MAX_ERROR_CHARS = 300


class RunModel(Protocol):
    """Scores a batch: a matrix `(n_rows, n_features)` to float32 `(n_rows, n_outputs)`."""

    def __call__(self, matrix: Matrix, /) -> NDArray[np.float32]:
        """The scores; may raise anything."""


def finite_scores(run: RunModel, matrix: Matrix) -> list[list[float]]:
    """The scores of a matrix, shape `(n_rows, n_outputs)`.

    Raises:
        Exception: whatever the model raises; ValueError for a score that is not finite.

    """
    scores = run(matrix)
    if not np.isfinite(scores).all():
        raise ValueError("expected finite scores, got NaN or infinity")
    listed: list[list[float]] = scores.tolist()
    return listed


def scores_by_row(run: RunModel, matrix: Matrix) -> list[list[float] | Exception]:
    """The scores of each row, or why it has none; the rows are scored one by one."""
    found: list[list[float] | Exception] = []
    for index in range(len(matrix)):
        try:
            found += finite_scores(run, matrix[index : index + 1])
        except Exception as err:  # noqa: BLE001 - a model may fail in any way; the caller gets it
            found.append(err)
    return found


def scores_or_failures(run: RunModel, matrix: Matrix) -> list[list[float] | Exception]:
    """The scores of each row, or why it has none; rows are scored together if none fails."""
    try:
        return list(finite_scores(run, matrix))
    except Exception:  # noqa: BLE001 - each row then reports its own failure
        return scores_by_row(run, matrix)


def failure_text(failure: Exception) -> str:
    """The message for a row on which the model failed."""
    return f"the model failed: {failure}"[:MAX_ERROR_CHARS]


def prediction_failed(failure: Exception) -> Fault:
    """The fault for a row on which the model failed."""
    return Fault("prediction_failed", failure_text(failure))
