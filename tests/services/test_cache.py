"""A row that was scored a moment ago is not scored again, and is a prediction of its own."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter

from contracts.manifest import Pointer
from contracts.settings import Secret
from services.inference.cache import ResultCache, open_cache
from services.inference.decode import Decoder
from services.inference.rows import Rows, join_rows
from services.settings import ServiceSettings
from tests import tiny
from tests.services.conftest import Redis, serving
from tests.services.http_client import ask, changed, metric

GOLDEN = Path(__file__).parents[1] / "contracts/golden"
POINTER = Pointer.read((GOLDEN / "pointer.v1.json").read_bytes())
DECODER = Decoder(tiny.SCHEMA)
WHO = 'variant="production",version="1"'


def row(**changes: object) -> Rows:
    return DECODER.one(json.dumps(tiny.GOOD | changes).encode())


def counter() -> Counter:
    return Counter("cache", "-", ["model", "outcome"], registry=CollectorRegistry())


def cache_of(outcomes: Counter, pointer: Pointer = POINTER, **settings: Any) -> ResultCache:
    opened = open_cache(pointer, ServiceSettings(cache_models="*", **settings), outcomes)
    assert opened is not None
    return opened


def count(outcomes: Counter, outcome: str) -> float:
    return outcomes.labels(POINTER.name, outcome)._value.get()


def test_it_is_off_unless_the_model_is_named() -> None:
    assert open_cache(POINTER, ServiceSettings(), counter()) is None
    assert open_cache(POINTER, ServiceSettings(cache_models="other"), counter()) is None
    named = ServiceSettings(cache_models=f"other, {POINTER.name}")
    assert open_cache(POINTER, named, counter()) is not None


def test_scores_are_known_by_row_and_version_until_they_are_old() -> None:
    async def story() -> None:
        outcomes = counter()
        cache = cache_of(outcomes, cache_ttl_s=0.2)
        assert await cache.get_many(row()) is None
        cache.put_many(join_rows([row(), row(age=41)]), [[0.25, 0.75], [0.5, 0.5]])
        assert await cache.get_many(join_rows([row(age=41), row()])) == [[0.5, 0.5], [0.25, 0.75]]
        assert await cache.get_many(join_rows([row(), row(age=42)])) is None
        assert (count(outcomes, "hit"), count(outcomes, "miss")) == (1, 2)
        await asyncio.sleep(0.3)
        assert await cache.get_many(row()) is None

    asyncio.run(story())


def test_a_missing_value_is_a_value_and_the_rows_are_bounded() -> None:
    async def story() -> None:
        cache = cache_of(counter(), cache_rows=2)
        cache.put_many(row(income=None), [[1.0]])
        assert await cache.get_many(row(income=None)) == [[1.0]]
        cache.put_many(join_rows([row(age=a) for a in (20, 21, 22)]), [[1.0]] * 3)
        known = [await cache.get_many(row(age=a)) for a in (20, 21, 22)]
        assert known == [None, [[1.0]], [[1.0]]]

    asyncio.run(story())


@pytest.mark.slow
def test_replicas_share_a_redis_and_versions_do_not_mix(redis: Redis) -> None:
    import msgspec

    async def story() -> None:
        outcomes = counter()
        shared: dict[str, Any] = {"redis_url": Secret(redis.url), "redis_timeout_s": 1.0}
        ours, other = (cache_of(outcomes, **shared) for _ in range(2))
        newer = cache_of(outcomes, msgspec.structs.replace(POINTER, digest="f" * 64), **shared)
        ours.put_many(row(), [[0.1, 0.9]])
        for _ in range(50):
            known = await other.get_many(row())
            if known:
                break
            await asyncio.sleep(0.02)
        assert known is not None
        assert known[0] == pytest.approx([0.1, 0.9], abs=1e-7)
        assert await newer.get_many(row()) is None
        for cache in (ours, other, newer):
            await cache.close()

    asyncio.run(story())


@pytest.mark.slow
def test_a_redis_that_dies_or_hangs_costs_fifty_milliseconds_once(redis: Redis) -> None:
    import os
    import signal

    async def story() -> None:
        outcomes = counter()
        cache = cache_of(outcomes, redis_url=Secret(redis.url))
        await cache.get_many(row())
        os.kill(redis.process.pid, signal.SIGSTOP)
        waits = []
        for _ in range(20):
            begin = time.monotonic()
            assert await cache.get_many(row()) is None
            cache.put_many(row(), [[1.0]])
            waits.append(time.monotonic() - begin)
        os.kill(redis.process.pid, signal.SIGCONT)
        assert max(waits) < 0.5
        assert sorted(waits)[-2] < 0.02
        assert count(outcomes, "error") >= 20
        redis.stop()
        await asyncio.sleep(1.1)
        assert await cache.get_many(row()) is None
        await cache.close()

    asyncio.run(story())


@pytest.mark.slow
def test_an_answer_from_the_cache_is_a_prediction_of_its_own(models: Path, tmp_path: Path) -> None:
    with serving(tmp_path, models, SLIPWAY_SERVICE_CACHE="tiny") as service:
        body = changed(age=33.25)
        answers = [ask(service, "/models/tiny/predict", body)[1] for _ in range(3)]
        batch = json.dumps({"rows": [tiny.GOOD | {"age": 33.25}]}).encode()
        _, batched, _ = ask(service, "/models/tiny/predict/batch", batch)
        hits = metric(service, 'slipway_cache_requests_total{model="tiny",outcome="hit"}')
        calls = metric(service, 'slipway_batch_rows_count{model="tiny"}')
        rows = metric(
            service,
            'slipway_predictions_total{model="tiny",prediction="yes",variant="production",version="1"}',
        )
        rows += metric(
            service,
            'slipway_predictions_total{model="tiny",prediction="no",variant="production",version="1"}',
        )

    assert len({a["prediction_id"] for a in answers}) == 3
    assert len({json.dumps(a["probabilities"]) for a in answers}) == 1
    assert batched["results"][0]["probabilities"] == answers[0]["probabilities"]
    assert (hits, calls, rows) == (3, 1, 4)
