"""Rate limits: requests per key, counted in this process or, across replicas, in Redis."""

import asyncio
import logging
import math
import time
from functools import lru_cache
from typing import Any

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from services.settings import ServiceSettings

logger = logging.getLogger("bentoml.slipway")

REDIS_RETRY_S = 1.0
"""After a failure of Redis, requests are counted in process for this long."""


class Limiter:
    """Counts requests in this process."""

    is_synchronous = True

    def __init__(self) -> None:
        self._local = SlidingWindowCounterRateLimiter(MemoryStorage())

    def hit(self, key_id: str, rate: str) -> float:
        """Count a request; 0 if it is within the rate, else the seconds until one is."""
        item = rate_item(rate)
        if self._local.hit(item, key_id):
            return 0.0
        return _wait_s(self._local.get_window_stats(item, key_id).reset_time)

    async def ahit(self, key_id: str, rate: str) -> float:
        """Count a request; async twin of `hit`, with the same result."""
        return self.hit(key_id, rate)

    async def close(self) -> None:
        """Release connections; this one has none."""


class SharedLimiter(Limiter):
    """Counts in Redis; if Redis does not answer in time, in this process."""

    is_synchronous = False

    def __init__(self, settings: ServiceSettings) -> None:
        super().__init__()
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

    async def ahit(self, key_id: str, rate: str) -> float:
        """Count a request in Redis, waiting at most `redis_timeout_s`; else in this process."""
        from limits.errors import StorageError

        if time.monotonic() < self._retry_at:
            return self.hit(key_id, rate)
        item = rate_item(rate)
        try:
            async with asyncio.timeout(self._timeout_s):
                if await self._shared.hit(item, key_id):
                    return 0.0
                return _wait_s((await self._shared.get_window_stats(item, key_id)).reset_time)
        except (StorageError, OSError, TimeoutError) as err:
            logger.warning("rate limits: Redis does not answer (%r); counting in process", err)
            self._retry_at = time.monotonic() + REDIS_RETRY_S
            return self.hit(key_id, rate)

    async def close(self) -> None:
        """Close the connections to Redis."""
        await self._redis.aclose()


@lru_cache(maxsize=1024)
def rate_item(rate: str) -> RateLimitItem:
    """The parsed form of a rate like `100/second`."""
    return parse(rate)


def _wait_s(reset_time: float) -> float:
    return max(1.0, math.ceil(reset_time - time.time()))
