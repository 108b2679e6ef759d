"""Adaptive batching without a timer: what arrived while the model was busy is the next batch.

A lone request is scored in the turn of the event loop in which it came; under load, batches grow
to what arrives during one model call. Batches within the inline budget are scored in the event
loop, larger ones in a thread, so that health checks and other models stay fast.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from services.faults import Fault, ModelUnavailable
from services.inference.pending import PendingRequest
from services.inference.rows import InputType, model_input
from services.inference.scores import RunModel, finite_scores, prediction_failed, score_alone

logger = logging.getLogger("bentoml.slipway")

DRAINED = "drained"
"""Why a batch was not larger: it holds all that waited."""
FULL = "full"
"""Why a batch was not larger: it reached its limit while more rows waited."""

Failures = dict[PendingRequest, Exception]


class BatchObserver(Protocol):
    """Takes what the batcher scored. Called in the event loop."""

    def scored(
        self, batch: Sequence[PendingRequest], n_rows: int, n_waiting: int, reason: str
    ) -> None:
        """A model call of `n_rows` rows has ended, and gave `batch` its scores.

        `n_waiting` rows wait for the next one; `reason` says why this one was not larger.
        """

    def complete(self, batch: Sequence[PendingRequest]) -> None:
        """Record the scored requests and answer them."""


class Batcher:
    """The queue of one model. Everything but the model call happens in the event loop.

    Batches of at most `inline_rows` rows are scored there as well, larger ones in `executor`, at
    most `concurrency` at the same time. `dtype` is what `run` takes.
    """

    def __init__(
        self,
        run: RunModel,
        observer: BatchObserver,
        *,
        batch_rows: int,
        queue_rows: int,
        deadline_s: float,
        inline_rows: int,
        executor: ThreadPoolExecutor,
        dtype: InputType,
        concurrency: int = 1,
    ) -> None:
        self._run = run
        self._dtype = dtype
        self._observer = observer
        self._batch_rows = batch_rows
        self._queue_rows = queue_rows
        self._deadline_s = deadline_s
        self._inline_rows = inline_rows
        self._executor = executor
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[PendingRequest] = deque()
        self._concurrency = concurrency
        self._alarms: dict[int, asyncio.TimerHandle] = {}
        self._running_since: dict[int, float] = {}
        self._is_scheduled = False
        self._reason = DRAINED
        self.waiting_rows = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is being scored."""
        return not self._waiting and not self._is_scheduled and not self._alarms

    @property
    def running_since(self) -> float | None:
        """Since when the longest model call runs, in `time.monotonic`; any thread may ask."""
        return min(list(self._running_since.values()), default=None)

    def submit(self, pending: PendingRequest) -> None:
        """Queue a request; its sink gets the response, or a Fault.

        The fault is `prediction_failed`, `deadline_exceeded` or what the observer sets.

        Raises:
            Fault: `overloaded`, if more rows wait than the queue holds.

        """
        n_rows = len(pending.rows.features)
        if self._has_no_room(n_rows):
            if not self._alarms:
                # A light model scores faster than a client retries: make room.
                self._next_batch()
            if self._has_no_room(n_rows):
                raise Fault("overloaded")
        self._waiting.append(pending)
        self.waiting_rows += n_rows
        self._schedule()

    def _has_no_room(self, n_rows: int) -> bool:
        return self.waiting_rows > 0 and self.waiting_rows + n_rows > self._queue_rows

    def _schedule(self) -> None:
        """Score the next batch in the next turn of the loop: what arrives in this one joins it."""
        if not self._is_scheduled and len(self._alarms) < self._concurrency:
            self._is_scheduled = True
            self._loop.call_soon(self._scheduled_batch)

    def _scheduled_batch(self) -> None:
        self._is_scheduled = False
        if len(self._alarms) < self._concurrency:
            self._next_batch()

    def _next_batch(self) -> None:
        batch, n_rows = self._take()
        if not batch:
            return
        if n_rows <= self._inline_rows:
            self._running_since[id(batch)] = time.monotonic()
            failures = self._score(batch)
            del self._running_since[id(batch)]
            self._finish(batch, n_rows, failures)
        else:
            self._score_in_thread(batch, n_rows)

    def _score_in_thread(self, batch: list[PendingRequest], n_rows: int) -> None:
        def done(future: "asyncio.Future[Failures]") -> None:
            self._running_since.pop(id(batch))
            self._alarms.pop(id(batch)).cancel()
            self._finish(batch, n_rows, future.result())

        self._running_since[id(batch)] = time.monotonic()
        self._watch(batch)
        self._loop.run_in_executor(self._executor, self._score, batch).add_done_callback(done)
        if self._waiting:
            self._schedule()

    def _watch(self, batch: list[PendingRequest]) -> None:
        """Refuse late requests while a thread scores, however long the model takes."""
        oldest = self._refuse_late()
        for pending in batch:
            if pending.queued < oldest:
                _refuse(pending, Fault("deadline_exceeded"))
        self._alarms[id(batch)] = self._loop.call_later(self._deadline_s / 4, self._watch, batch)

    def _finish(self, batch: list[PendingRequest], n_rows: int, failures: Failures) -> None:
        """Answer a scored batch and schedule the next, whatever happens."""
        if self._waiting:
            self._schedule()
        for pending, failure in failures.items():
            _refuse(pending, prediction_failed(failure))
        alive = [pending for pending in batch if not pending.sink.done()]
        try:
            self._observer.scored(alive, n_rows, self.waiting_rows, self._reason)
            if alive:
                self._observer.complete(alive)
        except Exception:
            logger.exception("a batch of %d rows could not be completed", n_rows)
            for pending in alive:
                _refuse(pending, Fault("internal_error"))

    def _take(self) -> tuple[list[PendingRequest], int]:
        """The requests of the next batch and the number of their rows; refuses late ones."""
        self._refuse_late()
        batch: list[PendingRequest] = []
        n_rows = n_taken = 0
        while self._waiting:
            pending = self._waiting[0]
            n_own = len(pending.rows.features)
            if batch and n_rows + n_own > self._batch_rows:
                break
            self._waiting.popleft()
            n_taken += n_own
            if not pending.sink.done():
                batch.append(pending)
                n_rows += n_own
        self.waiting_rows -= n_taken
        self._reason = FULL if self._waiting else DRAINED
        return batch, n_rows

    def _refuse_late(self) -> float:
        """Refuse waiting requests beyond their deadline; the time since which none may wait."""
        oldest = time.monotonic() - self._deadline_s
        while self._waiting and self._waiting[0].queued < oldest:
            pending = self._waiting.popleft()
            self.waiting_rows -= len(pending.rows)
            _refuse(pending, Fault("deadline_exceeded"))
        return oldest

    def _score(self, batch: list[PendingRequest]) -> Failures:
        """Set the scores of each request; returns the requests on which the model failed."""
        try:
            self._set_scores(batch)
        except ModelUnavailable as err:
            return self._score_one_by_one(batch) if err.may_retry else dict.fromkeys(batch, err)
        except Exception:  # noqa: BLE001 - a model may fail in any way, and only its rows may fail
            return self._score_one_by_one(batch)
        return {}

    def _score_one_by_one(self, batch: list[PendingRequest]) -> Failures:
        failures: Failures = {}
        for pending in batch:
            if pending.sink.done():
                continue  # its deadline has passed meanwhile
            try:
                self._set_scores([pending])
            except ModelUnavailable as err:
                failures[pending] = err
            except Exception as err:  # noqa: BLE001 - as in `_score`
                if pending.is_partial:
                    score_alone(self._run, pending, self._dtype)
                else:
                    failures[pending] = err
        return failures

    def _set_scores(self, batch: list[PendingRequest]) -> None:
        inputs = model_input([pending.rows for pending in batch], self._dtype)
        scores = finite_scores(self._run, inputs)
        start = 0
        for pending in batch:
            stop = start + len(pending.rows.features)
            pending.scores = scores[start:stop]
            start = stop


def _refuse(pending: PendingRequest, fault: Fault) -> None:
    if not pending.sink.done():
        pending.sink.set_exception(fault)
