"""Rate limits: requests per key, counted in this process or, across replicas, in Redis.

Both count in a sliding window: the requests of the current window, and those of the previous one
in proportion to the part of it that is not yet a window's length ago.
"""

import asyncio
import logging
import math
import time
from functools import lru_cache
from typing import Any

from limits import RateLimitItem, parse

from services.settings import ServiceSettings

logger = logging.getLogger("bentoml.slipway")

REDIS_RETRY_S = 1.0
"""After a failure of Redis, requests are counted in process for this long."""


class _Window:
    """The hits of one key in the window of this number, and in the previous window."""

    __slots__ = ("current", "number", "previous")

    def __init__(self) -> None:
        self.number = 0
        self.current = 0
        self.previous = 0

    def move_to(self, number: int) -> None:
        """Begin the window with this number."""
        self.previous = self.current if number == self.number + 1 else 0
        self.current = 0
        self.number = number


class Limiter:
    """Counts requests in this process; it has an entry per key and rate."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, str], _Window] = {}

    def hit(self, key_id: str, rate: str) -> float:
        """Count a request; 0 if it is within the rate, else the seconds until one is."""
        amount, length_s = _amount_and_length_s(rate)
        window = self._windows.get((key_id, rate))
        if window is None:
            window = self._windows[key_id, rate] = _Window()
        number, elapsed_s = divmod(time.monotonic(), length_s)
        if number != window.number:
            window.move_to(int(number))
        if window.previous * (1 - elapsed_s / length_s) + window.current > amount - 1:
            return _wait_s(_until_free_s(window, amount, length_s) - elapsed_s)
        window.current += 1
        return 0.0


class SharedLimiter:
    """Counts in Redis; if Redis does not answer in time, in this process.

    The requests of a key that arrive while Redis counts are counted by its next call, together:
    a call costs several times what a prediction does.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        from limits.aio.storage import RedisStorage
        from limits.aio.strategies import SlidingWindowCounterRateLimiter as SharedStrategy

        storage = RedisStorage(
            f"async+{settings.redis_url.reveal()}",
            implementation="redispy",
            wrap_exceptions=True,
            socket_timeout=settings.redis_timeout_s,
            socket_connect_timeout=settings.redis_timeout_s,
        )
        self._redis: Any = storage.bridge.storage  # type: ignore[attr-defined]  # an attribute of the redis-py bridge only
        self._shared = SharedStrategy(storage)
        self._timeout_s = settings.redis_timeout_s
        self._retry_at = 0.0
        self._local = Limiter()
        self._waiting: dict[tuple[str, str], list[asyncio.Future[float]]] = {}
        self._counting: set[asyncio.Task[None]] = set()

    def hit(self, key_id: str, rate: str) -> "asyncio.Future[float]":
        """Count a request; the future gets what `Limiter.hit` returns."""
        loop = asyncio.get_running_loop()
        wait_s: asyncio.Future[float] = loop.create_future()
        if time.monotonic() < self._retry_at:
            wait_s.set_result(self._local.hit(key_id, rate))
            return wait_s
        waiting = self._waiting.get((key_id, rate))
        if waiting is not None:
            waiting.append(wait_s)
        else:
            self._waiting[key_id, rate] = [wait_s]
            task = loop.create_task(self._count(key_id, rate))
            self._counting.add(task)
            task.add_done_callback(self._counting.discard)
        return wait_s

    async def close(self) -> None:
        """Close the connections to Redis."""
        await self._redis.aclose()

    async def _count(self, key_id: str, rate: str) -> None:
        """Count the requests of a key until none waits."""
        while waiting := self._waiting[key_id, rate]:
            self._waiting[key_id, rate] = []
            n_within, wait_s = await self._hit_many(key_id, rate, len(waiting))
            for index, future in enumerate(waiting):
                if not future.done():
                    future.set_result(0.0 if index < n_within else wait_s)
        del self._waiting[key_id, rate]

    async def _hit_many(self, key_id: str, rate: str, n: int) -> tuple[int, float]:
        """Count `n` requests; how many are within the rate, and the wait of the others."""
        from limits.errors import StorageError

        item = rate_item(rate)
        try:
            async with asyncio.timeout(self._timeout_s):
                if await self._shared.hit(item, key_id, cost=n):
                    return n, 0.0
                stats = await self._shared.get_window_stats(item, key_id)
                n_left = min(stats.remaining, n - 1)
                if n_left > 0 and not await self._shared.hit(item, key_id, cost=n_left):
                    n_left = 0
                return n_left, _wait_s(stats.reset_time - time.time())
        except (StorageError, OSError, TimeoutError) as err:
            logger.warning("rate limits: Redis does not answer (%r); counting in process", err)
            self._retry_at = time.monotonic() + REDIS_RETRY_S
        except Exception:
            logger.exception("rate limits: counting in process")
        waits_s = [self._local.hit(key_id, rate) for _ in range(n)]
        return waits_s.count(0.0), waits_s[-1]


@lru_cache(maxsize=1024)
def rate_item(rate: str) -> RateLimitItem:
    """The parsed form of a rate like `100/second`."""
    return parse(rate)


@lru_cache(maxsize=1024)
def _amount_and_length_s(rate: str) -> tuple[int, int]:
    """The requests that a rate allows, and in how many seconds."""
    item = rate_item(rate)
    return item.amount, item.get_expiry()


def _until_free_s(window: _Window, amount: int, length_s: int) -> float:
    """The seconds from the start of a full window until a request is within the rate."""
    if window.current < amount:
        return length_s * (1 - (amount - 1 - window.current) / window.previous)
    return length_s * (2 - (amount - 1) / max(window.current, 1))


def _wait_s(seconds: float) -> float:
    return float(max(1, math.ceil(seconds)))
