"""Rate limits: how often a key may ask, counted in this process or, for replicas, in Redis."""

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

RETRY_S = 1.0
"""So long a Redis that failed is left alone, and requests are counted here."""


class Limiter:
    """Counts requests in this process."""

    is_immediate = True

    def __init__(self) -> None:
        self._local = SlidingWindowCounterRateLimiter(MemoryStorage())

    def count(self, key_id: str, rate: str) -> float:
        """Count a request; 0 if it may pass, else the seconds after which one may."""
        item = rate_item(rate)
        if self._local.hit(item, key_id):
            return 0.0
        return _wait_s(self._local.get_window_stats(item, key_id).reset_time)

    async def counted(self, key_id: str, rate: str) -> float:
        """The same, where it may take a while."""
        return self.count(key_id, rate)

    async def close(self) -> None:
        """Let go of what is held."""


class SharedLimiter(Limiter):
    """Counts in Redis; if that does not answer in time, in this process."""

    is_immediate = False

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
        self._redis: Any = storage.bridge.storage  # type: ignore[attr-defined]  # of redis-py's bridge
        self._shared = SharedStrategy(storage)
        self._timeout_s = settings.redis_timeout_s
        self._again = 0.0

    async def counted(self, key_id: str, rate: str) -> float:
        """See `Limiter`; the answer is there within the time allowed."""
        from limits.errors import StorageError

        if time.monotonic() < self._again:
            return self.count(key_id, rate)
        item = rate_item(rate)
        try:
            async with asyncio.timeout(self._timeout_s):
                if await self._shared.hit(item, key_id):
                    return 0.0
                return _wait_s((await self._shared.get_window_stats(item, key_id)).reset_time)
        except (StorageError, OSError, TimeoutError) as err:
            logger.warning("rate limits: Redis does not answer (%r); counting in process", err)
            self._again = time.monotonic() + RETRY_S
            return self.count(key_id, rate)

    async def close(self) -> None:
        """See `Limiter`."""
        await self._redis.aclose()


@lru_cache(maxsize=1024)
def rate_item(rate: str) -> RateLimitItem:
    """What a text like `100/second` means."""
    return parse(rate)


def _wait_s(reset_time: float) -> float:
    return max(1.0, math.ceil(reset_time - time.time()))
