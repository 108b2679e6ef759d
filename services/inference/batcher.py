"""Natural adaptive batching: whatever arrived while the model was busy is the next batch.

No timer and no learned delay: a lone request is scored in the turn of the event loop in which
it came, and under load batches grow by themselves to what arrives in one model call. Batches
that are scored in a moment run in the event loop; longer ones in a thread, so that health
checks and other models stay quick.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from services.faults import Fault
from services.inference.pending import PendingRequest

logger = logging.getLogger("bentoml.slipway")

DRAINED = "drained"
"""A batch that holds all that waited."""
FULL = "full"
"""A batch that reached its limit while more rows waited."""

Score = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class BatchObserver(Protocol):
    """Who concludes scored batch and counts what happened."""

    def complete(self, batch: Sequence[PendingRequest]) -> None:
        """Record the batch and set their answers."""

    def batch_done(self, n_rows: int, n_waiting: int, reason: str) -> None:
        """Count a model call, how many rows wait for the next, and why it was not larger."""

    def cache_scores(self, batch: Sequence[PendingRequest]) -> None:
        """Take note of batch that were scored by the model just now."""


class Batcher:
    """The queue of one model. Everything but `score` happens in the event loop.

    Batches of up to `inline_rows` rows are scored there as well, larger ones by `executor`.
    """

    def __init__(
        self,
        score: Score,
        observer: BatchObserver,
        *,
        batch_rows: int,
        queue_rows: int,
        deadline_s: float,
        inline_rows: int,
        executor: ThreadPoolExecutor,
    ) -> None:
        self._score = score
        self._observer = observer
        self._batch_rows = batch_rows
        self._queue_rows = queue_rows
        self._deadline_s = deadline_s
        self._inline_rows = inline_rows
        self._executor = executor
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[PendingRequest] = deque()
        self._alarm: asyncio.TimerHandle | None = None
        self._busy = False
        self._in_thread = False
        self._reason = DRAINED
        self.waiting_rows = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is scored."""
        return not self._busy and not self._waiting

    def submit(self, pending: PendingRequest) -> None:
        """Queue a request; its `answer` is given the rendered records, or a Fault.

        Raises:
            Fault: `overloaded`, if more rows wait than the queue holds.

        """
        n_rows = len(pending.rows)
        if self._has_no_room(n_rows) and not self._in_thread:
            # A light model is quicker than a refusal: let it make room.
            self._next_batch()
        if self._has_no_room(n_rows):
            raise Fault("overloaded")
        self._waiting.append(pending)
        self.waiting_rows += n_rows
        if not self._busy:
            # The next turn of the loop: whoever arrives in this one joins the batch.
            self._busy = True
            self._loop.call_soon(self._next_batch)

    def _has_no_room(self, n_rows: int) -> bool:
        return self.waiting_rows > 0 and self.waiting_rows + n_rows > self._queue_rows

    def _next_batch(self) -> None:
        if self._in_thread:
            # Room was made while this turn was scheduled; the thread's end takes the next batch.
            return
        batch, n_rows = self._take()
        if not batch:
            self._busy = False
        elif n_rows <= self._inline_rows:
            self._finish(batch, n_rows, self._scored(batch))
        else:
            self._score_in_thread(batch, n_rows)

    def _score_in_thread(self, batch: list[PendingRequest], n_rows: int) -> None:
        def done(future: asyncio.Future[dict[PendingRequest, Exception]]) -> None:
            self._in_thread = False
            if self._alarm is not None:
                self._alarm.cancel()
            self._finish(batch, n_rows, future.result())

        self._in_thread = True
        self._watch(batch)
        self._loop.run_in_executor(self._executor, self._scored, batch).add_done_callback(done)

    def _watch(self, batch: list[PendingRequest]) -> None:
        """While a thread scores: tell everybody in time, however long the model takes."""
        oldest = self._refuse_late()
        for pending in batch:
            if pending.arrived < oldest:
                _refuse(pending, Fault("deadline_exceeded"))
        self._alarm = self._loop.call_later(self._deadline_s / 4, self._watch, batch)

    def _finish(
        self, batch: list[PendingRequest], n_rows: int, failures: dict[PendingRequest, Exception]
    ) -> None:
        """Answer a scored batch, and take the next, whatever happens."""
        if self._waiting:
            self._loop.call_soon(self._next_batch)
        else:
            self._busy = False
        for pending, failure in failures.items():
            _refuse(pending, Fault("prediction_failed", f"the model failed: {failure}"[:300]))
        alive = [t for t in batch if not t.answer.done()]
        try:
            self._observer.batch_done(n_rows, self.waiting_rows, self._reason)
            if alive:
                self._observer.cache_scores(alive)
                self._observer.complete(alive)
        except Exception:
            logger.exception("a batch of %d rows could not be completed", n_rows)
            for pending in alive:
                _refuse(pending, Fault("internal_error"))

    def _take(self) -> tuple[list[PendingRequest], int]:
        """The batch of the next batch and their rows; who waited too long is refused."""
        self._refuse_late()
        batch: list[PendingRequest] = []
        n_rows = 0
        while self._waiting:
            pending = self._waiting[0]
            if batch and n_rows + len(pending.rows) > self._batch_rows:
                break
            self._waiting.popleft()
            self.waiting_rows -= len(pending.rows)
            if not pending.answer.done():
                batch.append(pending)
                n_rows += len(pending.rows)
        self._reason = FULL if self._waiting else DRAINED
        return batch, n_rows

    def _refuse_late(self) -> float:
        """Refuse who came before the moment that is given: they waited longer than allowed."""
        oldest = time.monotonic() - self._deadline_s
        while self._waiting and self._waiting[0].arrived < oldest:
            pending = self._waiting.popleft()
            self.waiting_rows -= len(pending.rows)
            _refuse(pending, Fault("deadline_exceeded"))
        return oldest

    def _scored(self, batch: list[PendingRequest]) -> dict[PendingRequest, Exception]:
        """Put scores on the batch; those that fail alone as well are given back."""
        try:
            self._put_scores(batch)
        except Exception:  # noqa: BLE001 - a model may fail in any way, and only its rows may fail
            return self._score_one_by_one(batch)
        return {}

    def _score_one_by_one(self, batch: list[PendingRequest]) -> dict[PendingRequest, Exception]:
        failures: dict[PendingRequest, Exception] = {}
        for pending in batch:
            try:
                self._put_scores([pending])
            except Exception as err:  # noqa: BLE001 - the same
                failures[pending] = err
        return failures

    def _put_scores(self, batch: list[PendingRequest]) -> None:
        scores = self._score(_matrix(batch))
        if not np.isfinite(scores).all():
            raise ValueError("expected finite scores, got NaN or infinity")
        listed = scores.tolist()
        start = 0
        for pending in batch:
            pending.scores = listed[start : start + len(pending.rows)]
            start += len(pending.rows)


def _matrix(batch: list[PendingRequest]) -> NDArray[np.float32]:
    """The rows of all batch, shape `(n_rows, n_features)`."""
    if all(len(pending.rows) == 1 for pending in batch):
        return np.array([pending.rows.numbers[0] for pending in batch], dtype=np.float32)
    parts = [np.asarray(pending.rows.numbers, dtype=np.float32) for pending in batch]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _refuse(pending: PendingRequest, fault: Fault) -> None:
    if not pending.answer.done():
        pending.answer.set_exception(fault)
