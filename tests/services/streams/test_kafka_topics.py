"""Messages of a Kafka topic are answered once per id, through rebalances, deaths and swaps."""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer
from msgspec.structs import replace

from contracts.errors import InvalidSetting, InvalidUsage, NotFoundHere
from services.streams.address import parse_address
from services.streams.broker import BrokerUnavailable
from services.streams.kafka_client import client_config
from services.streams.kafka_sink import KafkaSink
from services.streams.kafka_source import KafkaSource
from services.streams.message import StreamAnswer, StreamMessage, VersionPin
from services.streams.settings import StreamSettings
from tests import tiny
from tests.services.streams.conftest import StartWorker, row_body
from tests.services.streams.kafka_brokers import (
    NEW,
    OLD,
    QUICK,
    address_of,
    make_topics,
    produce,
    rdkafka,
    read_some,
    tansu,
)
from tests.slipway.conftest import free_port

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def real() -> Iterator[str]:
    with tansu() as server:
        yield server


def consumed(server: str, topic: str, count: int) -> list[tuple[bytes, bytes, dict[str, bytes]]]:
    """Key, value and headers of the first messages of a topic."""
    consumer: Any = Consumer(
        {
            "bootstrap.servers": server,
            "group.id": f"reader-{time.time_ns()}",
            "auto.offset.reset": "earliest",
            "session.timeout.ms": 6000,
        }
    )
    consumer.subscribe([topic])
    found: list[Any] = []
    deadline = time.monotonic() + 40
    while len(found) < count and time.monotonic() < deadline:
        found += [m for m in consumer.consume(count, 0.2) if m.error() is None]
    consumer.close()
    return [(m.key(), m.value(), dict(m.headers() or ())) for m in found]


def pins_of(messages: Sequence[StreamMessage]) -> set[VersionPin]:
    return {message.pin for message in messages}


def test_a_topic_is_answered_with_keys_ids_and_dead_letters(
    real: str, start_worker: StartWorker
) -> None:
    make_topics(real, "orders", "orders.out", "orders.dead-letters")
    produce(real, "orders", [row_body(i) for i in range(60)], headers={"x-request-id": b"order"})
    poison = json.dumps(tiny.GOOD | {"age": 5}).encode()
    produce(real, "orders", [poison], headers={"tenant": b"shop"})
    worker = start_worker(f"kafka://{real}/orders", SLIPWAY_STREAM_TAKEOVER_S="6")
    answers = consumed(real, "orders.out", 60)
    ((key, value, headers),) = consumed(real, "orders.dead-letters", 1)
    code = worker.stop()
    ids = {json.loads(body)["prediction_id"] for _, body, _ in answers}

    assert len(ids) == len(answers) == 60
    assert {each for each, _, _ in answers} == {b"%d" % i for i in range(60)}
    assert {h["request_id"] for _, _, h in answers} == {b"order"}
    assert len({h["source"] for _, _, h in answers}) == 60
    assert (key, value) == (b"0", poison)
    assert json.loads(headers["error"])["error"]["violations"][0]["path"] == "age"
    assert (headers["tenant"], headers["request_id"]) == (b"shop", b"0")
    assert code == 0
    assert "keeps no metadata" in worker.text()


def test_a_topic_that_is_missing_ends_it_with_a_remedy(real: str) -> None:
    async def story() -> None:
        source = KafkaSource(address_of(real, "nowhere"), "g", QUICK)
        try:
            await source.open()
        finally:
            await source.close()

    with pytest.raises(NotFoundHere, match="expected a topic") as failed:
        asyncio.run(story())
    assert f"--bootstrap-server {real} --create --topic nowhere" in failed.value.remedy
    with pytest.raises(NotFoundHere, match="expected a topic"):
        asyncio.run(KafkaSink(address_of(real, "nowhere"), QUICK).open())


def test_a_broker_that_is_away_at_the_start_ends_it_with_a_remedy() -> None:
    address = address_of(f"127.0.0.1:{free_port()}", "orders")

    with pytest.raises(BrokerUnavailable) as failed:
        asyncio.run(KafkaSink(address, StreamSettings(timeout_s=1.0)).open())
    assert "start the broker" in failed.value.remedy


def test_messages_in_hand_keep_their_version_when_their_worker_dies(metadata_broker: str) -> None:
    """The second worker has another version in production, and smaller batches."""
    produce(metadata_broker, "kept", [row_body(i) for i in range(100)])
    address = address_of(metadata_broker, "kept")

    async def story() -> tuple[list[StreamMessage], ...]:
        first = KafkaSource(address, "g", QUICK)
        await first.open()
        in_hand = await read_some(first, 1, OLD, limit=40)
        await first.close()
        second = KafkaSource(address, "g", QUICK)
        await second.open()
        again: list[StreamMessage] = []
        while len(again) < 100:
            messages = await second.read(7, NEW)
            await second.acknowledge(messages, NEW)
            again += messages
        lag = await second.lag()
        await second.close()
        assert set(lag.values()) == {0}
        return in_hand, again

    in_hand, again = asyncio.run(story())
    by_position = {m.position: m for m in again}

    assert pins_of(in_hand) == {OLD}
    assert len(by_position) == len(again) == 100
    assert all(replace(by_position[m.position], deliveries=0) == m for m in in_hand)
    assert pins_of(again) == {OLD, NEW}


def test_production_moves_at_once_where_nothing_was_in_hand(metadata_broker: str) -> None:
    produce(metadata_broker, "moved", [row_body(i) for i in range(20)])
    address = address_of(metadata_broker, "moved")

    async def story() -> list[StreamMessage]:
        first = KafkaSource(address, "g", QUICK)
        await first.open()
        done = 0
        while done < 20:
            messages = await first.read(50, OLD)
            await first.acknowledge(messages, OLD)
            done += len(messages)
        await first.close()
        produce(metadata_broker, "moved", [row_body(i) for i in range(20)])
        second = KafkaSource(address, "g", QUICK)
        await second.open()
        messages = await read_some(second, 20, NEW)
        await second.close()
        return messages

    assert pins_of(asyncio.run(story())) == {NEW}


def test_a_rebalance_loses_nothing(metadata_broker: str) -> None:
    """A second worker joins in the middle, the first one leaves."""
    produce(metadata_broker, "shared", [row_body(i) for i in range(400)])
    address = address_of(metadata_broker, "shared")

    async def work(source: KafkaSource, done: list[str], until: int) -> None:
        deadline = time.monotonic() + 60
        while len(set(done)) < until and time.monotonic() < deadline:
            messages = await source.read(20, OLD)
            await source.acknowledge(messages, OLD)
            done += [m.position for m in messages]

    async def story() -> list[str]:
        done: list[str] = []
        first, second = (KafkaSource(address, "g", QUICK) for _ in range(2))
        await first.open()
        await work(first, done, 100)
        await second.open()
        joined = asyncio.create_task(work(second, done, 400))
        await work(first, done, 250)
        await first.close()
        await joined
        await second.close()
        return done

    done = asyncio.run(story())

    assert len(set(done)) == 400


def test_a_broker_that_goes_away_is_reported() -> None:
    message = StreamMessage(
        stream="s", partition=0, offset="1", time_ms=1, body=b"", correlation="", pin=OLD
    )
    quick = StreamSettings(takeover_s=6.0, timeout_s=1.0)

    async def story() -> list[str]:
        with rdkafka() as (server, process):
            produce(server, "gone", [b"{}"])
            source, sink = (
                KafkaSource(address_of(server, "gone"), "g", quick),
                KafkaSink(address_of(server, "gone"), quick),
            )
            await source.open()
            await sink.open()
            await sink.publish([StreamAnswer(message, b"{}")])
            process.kill()
            process.wait(30)
            texts = []
            with pytest.raises(BrokerUnavailable) as publishing:
                await sink.publish([StreamAnswer(message, b"{}")])
            texts.append(publishing.value.remedy)
            with pytest.raises(BrokerUnavailable) as reading:
                await read_some(source, 10, OLD)
            texts.append(reading.value.remedy)
            return texts

    assert asyncio.run(story()) == ["start the broker, or check the address"] * 2


def test_a_slow_broker_is_waited_for() -> None:
    message = StreamMessage(
        stream="s", partition=0, offset="1", time_ms=1, body=b"", correlation="", pin=OLD
    )
    with rdkafka(rtt_ms=400) as (server, _):
        produce(server, "slow", [b"{}"])

        async def story() -> None:
            sink = KafkaSink(address_of(server, "slow"), QUICK)
            await sink.open()
            await sink.publish([StreamAnswer(message, b"answer")] * 50)
            await sink.close()

        asyncio.run(story())
        values = [value for _, value, _ in consumed(server, "slow", 51)]

    assert values.count(b"answer") == 50


def test_further_settings_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "kafka.properties"
    path.write_text("# comment\nsecurity.protocol = SASL_SSL\nsasl.username=ada\n\n")
    address = address_of("broker:9092", "orders")
    config = client_config(address, StreamSettings(kafka_config=str(path)))

    assert (config["security.protocol"], config["sasl.username"]) == ("SASL_SSL", "ada")
    assert config["bootstrap.servers"] == "broker:9092"
    path.write_text("no setting\n")
    with pytest.raises(InvalidSetting, match="line 1"):
        client_config(address, StreamSettings(kafka_config=str(path)))
    with pytest.raises(InvalidSetting, match="expected a readable file"):
        client_config(address, StreamSettings(kafka_config=str(path) + ".x"))
    with pytest.raises(InvalidUsage, match="no user"):
        client_config(parse_address("kafka://a:b@c/d", "--to"), StreamSettings())


def test_an_answer_that_is_too_large_is_returned_and_harms_no_other(metadata_broker: str) -> None:
    message = StreamMessage(
        stream="s", partition=0, offset="1", time_ms=1, body=b"", correlation="", pin=OLD
    )
    produce(metadata_broker, "sizes", [b"answer"])
    large, small = (StreamAnswer(message, body) for body in (b"x" * 2_000_000, b"answer"))

    async def story() -> list[StreamAnswer]:
        sink = KafkaSink(address_of(metadata_broker, "sizes"), QUICK)
        await sink.open()
        return await sink.publish([small, large, small])

    assert asyncio.run(story()) == [large]
    assert [value for _, value, _ in consumed(metadata_broker, "sizes", 3)] == [b"answer"] * 3


def test_a_setting_that_the_client_refuses_is_named(tmp_path: Path) -> None:
    path = tmp_path / "kafka.properties"
    path.write_text("no.such.setting=1\n")
    address = address_of(f"127.0.0.1:{free_port()}", "orders")
    typo = StreamSettings(kafka_config=str(path), timeout_s=1.0)

    with pytest.raises(InvalidSetting, match=r"no\.such\.setting"):
        KafkaSource(address, "g", typo)
    with pytest.raises(InvalidSetting, match=r"no\.such\.setting"):
        asyncio.run(KafkaSink(address, typo).open())


def test_a_worker_may_be_given_up_after_ten_minutes() -> None:
    address = address_of(f"127.0.0.1:{free_port()}", "orders")

    async def story() -> None:
        await KafkaSource(address, "g", StreamSettings(takeover_s=600.0)).close()

    asyncio.run(story())
