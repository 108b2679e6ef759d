"""The queue holds what it shall, and a light model needs none."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.faults import Fault
from services.inference.batcher import Batcher
from services.inference.decode import Rows
from services.inference.pending import Ticket


class Counting:
    """A ledger that answers with the scores."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, str]] = []

    def conclude(self, tickets: Sequence[Ticket]) -> None:
        for ticket in tickets:
            ticket.answer.set_result(ticket.scores[0][0])

    def batch_done(self, n_rows: int, n_waiting: int, reason: str) -> None:
        self.batches.append((n_rows, reason))
        assert n_waiting >= 0

    def remember(self, tickets: Sequence[Ticket]) -> None:
        assert tickets


def ticket(value: float, arrived: float = 1e18) -> Ticket:
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    return Ticket(Rows((b"{}",), ([value],), ((),)), "r", arrived, answer, _no_answer)


def _no_answer(page: object, place: slice) -> None:
    del page, place


def batcher(score: Any, ledger: Counting, **limits: Any) -> Batcher:
    words: dict[str, Any] = {
        "batch_rows": 8,
        "queue_rows": 16,
        "deadline_s": 30.0,
        "inline_rows": 4096,
        "executor": ThreadPoolExecutor(1),
    }
    return Batcher(score, ledger, **(words | limits))


def is_accepted(queue: Batcher, each: Ticket) -> bool:
    try:
        queue.submit(each)
    except Fault as fault:
        return fault.code != "overloaded"
    return True


async def answers_of(tickets: Sequence[Ticket]) -> list[float]:
    futures: list[Any] = [each.answer for each in tickets]
    return [await future for future in futures]


def double(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    return matrix * 2


def test_exactly_the_excess_is_refused_while_the_model_is_held() -> None:
    latch = threading.Event()

    def held(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        latch.wait(20)
        return double(matrix)

    async def story() -> None:
        ledger = Counting()
        queue = batcher(held, ledger, inline_rows=0)
        first = ticket(0)
        queue.submit(first)
        await asyncio.sleep(0.05)
        accepted, refused = [], 0
        for value in range(1, 41):
            each = ticket(value)
            if is_accepted(queue, each):
                accepted.append(each)
            else:
                refused += 1
        latch.set()
        answers = await answers_of([first, *accepted])
        assert (len(accepted), refused) == (16, 24)
        assert answers == [2.0 * value for value in range(17)]
        assert ledger.batches == [(1, "drained"), (8, "full"), (8, "drained")]
        assert queue.is_idle

    asyncio.run(story())


def test_a_light_model_makes_room_instead_of_refusing() -> None:
    async def story() -> None:
        ledger = Counting()
        queue = batcher(double, ledger)
        tickets = [ticket(value) for value in range(1000)]
        for each in tickets:
            queue.submit(each)
            assert queue.waiting_rows <= 16
        answers = await answers_of(tickets)
        assert answers == [2.0 * value for value in range(1000)]
        await asyncio.sleep(0.01)
        assert queue.is_idle

    asyncio.run(story())


def test_room_that_was_made_into_a_thread_is_scored_once() -> None:
    """A batch too large for the event loop may begin in `submit`, before its turn comes."""

    async def story() -> None:
        ledger = Counting()
        queue = batcher(double, ledger, inline_rows=4)
        tickets, refused = [ticket(value) for value in range(60)], 0
        kept = []
        for each in tickets:
            if is_accepted(queue, each):
                kept.append(each)
            else:
                refused += 1
        answers = await answers_of(kept)
        assert answers == [2.0 * value for value in range(len(kept))]
        assert len(kept) + refused == 60
        assert sum(n for n, _ in ledger.batches) == len(kept)
        await asyncio.sleep(0.01)
        assert queue.is_idle

    asyncio.run(story())
