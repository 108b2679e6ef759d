"""Scoring processes as their worker sees them: the one with the model, and its copies."""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.errors import PlatformError
from contracts.process_error import ProcessError
from contracts.scoring import (
    Forked,
    FrameError,
    FrameKind,
    Loaded,
    LoadModel,
    memory_of,
    receive_frame,
    send_frame,
    start_process,
    unpack_matrix,
)

LOAD_TIMEOUT_S = 120.0
FORK_TIMEOUT_S = 10.0
MEMORY_POLL_S = 0.25
"""Between two looks at the memory of a process that computes."""

EndReason = Literal["died", "late", "memory"]
"""Why a process was given up."""
EXPLANATIONS: Mapping[EndReason, str] = {
    "died": "it ended",
    "late": "it did not answer within the deadline",
    "memory": "it grew beyond its memory limit",
}


class ProcessEnded(Exception):
    """A scoring process ended, or must be ended, instead of answering."""

    def __init__(self, reason: EndReason) -> None:
        self.reason: EndReason = reason
        super().__init__(EXPLANATIONS[reason])


class ModelFailed(Exception):
    """The model raised an error; the process can be used again."""

    def __init__(self, error: PlatformError) -> None:
        self.error = error
        super().__init__(error.what)


@dataclass(frozen=True)
class ScoringLimits:
    """How many processes score a model, and what each of them may take.

    `deadline_s`: seconds for one call. `growth_bytes`: memory that a process may add to what it
    had when its model was loaded, before another takes its place; at twice that it is ended
    within a call. 0 for no limit.
    """

    n_processes: int = 1
    deadline_s: float = 5.0
    growth_bytes: int = 1024**3


class ModelProcess:
    """A process that loaded a model, and forks the copies of itself that score.

    `dtype` is the type of the matrix that the model takes, None for a model that takes rows.

    Raises:
        CorruptModel: the model cannot be loaded.
        ProcessEnded: the process ended while it loaded the model, or did not do it in time.

    """

    def __init__(self, load: LoadModel) -> None:
        self._channel, theirs = socket.socketpair()
        self._lock = threading.Lock()
        with theirs:
            self._process = start_process(theirs)
        try:
            answer = self._ask(FrameKind.LOAD, msgspec.json.encode(load), LOAD_TIMEOUT_S)
            code = msgspec.json.decode(answer, type=Loaded).dtype
        except ModelFailed as err:
            self.end()
            raise err.error from err
        except BaseException:
            self.end()
            raise
        self.dtype = None if code is None else np.dtype(code)

    def fork(self, limits: ScoringLimits) -> "ForkedScorer":
        """A copy that scores.

        Raises:
            ProcessEnded: this process has ended.

        """
        ours, theirs = socket.socketpair()
        try:
            with theirs, self._lock:
                self._channel.settimeout(FORK_TIMEOUT_S)
                send_frame(self._channel, FrameKind.FORK)
                socket.send_fds(self._channel, [b"\0"], [theirs.fileno()])
                answer = _answer(self._channel)
        except (OSError, FrameError, ModelFailed) as err:
            ours.close()
            raise ProcessEnded("died") from err
        return ForkedScorer(self, ours, msgspec.json.decode(answer, type=Forked), limits)

    def end_copy(self, pid: int) -> None:
        """Kill a copy; if this process is gone, its copies are too."""
        with contextlib.suppress(ProcessEnded):
            self._ask(FrameKind.END, msgspec.json.encode(pid), FORK_TIMEOUT_S)

    def end(self) -> None:
        """Kill the process; the system kills its copies with it."""
        self._process.kill()
        self._process.wait()
        self._channel.close()

    def _ask(self, kind: FrameKind, payload: bytes, timeout_s: float) -> bytes:
        try:
            with self._lock:
                self._channel.settimeout(timeout_s)
                send_frame(self._channel, kind, payload)
                return _answer(self._channel)
        except TimeoutError as err:
            raise ProcessEnded("late") from err
        except (OSError, FrameError) as err:
            raise ProcessEnded("died") from err


class ForkedScorer:
    """A copy of a process with a model. One thread asks it at a time; any thread may end it."""

    def __init__(
        self, model: ModelProcess, channel: socket.socket, forked: Forked, limits: ScoringLimits
    ) -> None:
        self.pid = forked.pid
        self._model = model
        self._channel = channel
        self._limits = limits
        self._base_bytes = self._bytes = forked.memory_bytes

    @property
    def has_grown(self) -> bool:
        """Whether it holds so much more memory that another must take its place."""
        return self._has_grown_by(self._limits.growth_bytes)

    def score(self, kind: FrameKind, parts: Sequence[Any]) -> NDArray[np.float64]:
        """The scores `(n_rows, n_outputs)` of the rows in the parts of a frame.

        Raises:
            ModelFailed: with what the model raised.
            ProcessEnded: there will be no answer. End the process.

        """
        until = time.monotonic() + self._limits.deadline_s
        try:
            self._channel.settimeout(self._limits.deadline_s)
            send_frame(self._channel, kind, *parts)
            self._await_answer(until)
            self._channel.settimeout(max(until - time.monotonic(), MEMORY_POLL_S))
            scores, self._bytes = unpack_matrix(_answer(self._channel))
        except TimeoutError as err:
            raise ProcessEnded("late") from err
        except (OSError, FrameError, ValueError) as err:
            raise ProcessEnded("died") from err
        return scores

    def end(self) -> None:
        """Kill the process; a call that waits for its answer raises `ProcessEnded`."""
        self._model.end_copy(self.pid)
        with contextlib.suppress(OSError):
            # A thread that reads from it wakes up.
            self._channel.shutdown(socket.SHUT_RDWR)
        self._channel.close()

    def _has_grown_by(self, limit_bytes: int) -> bool:
        return self._base_bytes > 0 and 0 < limit_bytes < self._bytes - self._base_bytes

    def _await_answer(self, until: float) -> None:
        """Return when there is something to read, or the other end has closed the socket.

        Raises:
            ProcessEnded: nothing came in time, or the process grew beyond its limit.

        """
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        while not poll.poll(max(0.0, min(MEMORY_POLL_S, until - time.monotonic())) * 1e3):
            if time.monotonic() >= until:
                raise ProcessEnded("late")
            self._bytes = memory_of(self.pid)
            if self._has_grown_by(2 * self._limits.growth_bytes):
                raise ProcessEnded("memory")


def _answer(channel: socket.socket) -> bytes:
    """The payload of the next frame.

    Raises:
        ModelFailed: with what the model raised.
        FrameError: the other end closed the socket, or sent no frame.
        OSError: the socket's timeout is over.

    """
    frame = receive_frame(channel)
    if frame is None:
        raise FrameError("the socket was closed")
    kind, payload = frame
    if kind is FrameKind.FAILED:
        raise ModelFailed(ProcessError.read(payload).to_error())
    return payload
