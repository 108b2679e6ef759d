"""The scoring processes of one model in one worker: kept alive, replaced, asked in turn."""

import logging
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.errors import CorruptModel, PlatformError
from contracts.scoring import FrameKind, LoadModel, pack_matrix
from services.faults import ModelUnavailable
from services.scoring_process.process import (
    EXPLANATIONS,
    EndReason,
    ForkedScorer,
    ModelProcess,
    ProcessEnded,
    ScoringLimits,
)

RECENT_S = 60.0
"""A failed start counts this long for the pause before the next one."""
MAX_LOAD_PAUSE_S = 60.0

logger = logging.getLogger("bentoml.slipway")


class ScoringPool:
    """Scores batches in processes that can be ended, several at a time from several threads.

    `dtype` is as in `ModelProcess`. `n_alive` processes can score; `ends` counts those that were
    given up, by reason, and `on_change` is called when either changes, in the thread that
    changed it.

    Raises:
        CorruptModel: the model cannot be loaded.

    """

    def __init__(self, name: str, load: LoadModel, limits: ScoringLimits) -> None:
        self._name = name
        self._load = load
        self.limits = limits
        self.ends: Counter[EndReason] = Counter()
        self.on_change: Callable[[], None] = lambda: None
        self._idle: queue.SimpleQueue[ForkedScorer] = queue.SimpleQueue()
        self._alive: set[ForkedScorer] = set()
        self._outgrown: set[ForkedScorer] = set()
        self._failed_at: deque[float] = deque(maxlen=16)
        self._model: ModelProcess | None = None
        self.dtype: np.dtype[Any] | None = None
        self._orders: queue.SimpleQueue[Future[None] | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._resumes_at = 0.0
        self._is_starting = True
        # A process ends with the thread that started it, so one thread starts them all.
        threading.Thread(target=self._supervise, name=f"scoring-{name}", daemon=True).start()
        first: list[Future[None]] = [Future() for _ in range(limits.n_processes)]
        for order in first:
            self._orders.put(order)
        try:
            for order in first:
                order.result()
        except BaseException:
            self.close()
            raise
        self._is_starting = False

    @property
    def n_alive(self) -> int:
        """Processes that can score."""
        return len(self._alive)

    def run(self, batch: Any) -> NDArray[np.float64]:
        """The scores `(n_rows, n_outputs)` of a matrix, or of rows as JSON texts.

        Raises:
            ModelUnavailable: no process answered in time.
            ModelFailed: with what the model raised.

        """
        process = self._take()
        try:
            if self.dtype is None:
                scores = process.score(FrameKind.ROWS, [b"[", b",".join(batch), b"]"])
            else:
                scores = process.score(FrameKind.MATRIX, pack_matrix(batch))
        except ProcessEnded as err:
            self._replace(process, err.reason)
            raise ModelUnavailable(
                f"the model's process was replaced: {err}",
                may_retry=err.reason != "late",
            ) from err
        except BaseException:
            self._idle.put(process)
            raise
        if process.has_grown and process not in self._outgrown:
            # It answers until another process is there.
            self._outgrown.add(process)
            self._count_end(process, "memory")
        self._idle.put(process)
        return scores

    def close(self) -> None:
        """End all processes; calls that wait for scores raise `ModelUnavailable`."""
        self._closed.set()
        for process in list(self._alive):
            self._alive.discard(process)
            process.end()
        self._orders.put(None)

    def _take(self) -> ForkedScorer:
        """An idle process.

        Raises:
            ModelUnavailable: there is none in time.

        """
        wait_s = self.limits.deadline_s
        if not self._alive and self._resumes_at > time.monotonic() + wait_s:
            raise ModelUnavailable("the model's process keeps ending; it starts again later")
        try:
            process = self._idle.get(timeout=wait_s)
            while process in self._outgrown and self.n_alive > self.limits.n_processes:
                self._end(process)
                process = self._idle.get(timeout=wait_s)
        except queue.Empty as err:
            raise ModelUnavailable("the model's process is being started") from err
        return process

    def _replace(self, process: ForkedScorer, reason: EndReason) -> None:
        """End a process and order another."""
        was_outgrown = process in self._outgrown
        self._end(process)
        if not was_outgrown and not self._closed.is_set():
            self._count_end(process, reason)

    def _end(self, process: ForkedScorer) -> None:
        process.end()
        self._alive.discard(process)
        self._outgrown.discard(process)
        self.on_change()

    def _count_end(self, process: ForkedScorer, reason: EndReason) -> None:
        logger.error(
            "%s: scoring process %d: %s; replacing it",
            self._name,
            process.pid,
            EXPLANATIONS[reason],
        )
        self.ends[reason] += 1
        self.on_change()
        self._orders.put(Future())

    def _supervise(self) -> None:
        """Answer each order with a new process, until the pool is closed."""
        while (order := self._orders.get()) is not None and not self._closed.is_set():
            try:
                process = self._new_process()
            except (PlatformError, ProcessEnded, OSError) as err:
                self._handle_failed_start(order, err)
                continue
            self._alive.add(process)
            self._idle.put(process)
            order.set_result(None)
            self.on_change()
        if self._model is not None:
            self._model.end()

    def _new_process(self) -> ForkedScorer:
        """A process that scores; loads the model again if the one that had it has ended."""
        if self._model is None:
            pause_s = self._pause_s()
            self._resumes_at = time.monotonic() + pause_s
            self._closed.wait(pause_s)
            self._model = ModelProcess(self._load)
            self.dtype = self._model.dtype
        try:
            return self._model.fork(self.limits)
        except ProcessEnded:
            self._model.end()
            self._model = None
            raise

    def _handle_failed_start(self, order: "Future[None]", err: Exception) -> None:
        """Report it to the caller that waits for the first start; try a replacement again."""
        if self._is_starting:
            order.set_exception(_load_error(self._name, err))
            return
        self._failed_at.append(time.monotonic())
        logger.error("%s: the process with the model: %s; starting it again", self._name, err)
        self._orders.put(order)

    def _pause_s(self) -> float:
        """Seconds before the model is loaded again: none at first, then 1, 2, 4, to a minute."""
        recent = sum(failed > time.monotonic() - RECENT_S for failed in list(self._failed_at))
        return 0.0 if recent < 2 else min(2.0 ** (recent - 2), MAX_LOAD_PAUSE_S)  # noqa: PLR2004 - as said


def _load_error(name: str, err: Exception) -> PlatformError:
    if isinstance(err, PlatformError):
        return err
    return CorruptModel(
        f"{name}: expected a scoring process that loads the model, but {err}",
        remedy="its output in the service's log says why; else train the version again",
    )
