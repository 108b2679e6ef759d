"""The queue holds as many rows as it may, and a light model needs none."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from services.faults import Fault
from services.inference.batcher import Batcher
from services.inference.pending import PendingRequest, Request
from services.inference.rows import Rows


class Counting:
    """An observer that answers with the scores."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, str]] = []

    def scored(
        self, batch: Sequence[PendingRequest], n_rows: int, n_waiting: int, reason: str
    ) -> None:
        assert batch
        assert n_waiting >= 0
        self.batches.append((n_rows, reason))

    def complete(self, batch: Sequence[PendingRequest]) -> None:
        for each in batch:
            sink: Any = each.sink
            sink.set_result([scores[0] for scores in each.scores])


def pending(*values: float, is_partial: bool = False) -> PendingRequest:
    n_rows = len(values)
    return PendingRequest(
        Rows([b"{}"] * n_rows, [[value] for value in values], [()] * n_rows),
        Request(b"", "r", b"", 0.0),
        asyncio.get_running_loop().create_future(),
        _render,
        queued=1e18,
        is_partial=is_partial,
    )


def _render(result: object, rows: slice, refused: object, /) -> bytes:
    del result, rows, refused
    return b""


def batcher(score: Any, observer: Counting, **limits: Any) -> Batcher:
    settings: dict[str, Any] = {
        "batch_rows": 8,
        "queue_rows": 16,
        "deadline_s": 30.0,
        "inline_rows": 4096,
        "executor": ThreadPoolExecutor(1),
        "dtype": np.dtype(np.float32),
    }
    return Batcher(score, observer, **(settings | limits))


def is_accepted(queue: Batcher, each: PendingRequest) -> bool:
    try:
        queue.submit(each)
    except Fault as fault:
        return fault.code != "overloaded"
    return True


async def scores_of(batch: Sequence[PendingRequest]) -> list[float]:
    futures: list[Any] = [each.sink for each in batch]
    return [value for future in futures for value in await future]


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
        answers = await scores_of([first, *accepted])
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
        answers = await scores_of(pendings)
        assert answers == [2.0 * value for value in range(1000)]
        await asyncio.sleep(0.01)
        assert queue.is_idle

    asyncio.run(story())


def test_a_batch_that_went_to_a_thread_is_scored_once() -> None:
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
        answers = await scores_of(kept)
        assert answers == [2.0 * value for value in range(len(kept))]
        assert len(kept) + refused == 60
        assert sum(n for n, _ in observer.batches) == len(kept)
        await asyncio.sleep(0.01)
        assert queue.is_idle

    asyncio.run(story())


POISON = 66.0


def failing(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """A model that fails on every batch with a poisoned row."""
    if (matrix == POISON).any():
        raise RuntimeError("expected another number")
    return matrix * 2


def test_a_poisoned_request_fails_alone() -> None:
    async def story() -> None:
        queue = batcher(failing, Counting())
        good, bad = pending(1, 2), pending(3, POISON)
        for each in (good, bad):
            queue.submit(each)
        with pytest.raises(Fault, match="prediction_failed: the model failed: expected another"):
            await scores_of([bad])
        assert await scores_of([good]) == [2.0, 4.0]

    asyncio.run(story())


def test_a_poisoned_row_of_a_partial_request_fails_alone() -> None:
    async def story() -> None:
        queue = batcher(failing, Counting())
        mixed = pending(1, POISON, 3, POISON, is_partial=True)
        queue.submit(mixed)
        assert await scores_of([mixed]) == [2.0, 6.0]
        assert len(mixed.rows) == 2
        assert {i: f.code for i, f in mixed.rows.refused.items()} == dict.fromkeys(
            (1, 3), "prediction_failed"
        )
        assert queue.is_idle

    asyncio.run(story())


def test_a_score_that_is_not_finite_is_a_failure() -> None:
    async def story() -> None:
        queue = batcher(lambda matrix: matrix * np.float32("nan"), Counting())
        each = pending(1)
        queue.submit(each)
        with pytest.raises(Fault, match="expected finite scores, got NaN or infinity"):
            await scores_of([each])

    asyncio.run(story())
