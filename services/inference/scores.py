"""Scores of rows: all finite, or a failure, which does not spread to other rows."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from services.faults import Fault
from services.inference.pending import PendingRequest
from services.inference.rows import InputType, ModelInput, model_input

MAX_ERROR_CHARS = 300


class RunModel(Protocol):
    """Scores a batch: its scores have the shape `(n_rows, n_outputs)`."""

    def __call__(self, batch: Any, /) -> NDArray[Any]:
        """The scores of a `ModelInput`; may raise anything."""


class ModelRuntime(Protocol):
    """What scores a version: an ONNX session in this process, or scoring processes."""

    @property
    def dtype(self) -> InputType:
        """What `run` takes."""

    def run(self, batch: Any, /) -> NDArray[Any]:
        """The scores `(n_rows, n_outputs)` of a `ModelInput`; may raise anything."""

    def close(self) -> None:
        """Release what the model holds; a call that is running may fail."""


def never_alone(run: RunModel) -> RunModel:
    """What scores like `run`, and never a row alone.

    A linear model gives a row other last bits alone than among others (another kernel of the
    matrix product). A row that may be scored again, among others, must get the same bytes.
    """

    def run_two_or_more(batch: Any) -> NDArray[Any]:
        if len(batch) != 1:
            return run(batch)
        pair = [*batch, *batch] if isinstance(batch, list) else np.concatenate([batch, batch])
        return run(pair)[:1]

    return run_two_or_more


def finite_scores(run: RunModel, batch: ModelInput) -> list[list[float]]:
    """The scores of a batch, shape `(n_rows, n_outputs)`.

    Raises:
        Exception: whatever the model raises; ValueError for a score that is not finite.

    """
    scores = run(batch)
    if not np.isfinite(scores).all():
        raise ValueError("expected finite scores, got NaN or infinity")
    listed: list[list[float]] = scores.tolist()
    return listed


def scores_by_row(run: RunModel, batch: ModelInput) -> list[list[float] | Exception]:
    """The scores of each row, or why it has none; the rows are scored one by one."""
    found: list[list[float] | Exception] = []
    for index in range(len(batch)):
        try:
            found += finite_scores(run, batch[index : index + 1])
        except Exception as err:  # noqa: BLE001 - a model may fail in any way; the caller gets it
            found.append(err)
    return found


def score_alone(run: RunModel, pending: PendingRequest, dtype: InputType) -> None:
    """Score the rows of a request one by one; those on which the model fails are refused alone."""
    by_row = scores_by_row(run, model_input([pending.rows], dtype))
    pending.scores = [each for each in by_row if not isinstance(each, Exception)]
    pending.rows = pending.rows.refuse(
        {i: prediction_failed(e) for i, e in enumerate(by_row) if isinstance(e, Exception)}
    )


def scores_or_failures(run: RunModel, batch: ModelInput) -> list[list[float] | Exception]:
    """The scores of each row, or why it has none; rows are scored together if none fails."""
    try:
        return list(finite_scores(run, batch))
    except Exception:  # noqa: BLE001 - each row then reports its own failure
        return scores_by_row(run, batch)


def failure_text(failure: Exception) -> str:
    """The message for a row on which the model failed."""
    return f"the model failed: {failure}"[:MAX_ERROR_CHARS]


def prediction_failed(failure: Exception) -> Fault:
    """The fault for a row on which the model failed, or for which no process could score it."""
    if isinstance(failure, Fault):
        return failure
    return Fault("prediction_failed", failure_text(failure))
