"""Kafka as a sink: an idempotent producer, flushed after each batch."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from services.streams.address import StreamAddress
from services.streams.broker import BrokerUnavailable
from services.streams.kafka_client import (
    START_BROKER,
    broker_error,
    check_topic,
    client_config,
    new_client,
    require_kafka,
)
from services.streams.message import StreamAnswer
from services.streams.settings import StreamSettings

MAX_FORWARDED_HEADERS = 100
"""Headers of a message that its dead letter has too."""


class KafkaSink:
    """Publishes answers to a topic, with the keys of their messages."""

    def __init__(self, address: StreamAddress, settings: StreamSettings) -> None:
        require_kafka()
        self._address = address
        self._timeout_s = settings.timeout_s
        self._config = {
            **client_config(address, settings),
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 5,
            "compression.type": "lz4",
            "message.timeout.ms": int(settings.timeout_s * 1e3),
        }
        self._producer: Any = None

    async def open(self) -> None:
        """Connect.

        Raises:
            NotFoundHere: there is no such topic.
            BrokerUnavailable: no broker answers.

        """
        self._producer = self._new_producer()
        check = partial(check_topic, self._producer, self._address, self._timeout_s)
        await asyncio.to_thread(check)

    async def publish(self, answers: Sequence[StreamAnswer]) -> list[StreamAnswer]:
        """Send a message per answer, and wait until every in-sync replica has all of them.

        Returns those that the client or the broker finds too large.
        """
        return await asyncio.to_thread(self._publish, answers)

    async def close(self) -> None:
        """Disconnect; nothing waits to be sent."""
        self._producer = None

    def _new_producer(self) -> Any:
        from confluent_kafka import Producer

        return new_client(Producer, self._config)

    def _publish(self, answers: Sequence[StreamAnswer]) -> list[StreamAnswer]:
        refused = self._send(answers)
        # A broker refuses all messages that came in one request with a large one.
        return [each for each in refused if len(answers) == 1 or self._send([each])]

    def _send(self, answers: Sequence[StreamAnswer]) -> list[StreamAnswer]:
        """Send answers; returns those that were refused for their size."""
        from confluent_kafka import KafkaError, KafkaException

        failures: list[Any] = []
        refused: list[StreamAnswer] = []

        def note(answer: StreamAnswer, error: Any, _record: Any = None) -> None:
            if error is not None and error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                refused.append(answer)
            elif error is not None:
                failures.append(error)

        producer, topic = self._producer, self._address.name
        for answer in answers:
            try:
                self._produce(producer, topic, answer, partial(note, answer))
            except KafkaException as err:
                note(answer, err.args[0])
            if failures:
                break
        n_left = 0 if failures else producer.flush(self._timeout_s + 1)
        if not failures and not n_left and not refused:
            return []
        # What is still queued would be sent later, out of order: a new producer begins again.
        producer.purge()
        self._producer = self._new_producer()
        if failures:
            raise broker_error(self._address, failures[0])
        if not n_left:
            return refused
        raise BrokerUnavailable(
            f"{self._address}: {n_left} messages were not acknowledged within "
            f"{self._timeout_s:g} s",
            remedy=START_BROKER,
        )

    def _produce(self, producer: Any, topic: str, answer: StreamAnswer, delivered: Any) -> None:
        message = answer.message
        headers: list[tuple[str, bytes]] = [
            ("request_id", message.correlation.encode()),
            ("source", message.position.encode()),
        ]
        if answer.error:
            own = {"request_id", "source", "error"}
            forwarded = [(n.decode(), v) for n, v in message.headers[:MAX_FORWARDED_HEADERS]]
            headers += [each for each in forwarded if each[0] not in own]
            headers.append(("error", answer.error))
        while True:
            try:
                producer.produce(
                    topic, answer.body, message.key, headers=headers, on_delivery=delivered
                )
            except BufferError:
                producer.poll(0.1)
            else:
                return
