"""Partitions that move within a read, and messages that end every worker that has them."""

import asyncio
import time
from typing import Any

import pytest
from confluent_kafka import OFFSET_INVALID, TopicPartition

from services.streams.kafka_source import KafkaSource
from services.streams.message import StreamMessage
from tests.services.streams.conftest import row_body
from tests.services.streams.kafka_brokers import OLD, QUICK, address_of, produce, read_some

pytestmark = pytest.mark.slow


def test_a_message_that_ends_its_workers_comes_alone_and_is_counted(metadata_broker: str) -> None:
    """Closing a source with messages in hand leaves the partition as a killed worker does."""
    bodies = [row_body(i) for i in range(12)]
    produce(metadata_broker, "fatal", bodies)
    address, fatal = address_of(metadata_broker, "fatal"), bodies[5]

    async def life(done: list[bytes]) -> list[StreamMessage]:
        """What a worker had in hand when the message ended it, or gave it up."""
        source = KafkaSource(address, "g", QUICK)
        await source.open()
        try:
            while True:
                messages = await read_some(source, 1, OLD)
                if any(m.body == fatal and m.deliveries < 3 for m in messages):
                    return messages
                await source.acknowledge(messages, OLD)
                done += [m.body for m in messages]
                if fatal in done:
                    return messages
        finally:
            await source.close()

    async def story() -> tuple[list[list[StreamMessage]], list[bytes]]:
        lives: list[list[StreamMessage]] = []
        done: list[bytes] = []
        while fatal not in done:
            lives.append(await life(done))
        source = KafkaSource(address, "g", QUICK)
        await source.open()
        while len(done) < len(bodies):
            messages = await read_some(source, 1, OLD)
            await source.acknowledge(messages, OLD)
            done += [m.body for m in messages]
        await source.close()
        return lives, done

    lives, done = asyncio.run(story())

    assert sorted(done) == sorted(bodies)
    assert len(lives) <= 5
    assert [m.body for m in lives[-1]] == [fatal]
    assert lives[-1][0].deliveries == 3


def test_what_a_rebalance_moves_within_a_read_is_not_touched(metadata_broker: str) -> None:
    """It comes between the two calls of the client that a read makes."""
    produce(metadata_broker, "within", [row_body(i) for i in range(40)])
    address = address_of(metadata_broker, "within")

    class Moving:
        """The consumer, which loses the partition of the first record of a read."""

        def __init__(self, source: Any) -> None:
            self.source, self.consumer = source, source._consumer
            self.first: Any = None
            self.lost: int | None = None

        def __getattr__(self, name: str) -> Any:
            return getattr(self.consumer, name)

        def consume(self, limit: int, timeout_s: float) -> list[Any]:
            if limit > 1 and self.lost is None:
                self.lost = self.first.partition()
                place = TopicPartition("within", self.lost)
                self.source._give_up(self.consumer, [place])
                self.consumer.incremental_unassign([place])
            found: list[Any] = self.consumer.consume(limit, timeout_s)
            if limit == 1 and found:
                self.first = found[0]
            return found

    async def story() -> tuple[int, list[StreamMessage], Any]:
        source = KafkaSource(address, "g", QUICK)
        await source.open()
        moving = Moving(source)
        source._consumer = moving
        messages: list[StreamMessage] = []
        deadline = time.monotonic() + 30
        while not (messages and moving.lost is not None) and time.monotonic() < deadline:
            messages += await source.read(500, OLD)
        lost = moving.lost
        assert lost is not None
        (kept,) = moving.committed([TopicPartition("within", lost)], timeout=5)
        await source.close()
        return lost, messages, kept

    lost, messages, kept = asyncio.run(story())

    assert messages
    assert lost not in {m.partition for m in messages}
    assert (kept.offset, kept.metadata) in {(OFFSET_INVALID, None), (OFFSET_INVALID, "")}
