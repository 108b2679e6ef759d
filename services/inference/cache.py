"""The result cache: a row that was scored a moment ago is not scored again.

Kept are the scores, by the model's digest and the validated row as the model sees it; so an
answer from the cache is in the traffic log and has an id of its own like every other. It is
off by default: a light model is quicker than any cache.
"""

import asyncio
import hashlib
import logging
import time
from array import array
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from prometheus_client import Counter

from contracts.manifest import Pointer
from services.inference.decode import Rows
from services.settings import ServiceSettings

logger = logging.getLogger("bentoml.slipway")

Scores = Sequence[float]
RETRY_S = 1.0
"""So long a Redis that failed is left alone."""
MAX_PENDING_WRITES = 64
"""Writes to Redis that may be under way; beyond, results are not kept."""


class ResultCache(Protocol):
    """Remembers the scores of rows."""

    async def get_many(self, rows: Rows) -> list[Scores] | None:
        """The scores of all of these rows, or None if one of them is not known."""

    def put_many(self, rows: Rows, scores: Sequence[Scores]) -> None:
        """Remember what the model gave for each row."""

    async def close(self) -> None:
        """Let go of what is held."""


def open_cache(
    pointer: Pointer, settings: ServiceSettings, outcomes: Counter
) -> ResultCache | None:
    """The cache that the settings want for a model; None if they want none.

    `outcomes` counts requests by model and by `hit`, `miss` or `error`.
    """
    wanted = {name.strip() for name in settings.cache_models.split(",")}
    if not wanted & {pointer.name, "*"}:
        return None
    prefix = f"{pointer.name}:{pointer.version}:{pointer.digest}".encode()
    metrics = CacheMetrics(pointer.name, outcomes)
    if settings.redis_url.reveal():
        return RedisCache(prefix, metrics, settings)
    return MemoryCache(prefix, metrics, settings)


class CacheMetrics:
    """Counts what a model's cache knew."""

    def __init__(self, model: str, outcomes: Counter) -> None:
        self.hit = outcomes.labels(model, "hit")
        self.miss = outcomes.labels(model, "miss")
        self.error = outcomes.labels(model, "error")


class MemoryCache:
    """The last rows of one worker: at most `cache_rows`, each for `cache_ttl_s` seconds."""

    def __init__(self, prefix: bytes, metrics: CacheMetrics, settings: ServiceSettings) -> None:
        from cachetools import TTLCache

        self._prefix = prefix
        self._metrics = metrics
        self._known: TTLCache[bytes, Scores] = TTLCache(
            settings.cache_rows, settings.cache_ttl_s, timer=time.monotonic
        )

    async def get_many(self, rows: Rows) -> list[Scores] | None:
        """See `ResultCache`."""
        known = [self._known.get(key) for key in keys_of(self._prefix, rows)]
        found = [scores for scores in known if scores is not None]
        if len(found) < len(rows):
            self._metrics.miss.inc()
            return None
        self._metrics.hit.inc()
        return found

    def put_many(self, rows: Rows, scores: Sequence[Scores]) -> None:
        """See `ResultCache`."""
        self._known.update(zip(keys_of(self._prefix, rows), scores, strict=True))

    async def close(self) -> None:
        """See `ResultCache`."""
        self._known.clear()


class RedisCache:
    """The same for all replicas. A Redis that does not answer is as good as an empty one."""

    def __init__(self, prefix: bytes, metrics: CacheMetrics, settings: ServiceSettings) -> None:
        self._redis = connect(settings)
        self._prefix = prefix
        self._metrics = metrics
        self._ttl_ms = max(1, round(settings.cache_ttl_s * 1e3))
        self._timeout_s = settings.redis_timeout_s
        self._again = 0.0
        self._writes: set[asyncio.Task[None]] = set()

    async def get_many(self, rows: Rows) -> list[Scores] | None:
        """See `ResultCache`; the answer is there within the time allowed."""
        if time.monotonic() < self._again:
            self._metrics.error.inc()
            return None
        try:
            async with asyncio.timeout(self._timeout_s):
                texts = await self._redis.mget(keys_of(self._prefix, rows))
        except _failures() as err:
            self._leave_alone(err)
            return None
        if None in texts:
            self._metrics.miss.inc()
            return None
        self._metrics.hit.inc()
        return [array("f", text).tolist() for text in texts]

    def put_many(self, rows: Rows, scores: Sequence[Scores]) -> None:
        """See `ResultCache`; the answer does not wait for it."""
        if time.monotonic() < self._again or len(self._writes) >= MAX_PENDING_WRITES:
            return
        task = asyncio.get_running_loop().create_task(self._write(rows, scores))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def close(self) -> None:
        """See `ResultCache`."""
        await asyncio.gather(*self._writes)
        await self._redis.aclose()

    async def _write(self, rows: Rows, scores: Sequence[Scores]) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                pipe = self._redis.pipeline(transaction=False)
                for key, each in zip(keys_of(self._prefix, rows), scores, strict=True):
                    pipe.set(key, array("f", each).tobytes(), px=self._ttl_ms)
                await pipe.execute()
        except _failures() as err:
            self._leave_alone(err)

    def _leave_alone(self, err: BaseException) -> None:
        self._metrics.error.inc()
        if time.monotonic() >= self._again:
            logger.warning("result cache: Redis does not answer (%r); scoring without it", err)
        self._again = time.monotonic() + RETRY_S


def keys_of(prefix: bytes, rows: Rows) -> list[bytes]:
    """The name of each row: a digest of the model's and of the float32 numbers it is given."""
    model = hashlib.blake2b(prefix, digest_size=16).digest()
    matrix = np.asarray(rows.numbers, dtype=np.float32)
    return [hashlib.blake2b(row.tobytes(), key=model, digest_size=16).digest() for row in matrix]


def connect(settings: ServiceSettings) -> Any:
    """A client of the Redis of the settings that gives up in time and does not try again."""
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    return Redis.from_url(
        settings.redis_url.reveal(),
        socket_timeout=settings.redis_timeout_s,
        socket_connect_timeout=settings.redis_timeout_s,
        retry=Retry(NoBackoff(), 0),
    )


def _failures() -> tuple[type[BaseException], ...]:
    from redis.exceptions import RedisError

    return (RedisError, OSError, TimeoutError)
