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
from services.inference.pending import PendingRequest


class Counting:
    """An observer that answers with the scores."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, str]] = []

    def complete(self, pendings: Sequence[PendingRequest]) -> None:
        for pending in pendings:
            pending.answer.set_result(pending.scores[0][0])

    def batch_done(self, n_rows: int, n_waiting: int, reason: str) -> None:
        self.batches.append((n_rows, reason))
        assert n_waiting >= 0

    def cache_scores(self, pendings: Sequence[PendingRequest]) -> None:
        assert pendings


def pending(value: float, arrived: float = 1e18) -> PendingRequest:
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    return PendingRequest(Rows((b"{}",), ([value],), ((),)), "r", arrived, answer, _no_answer)


def _no_answer(result: object, place: slice) -> None:
    del result, place


def batcher(score: Any, observer: Counting, **limits: Any) -> Batcher:
    words: dict[str, Any] = {
        "batch_rows": 8,
        "queue_rows": 16,
        "deadline_s": 30.0,
        "inline_rows": 4096,
        "executor": ThreadPoolExecutor(1),
    }
    return Batcher(score, observer, **(words | limits))


def is_accepted(queue: Batcher, each: PendingRequest) -> bool:
    try:
        queue.submit(each)
    except Fault as fault:
        return fault.code != "overloaded"
    return True


async def answers_of(pendings: Sequence[PendingRequest]) -> list[float]:
    futures: list[Any] = [each.answer for each in pendings]
    return [await future for future in futures]


def double(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    return matrix * 2


def test_exactly_the_excess_is_refused_while_the_model_is_held() -> None:
    latch = threading.Event()

    def held(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        latch.wait(20)
        return double(matrix)

    async def story() -> None:
        observer = Counting()
        queue = batcher(held, observer, inline_rows=0)
        first = pending(0)
        queue.submit(first)
        await asyncio.sleep(0.05)
        accepted, refused = [], 0
        for value in range(1, 41):
            each = pending(value)
            if is_accepted(queue, each):
                accepted.append(each)
            else:
                refused += 1
        latch.set()
        answers = await answers_of([first, *accepted])
        assert (len(accepted), refused) == (16, 24)
        assert answers == [2.0 * value for value in range(17)]
        assert observer.batches == [(1, "drained"), (8, "full"), (8, "drained")]
        assert queue.is_idle

    asyncio.run(story())


def test_a_light_model_makes_room_instead_of_refusing() -> None:
    async def story() -> None:
        observer = Counting()
        queue = batcher(double, observer)
        pendings = [pending(value) for value in range(1000)]
        for each in pendings:
            queue.submit(each)
            assert queue.waiting_rows <= 16
        answers = await answers_of(pendings)
        assert answers == [2.0 * value for value in range(1000)]
        await asyncio.sleep(0.01)
        assert queue.is_idle

    asyncio.run(story())


def test_room_that_was_made_into_a_thread_is_scored_once() -> None:
    """A batch too large for the event loop may begin in `submit`, before its turn comes."""

    async def story() -> None:
        observer = Counting()
        queue = batcher(double, observer, inline_rows=4)
        pendings, refused = [pending(value) for value in range(60)], 0
        kept = []
        for each in pendings:
            if is_accepted(queue, each):
                kept.append(each)
            else:
                refused += 1
        answers = await answers_of(kept)
        assert answers == [2.0 * value for value in range(len(kept))]
        assert len(kept) + refused == 60
        assert sum(n for n, _ in observer.batches) == len(kept)
        await asyncio.sleep(0.01)
        assert queue.is_idle

    asyncio.run(story())
