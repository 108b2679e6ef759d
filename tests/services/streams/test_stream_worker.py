"""What a worker publishes and acknowledges when not every message has an answer."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from contracts.errors import PlatformError
from services.streams.address import parse_address
from services.streams.message import StreamAnswer, StreamMessage, VersionPin
from services.streams.redis_sink import RedisSink, entry_of
from services.streams.stream_metrics import StreamMetrics, WorkerMetrics
from services.streams.worker import StreamWorker
from tests.services.streams.conftest import RedisServer

PIN = VersionPin(1, "ab" * 32)
METRICS = StreamMetrics()


def messages_of(*bodies: bytes) -> list[StreamMessage]:
    return [
        StreamMessage(
            stream="s",
            partition=0,
            offset=str(index),
            time_ms=1,
            body=body,
            correlation="",
            pin=PIN,
            key=b"key",
            headers=((b"tenant", b"shop"), (b"error", b"old"), (b"source", b"old")),
        )
        for index, body in enumerate(bodies)
    ]


class Ends:
    """Source, scorer, versions and sinks of a worker; a sink takes `max_bytes` a message."""

    n_redelivered = 0
    current = PIN

    def __init__(self, answers: Sequence[StreamAnswer | None], max_bytes: int) -> None:
        self.answers = answers
        self.max_bytes = max_bytes
        self.published: list[StreamAnswer] = []
        self.acknowledged: list[StreamMessage] = []

    async def read(self, _limit: int, _pin: VersionPin) -> list[StreamMessage]:
        return messages_of(b"a" * 50, b"b" * 5)

    async def score(self, _messages: Any, _stopping: Any) -> Sequence[StreamAnswer | None]:
        self.worker.stop()
        return self.answers

    async def publish(self, answers: Sequence[StreamAnswer]) -> list[StreamAnswer]:
        large = [a for a in answers if len(a.body) > self.max_bytes]
        self.published += [a for a in answers if a not in large]
        return large

    async def acknowledge(self, messages: Sequence[StreamMessage], _pin: VersionPin) -> None:
        self.acknowledged += messages

    async def lag(self) -> dict[int, int]:
        return {}

    async def release(self) -> None:
        """Nothing is loaded."""

    def run(self) -> None:
        ends: Any = self
        metrics = WorkerMetrics(METRICS, "tiny", "s")

        async def story() -> None:
            self.worker = StreamWorker(
                ends, ends, ends, ends, ends, metrics, batch_messages=9, max_deliveries=5
            )
            await self.worker.run()

        asyncio.run(story())


def test_nothing_is_acknowledged_while_an_earlier_message_has_no_answer() -> None:
    """In Kafka the offset of the last one would acknowledge the first one."""
    ends = Ends([None, StreamAnswer(messages_of(b"", b"")[1], b"{}")], 100)

    with pytest.raises(PlatformError, match="1 messages in hand that were not scored"):
        ends.run()
    assert ends.acknowledged == []


def test_an_answer_that_the_broker_never_takes_is_a_dead_letter() -> None:
    """The message itself is too large for a dead letter with its body."""
    large, small = messages_of(b"a" * 50, b"b" * 5)
    ends = Ends([StreamAnswer(large, b"x" * 60), StreamAnswer(small, b"{}")], 40)
    ends.run()
    letter = ends.published[-1]

    assert len(ends.published) == 2
    assert (letter.message, letter.body) == (large, b"")
    assert b"body_too_large" in letter.error
    assert ends.acknowledged == messages_of(b"a" * 50, b"b" * 5)


@pytest.mark.slow
def test_a_dead_letter_names_its_last_failure_in_packs_of_limited_size(
    redis_server: RedisServer, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.streams.redis_sink.MAX_PACK_BYTES", 200)
    bodies = [b"a" * 90, b"b" * 300, b"c", b"d" * 90, b"e" * 90]
    letters = [StreamAnswer(m, m.body, b"new") for m in messages_of(*bodies)]

    async def story() -> list[StreamAnswer]:
        address = parse_address(f"{redis_server.url}/{stream}", "--to")
        sink = RedisSink(address, max_entries=0, timeout_s=5)
        try:
            return await sink.publish(letters)
        finally:
            await sink.close()

    assert asyncio.run(story()) == []
    entries = redis_server.entries(stream)
    assert [e[b"body"] for e in entries] == bodies
    assert {(e[b"error"], e[b"tenant"]) for e in entries} == {(b"new", b"shop")}
    assert entries[0][b"source"] == b"s/0/0"
    names = entry_of(letters[0])[::2]
    assert len(set(names)) == len(names) == 5
