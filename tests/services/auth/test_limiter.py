"""Rates hold at any time, and what is counted in Redis is counted together."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.settings import Secret
from services.auth import limiter
from services.auth.limiter import Limiter, SharedLimiter
from services.settings import ServiceSettings


class Clock:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@given(
    st.integers(0, 20),
    st.lists(st.floats(0, 150, allow_nan=False), min_size=1, max_size=60),
)
def test_a_rate_holds_in_each_window_and_the_wait_is_enough(
    amount: int, pauses: Sequence[float]
) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limiter, "time", clock)
        counted = Limiter()
        admitted: list[float] = []
        for pause in pauses:
            clock.now += pause
            wait_s = counted.hit("shop", f"{amount}/minute")
            if wait_s == 0:
                admitted.append(clock.now)
            else:
                assert wait_s >= 1
                clock.now += wait_s
                if amount:
                    assert counted.hit("shop", f"{amount}/minute") == 0
                    admitted.append(clock.now)
    for number in {int(time // 60) for time in admitted}:
        assert sum(time // 60 == number for time in admitted) <= amount


def test_keys_and_rates_are_counted_apart() -> None:
    counted = Limiter()

    hits = [counted.hit(key, "1/hour") for key in ("a", "b", "a")]

    assert hits[:2] == [0.0, 0.0]
    assert hits[2] > 1
    assert counted.hit("a", "2/hour") == 0


class FakeRedis:
    """Counts like Redis, slowly."""

    def __init__(self, amount: int, failure: Exception | None = None) -> None:
        self.left = amount
        self.failure = failure
        self.calls: list[int] = []

    async def hit(self, _item: object, _key: str, cost: int) -> bool:
        self.calls.append(cost)
        await asyncio.sleep(0.005)
        if self.failure is not None:
            raise self.failure
        if cost > self.left:
            return False
        self.left -= cost
        return True

    async def get_window_stats(self, _item: object, _key: str) -> Any:
        return SimpleNamespace(remaining=self.left, reset_time=0.0)


def waits_of(redis: FakeRedis, n_turns: int, n_each: int, rate: str = "1000/hour") -> list[float]:
    """The waits of `n_each` requests in each of `n_turns` turns of the loop."""

    async def run() -> list[float]:
        shared = SharedLimiter(ServiceSettings(redis_url=Secret("redis://127.0.0.1:1")))
        shared._shared = redis  # type: ignore[assignment]  # it has what is used
        futures = []
        for _ in range(n_turns):
            futures += [shared.hit("shop", rate) for _ in range(n_each)]
            await asyncio.sleep(0)
        found = list(await asyncio.gather(*futures))
        assert not shared._waiting
        await shared.close()
        return found

    return asyncio.run(run())


def test_requests_that_arrive_while_redis_counts_are_counted_by_one_call() -> None:
    redis = FakeRedis(1000)

    assert waits_of(redis, n_turns=5, n_each=20) == [0.0] * 100
    assert sum(redis.calls) == 100
    assert len(redis.calls) == 2


def test_of_requests_counted_together_the_first_are_admitted() -> None:
    waits = waits_of(FakeRedis(30), n_turns=5, n_each=20)

    assert [wait > 0 for wait in waits] == [False] * 30 + [True] * 70


@pytest.mark.parametrize("failure", [TimeoutError(), OSError(), RuntimeError("a bug")], ids=repr)
def test_requests_are_counted_in_process_when_redis_fails(failure: Exception) -> None:
    waits = waits_of(FakeRedis(0, failure), n_turns=1, n_each=5, rate="3/hour")

    assert [wait > 0 for wait in waits] == [False] * 3 + [True] * 2
