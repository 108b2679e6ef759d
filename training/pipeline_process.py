"""A model as a scoring process serves it: the files, loaded and asked as the service does."""

import socket
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import msgspec
import numpy as np
import pandas as pd

from contracts.decision_rule import Scores
from contracts.errors import CertificateFailed
from contracts.process_error import ProcessError
from contracts.scoring import (
    FrameError,
    FrameKind,
    LoadModel,
    receive_frame,
    send_frame,
    start_process,
    unpack_matrix,
)
from training.rows import plain_rows

TIMEOUT_S = 300.0
"""For one answer: a model may take long to load, and here no client waits."""
MAX_CALL_ROWS = 4096


class PipelineProcess:
    """A scoring process with a model, until the `with` block ends.

    Raises:
        PlatformError: as the scoring process raises it.
        CertificateFailed: the process ended instead of answering.

    """

    def __init__(self, load: LoadModel) -> None:
        self._load = load
        self._channel, theirs = socket.socketpair()
        self._channel.settimeout(TIMEOUT_S)
        with theirs:
            self._process = start_process(theirs)
        try:
            self._ask(FrameKind.LOAD, msgspec.json.encode(load))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def scores(self, rows: pd.DataFrame) -> Scores:
        """The scores of a table's rows, shape `(n_rows, n_outputs)`."""
        return self.scores_of_rows(plain_rows(rows, self._load.schema))

    def scores_of_rows(self, rows: Sequence[Mapping[str, Any]]) -> Scores:
        """The scores of rows of plain values, shape `(n_rows, n_outputs)`."""
        return np.concatenate(
            [
                self.score_json(msgspec.json.encode(rows[start : start + MAX_CALL_ROWS]))
                for start in range(0, len(rows), MAX_CALL_ROWS)
            ]
        )

    def score_json(self, rows: bytes) -> Scores:
        """The scores of a JSON list of rows, shape `(n_rows, n_outputs)`, in one call."""
        scores, _ = unpack_matrix(self._ask(FrameKind.ROWS, rows))
        return scores

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._channel.close()

    def _ask(self, kind: FrameKind, payload: bytes) -> bytes:
        try:
            send_frame(self._channel, kind, payload)
            answer = receive_frame(self._channel)
        except (OSError, FrameError) as err:
            raise _gone(str(err)) from err
        if answer is None:
            raise _gone("it ended")
        kind, payload = answer
        if kind is FrameKind.FAILED:
            raise ProcessError.read(payload).to_error()
        return payload


def _gone(reason: str) -> CertificateFailed:
    return CertificateFailed(
        f"expected a scoring process that loads the model and scores rows, but {reason}",
        remedy="its output, above, says why; see docs/runtimes.md",
    )
