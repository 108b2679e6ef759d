"""Messages of a Redis stream are answered as HTTP answers them, once per id, whatever dies."""

import itertools
import json
import random
import time
import urllib.request

import pytest

from contracts.names import Layout
from contracts.schema import Violation
from monitoring.traffic.lookup import find_prediction
from services.metrics import Metrics
from services.protocols.batch import PredictBatch
from services.protocols.row import PredictRow
from tests import tiny
from tests.services.streams.conftest import (
    RedisServer,
    StartWorker,
    TwoVersions,
    answers_of_the_service,
    await_true,
    is_done,
    row_body,
    same_scores,
)
from tests.slipway.conftest import free_port

pytestmark = pytest.mark.slow


def test_a_stream_gets_the_answers_that_http_gives(
    place: TwoVersions,
    metrics: Metrics,
    redis_server: RedisServer,
    start_worker: StartWorker,
    stream: str,
) -> None:
    """Equal to the last bit, whatever the batches are; the keys are those of HTTP but `time`."""
    bodies = [row_body(i) for i in range(300)]
    bodies += [
        json.dumps(tiny.GOOD | change).encode() for change in ({"income": 2e6}, {"lines": 99})
    ]
    together = b'{"rows":[%b]}' % b",".join(bodies)
    (batch,) = answers_of_the_service(place, metrics, PredictBatch, [together])
    (alone,) = answers_of_the_service(place, metrics, PredictRow, bodies[-1:])
    redis_server.add(stream, bodies, request_id="order-{}")
    start_worker(f"{redis_server.url}/{stream}")

    await_true(lambda: redis_server.client.xlen(f"{stream}.out") == len(bodies))
    entries = redis_server.entries(f"{stream}.out")
    answers = [json.loads(entry[b"body"]) for entry in entries]

    assert all(same_scores(*pair) for pair in zip(answers, batch["results"], strict=True))
    assert answers[-1].keys() == alone.keys() - {"time"}
    assert [e[b"request_id"] for e in entries] == [b"order-%d" % i for i in range(len(bodies))]


def test_predictions_are_in_the_traffic_log_by_their_ids(
    place: TwoVersions, redis_server: RedisServer, start_worker: StartWorker, stream: str
) -> None:
    (offset,) = redis_server.add(stream, [row_body(0)])
    worker = start_worker(f"{redis_server.url}/{stream}")
    await_true(lambda: redis_server.client.xlen(f"{stream}.out"))
    (entry,) = redis_server.entries(f"{stream}.out")
    answer = json.loads(entry[b"body"])
    record = find_prediction(Layout(place.var), answer["prediction_id"])

    assert record.request_id == f"{stream}/0/{offset.decode()}" == entry[b"source"].decode()
    assert (record.scores, record.version) == (answer["probabilities"], answer["version"])
    assert worker.stop() == 0
    assert "stopped: nothing is in hand" in worker.text()


def test_a_message_of_several_rows_gets_an_answer_or_an_error_for_each(
    place: TwoVersions,
    metrics: Metrics,
    redis_server: RedisServer,
    start_worker: StartWorker,
    stream: str,
) -> None:
    bodies = [
        json.dumps({"rows": [tiny.GOOD, tiny.GOOD | {"age": 5}, tiny.GOOD]}).encode(),
        json.dumps({"columns": {name: [value] * 3 for name, value in tiny.GOOD.items()}}).encode(),
    ]
    redis_server.add(stream, bodies)
    start_worker(f"{redis_server.url}/{stream}")
    await_true(lambda: redis_server.client.xlen(f"{stream}.out") == len(bodies))
    found = [json.loads(e[b"body"]) for e in redis_server.entries(f"{stream}.out")]
    batches = answers_of_the_service(place, metrics, PredictBatch, bodies)

    for answer, other in zip(found, batches, strict=True):
        assert answer["failed"] == other["failed"]
        pairs = zip(answer["results"], other["results"], strict=True)
        assert all(same_scores(*pair) for pair in pairs)
    ids = [row["prediction_id"] for a in found for row in a["results"] if "error" not in row]
    assert len(set(ids)) == len(ids) == 5


def test_a_poison_message_becomes_a_dead_letter_and_harms_no_other(
    redis_server: RedisServer, start_worker: StartWorker, stream: str
) -> None:
    poison = [b"\xff\x00 no JSON", json.dumps(tiny.GOOD | {"age": 5}).encode(), b"", b"{" * 999]
    bodies = [each for pair in zip(poison, map(row_body, range(4)), strict=True) for each in pair]
    redis_server.add(stream, bodies, request_id="order-{}", tenant="shop-{}")
    redis_server.client.xadd(stream, {"wrong": "field"})
    start_worker(f"{redis_server.url}/{stream}")
    await_true(lambda: redis_server.client.xlen(f"{stream}.dead-letters") == 5)
    letters = redis_server.entries(f"{stream}.dead-letters")
    errors = [json.loads(letter[b"error"])["error"] for letter in letters]
    violation = Violation(**errors[1]["violations"][0])

    assert [letter[b"body"] for letter in letters] == [*poison, b""]
    assert [e["code"] for e in errors] == ["invalid_json", "invalid_request", *["invalid_json"] * 3]
    assert violation == Violation("age", "a number 18..100 [years]", "5")
    assert (letters[1][b"request_id"], letters[1][b"tenant"]) == (b"order-2", b"shop-2")
    assert letters[4][b"wrong"] == b"field"
    assert redis_server.client.xlen(f"{stream}.out") == 4
    await_true(lambda: redis_server.n_pending(stream) == 0)


def test_a_replayed_message_gets_the_same_id_and_bytes_after_a_swap(
    place: TwoVersions, redis_server: RedisServer, start_worker: StartWorker, stream: str
) -> None:
    """The first worker publishes and cannot acknowledge; then production moves; then it dies."""
    url = f"{redis_server.url}/{stream}"
    redis_server.client.acl_setuser(
        "no-ack", enabled=True, nopass=True, keys=["*"], categories=["+@all"], commands=["-xack"]
    )
    redis_server.add(stream, [row_body(i) for i in range(20)])
    first = start_worker(url.replace("//", "//no-ack:any@"), "--dead-letters", f"{url}.dead")
    await_true(lambda: redis_server.client.xlen(f"{stream}.out") == 20)
    await_true(lambda: "acknowledge:" in first.text())
    first.kill()
    place.promote(2)
    redis_server.add(stream, [row_body(i) for i in range(20, 30)])
    start_worker(url)
    await_true(lambda: redis_server.client.xlen(f"{stream}.out") == 50)
    by_source: dict[bytes, list[bytes]] = {}
    for entry in redis_server.entries(f"{stream}.out"):
        by_source.setdefault(entry[b"source"], []).append(entry[b"body"])
    bodies = list(by_source.values())
    versions = [json.loads(each[0])["version"] for each in bodies]

    assert [len(each) for each in bodies] == [2] * 20 + [1] * 10
    assert all(len(set(each)) == 1 for each in bodies)
    assert versions == [1] * 20 + [2] * 10
    assert len({json.loads(each[0])["prediction_id"] for each in bodies}) == 30


def test_production_is_followed_between_two_messages(
    place: TwoVersions, redis_server: RedisServer, start_worker: StartWorker, stream: str
) -> None:
    worker = start_worker(f"{redis_server.url}/{stream}")
    await_true(lambda: "version 1" in worker.text() or not redis_server.add(stream, [row_body(0)]))
    sent = itertools.count(1)

    def answers_with(version: int) -> bool:
        redis_server.add(stream, [row_body(next(sent))])
        entries = redis_server.entries(f"{stream}.out")
        return bool(entries) and json.loads(entries[-1][b"body"])["version"] == version

    await_true(lambda: answers_with(1))
    place.promote(2)
    await_true(lambda: answers_with(2))
    versions = [json.loads(e[b"body"])["version"] for e in redis_server.entries(f"{stream}.out")]

    assert versions == sorted(versions)
    assert set(versions) == {1, 2}
    assert worker.stop() == 0


def test_kills_lose_nothing_and_give_nothing_a_second_id(
    place: TwoVersions, redis_server: RedisServer, start_worker: StartWorker, stream: str
) -> None:
    """Three workers, killed at random moments while production moves to and fro."""
    url, n_messages = f"{redis_server.url}/{stream}", 6_000
    redis_server.add(stream, [row_body(0)])
    chance = random.Random(13)
    workers = [start_worker(url, "--batch", "40") for _ in range(3)]
    await_true(lambda: is_done(redis_server, stream))
    for kill in range(5):
        redis_server.add(stream, [row_body(i) for i in range(1, 1 + n_messages // 5)])
        time.sleep(chance.uniform(0.1, 0.8))
        workers[kill % 3].kill()
        place.promote(1 + kill % 2)
        workers[kill % 3] = start_worker(url, "--batch", "40")
    await_true(lambda: is_done(redis_server, stream), 60)
    # A worker that is still starting ends by the signal itself.
    await_true(lambda: all("tiny version" in worker.text() for worker in workers), 60)
    codes = [worker.stop() for worker in workers]
    by_id: dict[str, set[bytes]] = {}
    sources: dict[str, set[bytes]] = {}
    for entry in redis_server.entries(f"{stream}.out"):
        identity = json.loads(entry[b"body"])["prediction_id"]
        by_id.setdefault(identity, set()).add(entry[b"body"])
        sources.setdefault(identity, set()).add(entry[b"source"])

    assert len(by_id) == n_messages + 1
    assert len(set().union(*sources.values())) == n_messages + 1
    assert all(len(bodies) == 1 for bodies in by_id.values())
    assert codes == [0, 0, 0]


def test_what_a_worker_does_is_in_its_metrics(
    redis_server: RedisServer, start_worker: StartWorker, stream: str
) -> None:
    port = free_port()
    redis_server.add(stream, [*map(row_body, range(30)), b"poison"])
    start_worker(f"{redis_server.url}/{stream}", "--metrics-port", str(port))
    await_true(lambda: redis_server.client.xlen(f"{stream}.out") == 30)

    def page() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    who = f'model="tiny",stream="{stream}"'
    await_true(
        lambda: (
            f'slipway_stream_lag_messages{{model="tiny",partition="0",stream="{stream}"}} 0.0'
            in page()
        )
    )
    text = page()
    assert (
        f'slipway_stream_messages_total{{model="tiny",outcome="predicted",stream="{stream}"}} 30.0'
        in text
    )
    assert (
        f'slipway_stream_messages_total{{model="tiny",outcome="rejected",stream="{stream}"}} 1.0'
        in text
    )
    assert f"slipway_stream_batch_messages_sum{{{who}}} 31.0" in text
    assert f"slipway_stream_redelivered_total{{{who}}} 0.0" in text
