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
from services.inference.pending import Ticket

logger = logging.getLogger("bentoml.slipway")

DRAINED = "drained"
"""A batch that holds all that waited."""
FULL = "full"
"""A batch that reached its limit while more rows waited."""

Score = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Ledger(Protocol):
    """Who concludes scored tickets and counts what happened."""

    def conclude(self, tickets: Sequence[Ticket]) -> None:
        """Record the tickets and set their answers."""

    def batch_done(self, n_rows: int, n_waiting: int, reason: str) -> None:
        """Count a model call, how many rows wait for the next, and why it was not larger."""

    def remember(self, tickets: Sequence[Ticket]) -> None:
        """Take note of tickets that were scored by the model just now."""


class Batcher:
    """The queue of one model. Everything but `score` happens in the event loop.

    Batches of up to `inline_rows` rows are scored there as well, larger ones by `executor`.
    """

    def __init__(
        self,
        score: Score,
        ledger: Ledger,
        *,
        batch_rows: int,
        queue_rows: int,
        deadline_s: float,
        inline_rows: int,
        executor: ThreadPoolExecutor,
    ) -> None:
        self._score = score
        self._ledger = ledger
        self._batch_rows = batch_rows
        self._queue_rows = queue_rows
        self._deadline_s = deadline_s
        self._inline_rows = inline_rows
        self._executor = executor
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Ticket] = deque()
        self._alarm: asyncio.TimerHandle | None = None
        self._busy = False
        self._in_thread = False
        self._reason = DRAINED
        self.waiting_rows = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is scored."""
        return not self._busy and not self._waiting

    def submit(self, ticket: Ticket) -> None:
        """Queue a request; its `answer` is given the rendered records, or a Fault.

        Raises:
            Fault: `overloaded`, if more rows wait than the queue holds.

        """
        n_rows = len(ticket.rows)
        if self._has_no_room(n_rows) and not self._in_thread:
            # A light model is quicker than a refusal: let it make room.
            self._next_batch()
        if self._has_no_room(n_rows):
            raise Fault("overloaded")
        self._waiting.append(ticket)
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
        tickets, n_rows = self._take()
        if not tickets:
            self._busy = False
        elif n_rows <= self._inline_rows:
            self._finish(tickets, n_rows, self._scored(tickets))
        else:
            self._score_in_thread(tickets, n_rows)

    def _score_in_thread(self, tickets: list[Ticket], n_rows: int) -> None:
        def done(future: asyncio.Future[dict[Ticket, Exception]]) -> None:
            self._in_thread = False
            if self._alarm is not None:
                self._alarm.cancel()
            self._finish(tickets, n_rows, future.result())

        self._in_thread = True
        self._watch(tickets)
        self._loop.run_in_executor(self._executor, self._scored, tickets).add_done_callback(done)

    def _watch(self, tickets: list[Ticket]) -> None:
        """While a thread scores: tell everybody in time, however long the model takes."""
        oldest = self._refuse_late()
        for ticket in tickets:
            if ticket.arrived < oldest:
                _refuse(ticket, Fault("deadline_exceeded"))
        self._alarm = self._loop.call_later(self._deadline_s / 4, self._watch, tickets)

    def _finish(
        self, tickets: list[Ticket], n_rows: int, failures: dict[Ticket, Exception]
    ) -> None:
        """Answer a scored batch, and take the next, whatever happens."""
        if self._waiting:
            self._loop.call_soon(self._next_batch)
        else:
            self._busy = False
        for ticket, failure in failures.items():
            _refuse(ticket, Fault("prediction_failed", f"the model failed: {failure}"[:300]))
        alive = [t for t in tickets if not t.answer.done()]
        try:
            self._ledger.batch_done(n_rows, self.waiting_rows, self._reason)
            if alive:
                self._ledger.remember(alive)
                self._ledger.conclude(alive)
        except Exception:
            logger.exception("a batch of %d rows could not be concluded", n_rows)
            for ticket in alive:
                _refuse(ticket, Fault("internal_error"))

    def _take(self) -> tuple[list[Ticket], int]:
        """The tickets of the next batch and their rows; who waited too long is refused."""
        self._refuse_late()
        batch: list[Ticket] = []
        n_rows = 0
        while self._waiting:
            ticket = self._waiting[0]
            if batch and n_rows + len(ticket.rows) > self._batch_rows:
                break
            self._waiting.popleft()
            self.waiting_rows -= len(ticket.rows)
            if not ticket.answer.done():
                batch.append(ticket)
                n_rows += len(ticket.rows)
        self._reason = FULL if self._waiting else DRAINED
        return batch, n_rows

    def _refuse_late(self) -> float:
        """Refuse who came before the moment that is given: they waited longer than allowed."""
        oldest = time.monotonic() - self._deadline_s
        while self._waiting and self._waiting[0].arrived < oldest:
            ticket = self._waiting.popleft()
            self.waiting_rows -= len(ticket.rows)
            _refuse(ticket, Fault("deadline_exceeded"))
        return oldest

    def _scored(self, tickets: list[Ticket]) -> dict[Ticket, Exception]:
        """Put scores on the tickets; those that fail alone as well are given back."""
        try:
            self._put_scores(tickets)
        except Exception:  # noqa: BLE001 - a model may fail in any way, and only its rows may fail
            return self._scored_alone(tickets)
        return {}

    def _scored_alone(self, tickets: list[Ticket]) -> dict[Ticket, Exception]:
        failures: dict[Ticket, Exception] = {}
        for ticket in tickets:
            try:
                self._put_scores([ticket])
            except Exception as err:  # noqa: BLE001 - the same
                failures[ticket] = err
        return failures

    def _put_scores(self, tickets: list[Ticket]) -> None:
        scores = self._score(_matrix(tickets))
        if not np.isfinite(scores).all():
            raise ValueError("expected finite scores, got NaN or infinity")
        listed = scores.tolist()
        start = 0
        for ticket in tickets:
            ticket.scores = listed[start : start + len(ticket.rows)]
            start += len(ticket.rows)


def _matrix(tickets: list[Ticket]) -> NDArray[np.float32]:
    """The rows of all tickets, shape `(n_rows, n_features)`."""
    if all(len(ticket.rows) == 1 for ticket in tickets):
        return np.array([ticket.rows.numbers[0] for ticket in tickets], dtype=np.float32)
    parts = [np.asarray(ticket.rows.numbers, dtype=np.float32) for ticket in tickets]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _refuse(ticket: Ticket, fault: Fault) -> None:
    if not ticket.answer.done():
        ticket.answer.set_exception(fault)
