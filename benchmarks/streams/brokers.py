"""The brokers of the benchmark, each behind the same few questions."""

import json
import shutil
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from tests.services.streams.kafka_brokers import make_topics, tansu
from tests.slipway.conftest import free_port

PARTITIONS = 6
KAFKA_SESSION_S = 6
"""The shortest session that brokers allow; a group gets over a death after that time."""

Answers = dict[str, list[bytes]]
"""By the position of a message, the bodies of all answers to it."""


class Broker(Protocol):
    """A running broker."""

    name: str

    def url(self, stream: str) -> str:
        """The address of a stream."""

    def make(self, stream: str) -> None:
        """Make a stream and the streams of its answers."""

    def send(self, stream: str, bodies: Sequence[bytes]) -> None:
        """Add messages."""

    def answers(self, stream: str) -> Answers:
        """All answers so far."""

    def n_answers(self, stream: str) -> int:
        """How many answers there are."""


class RedisBroker:
    """A redis-server that logs each write."""

    name = "Redis Streams"

    def __init__(self, port: int) -> None:
        from redis import Redis

        self._port = port
        self._client: Any = Redis(port=port)

    def url(self, stream: str) -> str:
        """The address of a stream."""
        return f"redis://127.0.0.1:{self._port}/{stream}"

    def make(self, stream: str) -> None:
        """Make a stream."""
        self._client.xgroup_create(stream, "slipway-loan", id="0", mkstream=True)

    def send(self, stream: str, bodies: Sequence[bytes]) -> None:
        """Add messages."""
        for start in range(0, len(bodies), 1000):
            pipe = self._client.pipeline(transaction=False)
            for body in bodies[start : start + 1000]:
                pipe.xadd(stream, {"body": body})
            pipe.execute()

    def answers(self, stream: str) -> Answers:
        """All answers so far."""
        found: Answers = defaultdict(list)
        for _, fields in self._client.xrange(f"{stream}.out"):
            found[fields[b"source"].decode()].append(fields[b"body"])
        return found

    def n_answers(self, stream: str) -> int:
        """How many answers there are."""
        return int(self._client.xlen(f"{stream}.out"))


class KafkaBroker:
    """Tansu, a broker in a wheel."""

    name = "Kafka protocol"

    def __init__(self, server: str) -> None:
        self._server = server

    def url(self, stream: str) -> str:
        """The address of a topic."""
        return f"kafka://{self._server}/{stream}"

    def make(self, stream: str) -> None:
        """Make a topic and those of its answers."""
        names = (stream, f"{stream}.out", f"{stream}.dead-letters")
        make_topics(self._server, *names, partitions=PARTITIONS)

    def send(self, stream: str, bodies: Sequence[bytes]) -> None:
        """Add messages."""
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": self._server, "linger.ms": 20})
        for index, body in enumerate(bodies):
            while True:
                try:
                    producer.produce(stream, body, key=b"%d" % index)
                    break
                except BufferError:
                    producer.poll(0.1)
        producer.flush(120)

    def answers(self, stream: str) -> Answers:
        """All answers so far."""
        from confluent_kafka import Consumer, TopicPartition

        consumer: Any = Consumer({"bootstrap.servers": self._server, "group.id": "reader"})
        topic = f"{stream}.out"
        consumer.assign([TopicPartition(topic, p, 0) for p in range(PARTITIONS)])
        count = self.n_answers(stream)
        found: Answers = defaultdict(list)
        deadline = time.monotonic() + 120
        while sum(map(len, found.values())) < count and time.monotonic() < deadline:
            for each in consumer.consume(10_000, 0.5):
                if each.error() is None:
                    found[dict(each.headers())["source"].decode()].append(each.value())
        consumer.close()
        return found

    def n_answers(self, stream: str) -> int:
        """How many answers there are."""
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer({"bootstrap.servers": self._server, "group.id": "reader"})
        places = [TopicPartition(f"{stream}.out", p) for p in range(PARTITIONS)]
        ends = [consumer.get_watermark_offsets(place, timeout=10)[1] for place in places]
        consumer.close()
        return sum(ends)


@contextmanager
def redis_broker(root: Path) -> Iterator[RedisBroker]:
    """A redis-server with a log of each write."""
    port = free_port()
    process = subprocess.Popen(
        [
            *(shutil.which("redis-server") or "redis-server", "--port", str(port)),
            *("--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--dir", str(root)),
        ],
        stdout=subprocess.DEVNULL,
    )
    time.sleep(1)
    try:
        yield RedisBroker(port)
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def kafka_broker() -> Iterator[KafkaBroker]:
    """Tansu, in memory."""
    with tansu() as server:
        time.sleep(1)
        yield KafkaBroker(server)


def prediction_ids(bodies: Sequence[bytes]) -> set[str]:
    """The ids in answers."""
    return {json.loads(body)["prediction_id"] for body in bodies}
