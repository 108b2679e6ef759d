"""The result cache: scores of rows that were scored recently.

The key is the model's digest and the validated row as the model sees it. A cached answer is in
the traffic log and has an id of its own like every other. The cache is off by default: a light
model is faster than any cache.
"""

import asyncio
import hashlib
import logging
import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
from prometheus_client import Counter

from contracts.manifest import Pointer
from contracts.onnx_session import FLOAT32
from services.inference.rows import InputType, Rows
from services.settings import ServiceSettings

logger = logging.getLogger("bentoml.slipway")

CachedScores = Sequence[float]
"""The scores of one row, shape `(n_outputs,)`."""
RETRY_S = 1.0
"""Time without requests to a Redis that failed."""
MAX_PENDING_WRITES = 64
"""Concurrent writes to Redis; results beyond them are not cached."""


RowKeys = Callable[[Rows], list[bytes]]
"""The keys of rows, one each."""


class ResultCache(Protocol):
    """Keeps the scores of rows for one version of a model."""

    async def get_many(self, rows: Rows) -> list[CachedScores] | None:
        """The scores of these rows, shape `(n_rows, n_outputs)`; None if any is missing."""

    def put_many(self, rows: Rows, scores: Sequence[CachedScores]) -> None:
        """Keep the scores of these rows, shape `(n_rows, n_outputs)`."""

    async def close(self) -> None:
        """Release connections and memory."""


def open_cache(
    pointer: Pointer,
    settings: ServiceSettings,
    outcomes: Counter,
    dtype: InputType = FLOAT32,
) -> ResultCache | None:
    """The cache that the settings ask for; None if they ask for none for this model.

    `outcomes` counts lookups by model and by `hit`, `miss` or `error`. `dtype` is what the
    model takes: rows that are equal in it share a key.
    """
    wanted = {name.strip() for name in settings.cache_models.split(",")}
    if not wanted & {pointer.name, "*"}:
        return None
    # The last part names how scores are stored: as float64.
    prefix = f"{pointer.name}:{pointer.version}:{pointer.digest}:f8".encode()
    keys = partial(keys_of, prefix, dtype=dtype)
    metrics = CacheMetrics(pointer.name, outcomes)
    if settings.redis_url.reveal():
        return RedisCache(keys, metrics, settings)
    return MemoryCache(keys, metrics, settings)


class CacheMetrics:
    """Counts the lookups in a model's cache."""

    def __init__(self, model: str, outcomes: Counter) -> None:
        self.hit = outcomes.labels(model, "hit")
        self.miss = outcomes.labels(model, "miss")
        self.error = outcomes.labels(model, "error")


class MemoryCache:
    """A cache in one worker: at most `cache_rows` rows, each for `cache_ttl_s` seconds."""

    def __init__(self, keys: RowKeys, metrics: CacheMetrics, settings: ServiceSettings) -> None:
        from cachetools import TTLCache

        self._keys = keys
        self._metrics = metrics
        self._known: TTLCache[bytes, CachedScores] = TTLCache(
            settings.cache_rows, settings.cache_ttl_s, timer=time.monotonic
        )

    async def get_many(self, rows: Rows) -> list[CachedScores] | None:
        """The scores of these rows; None if any is missing."""
        known = [self._known.get(key) for key in self._keys(rows)]
        found = [scores for scores in known if scores is not None]
        if len(found) < len(rows):
            self._metrics.miss.inc()
            return None
        self._metrics.hit.inc()
        return found

    def put_many(self, rows: Rows, scores: Sequence[CachedScores]) -> None:
        """Keep the scores of these rows."""
        self._known.update(zip(self._keys(rows), scores, strict=True))

    async def close(self) -> None:
        """Release the memory."""
        self._known.clear()


class RedisCache:
    """A cache shared by all replicas. A Redis that does not answer counts as empty."""

    def __init__(self, keys: RowKeys, metrics: CacheMetrics, settings: ServiceSettings) -> None:
        self._redis = connect(settings)
        self._keys = keys
        self._metrics = metrics
        self._ttl_ms = max(1, round(settings.cache_ttl_s * 1e3))
        self._timeout_s = settings.redis_timeout_s
        self._paused_until = 0.0
        self._writes: set[asyncio.Task[None]] = set()

    async def get_many(self, rows: Rows) -> list[CachedScores] | None:
        """The scores of these rows, within the timeout; None if any is missing."""
        if time.monotonic() < self._paused_until:
            self._metrics.error.inc()
            return None
        try:
            async with asyncio.timeout(self._timeout_s):
                texts = await self._redis.mget(self._keys(rows))
        except _failures() as err:
            self._pause(err)
            return None
        if None in texts:
            self._metrics.miss.inc()
            return None
        self._metrics.hit.inc()
        return [array("d", text).tolist() for text in texts]

    def put_many(self, rows: Rows, scores: Sequence[CachedScores]) -> None:
        """Keep the scores of these rows, in a task of its own."""
        if time.monotonic() < self._paused_until or len(self._writes) >= MAX_PENDING_WRITES:
            return
        task = asyncio.get_running_loop().create_task(self._write(rows, scores))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def close(self) -> None:
        """Wait for pending writes, then close the connection."""
        await asyncio.gather(*self._writes)
        await self._redis.aclose()

    async def _write(self, rows: Rows, scores: Sequence[CachedScores]) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                pipe = self._redis.pipeline(transaction=False)
                for key, each in zip(self._keys(rows), scores, strict=True):
                    pipe.set(key, array("d", each).tobytes(), px=self._ttl_ms)
                await pipe.execute()
        except _failures() as err:
            self._pause(err)

    def _pause(self, err: BaseException) -> None:
        self._metrics.error.inc()
        if time.monotonic() >= self._paused_until:
            logger.warning("result cache: Redis does not answer (%r); scoring without it", err)
        self._paused_until = time.monotonic() + RETRY_S


def keys_of(prefix: bytes, rows: Rows, dtype: InputType) -> list[bytes]:
    """The key of each row: a digest of the version's prefix and of what the model gets.

    That is the row's numbers as `dtype`, or its JSON text.
    """
    model = hashlib.blake2b(prefix, digest_size=16).digest()
    contents: Iterable[bytes]
    if dtype is None:
        contents = map(bytes, rows.features)
    else:
        contents = (row.tobytes() for row in np.asarray(rows.numbers, dtype=dtype))
    return [hashlib.blake2b(each, key=model, digest_size=16).digest() for each in contents]


def connect(settings: ServiceSettings) -> Any:
    """A client of the configured Redis, with a timeout and without retries."""
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
