"""Kafka as a source: a consumer group whose commits name the version of what follows.

The pin is described in `kafka_partition`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from services.streams.address import StreamAddress
from services.streams.kafka_client import (
    broker_error,
    check_topic,
    client_config,
    logger,
    new_client,
    require_kafka,
)
from services.streams.kafka_partition import NOTHING_IN_HAND, PartitionState, first_and_count
from services.streams.message import StreamMessage, VersionPin, correlation_id
from services.streams.settings import ALONE_FROM_DELIVERIES, StreamSettings

KAFKA_READ_WAIT_S = 0.5
"""The longest time for which a read waits for a message."""
DRAIN_S = 0.001
"""The time for which a read waits for more messages once it has one."""
MIN_SESSION_MS = 6_000
"""What brokers accept by default."""
DEFAULT_POLL_INTERVAL_MS = 300_000
"""The longest time for a batch; it may not be below the session timeout."""
CORRELATION_HEADERS = (b"x-request-id", b"request_id")


class KafkaSource:
    """The messages of a topic for one worker of a consumer group."""

    def __init__(self, address: StreamAddress, group: str, settings: StreamSettings) -> None:
        require_kafka()
        from confluent_kafka import Consumer

        self.n_redelivered = 0
        self._limit = 1
        self._has_metadata: bool | None = None
        self._address = address
        self._topic = address.name
        self._timeout_s = settings.timeout_s
        self._is_broken = False
        self._partitions: dict[int, PartitionState] = {}
        self._moved: set[int] = set()
        self._thread = ThreadPoolExecutor(1, "kafka-source")
        session_ms = max(MIN_SESSION_MS, int(settings.takeover_s * 1e3))
        self._consumer: Any = new_client(
            Consumer,
            {
                "max.poll.interval.ms": max(DEFAULT_POLL_INTERVAL_MS, session_ms),
                **client_config(address, settings),
                "group.id": group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": session_ms,
                "heartbeat.interval.ms": min(3000, session_ms // 3),
                "fetch.wait.max.ms": 100,
                "error_cb": self._note_error,
            },
        )

    async def open(self) -> None:
        """Join the consumer group.

        Raises:
            NotFoundHere: there is no such topic.
            BrokerUnavailable: no broker answers.

        """
        await self._call(check_topic, self._consumer, self._address, self._timeout_s)
        hooks = {"on_assign": self._forget, "on_revoke": self._give_up, "on_lost": self._forget}
        await self._call(partial(self._consumer.subscribe, [self._topic], **hooks))

    async def read(self, limit: int, pin: VersionPin) -> list[StreamMessage]:
        """The next messages of the partitions that this worker has; see `MessageSource.read`."""
        return await self._call(self._read, limit, pin)

    async def acknowledge(self, messages: Sequence[StreamMessage], next_pin: VersionPin) -> None:
        """Commit the offsets after these messages, and the pin of what follows."""
        if messages:
            await self._call(self._acknowledge, messages, next_pin)

    async def lag(self) -> dict[int, int]:
        """By partition of this worker, how many messages are after its position."""
        return await self._call(self._lag)

    async def close(self) -> None:
        """Leave the consumer group, so that others have the partitions at once."""
        # It calls `_give_up`.
        await self._call(self._consumer.close)
        self._thread.shutdown()

    async def _call(self, function: Any, *arguments: Any) -> Any:
        """Run something that waits in the thread of the consumer."""
        from confluent_kafka import KafkaException

        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, partial(function, *arguments))
        except KafkaException as err:
            raise broker_error(self._address, err.args[0]) from err

    def _note_error(self, error: Any) -> None:
        from confluent_kafka import KafkaError

        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - librdkafka's own codes are named so
            self._is_broken = True

    def _forget(self, _consumer: Any, partitions: Sequence[Any]) -> None:
        """What is committed for these partitions is no longer known, or not yet.

        This runs within a read, when nothing is in hand.
        """
        for each in partitions:
            self._partitions.pop(each.partition, None)
            self._moved.add(each.partition)

    def _give_up(self, consumer: Any, partitions: Sequence[Any]) -> None:
        """Say to whoever gets these partitions that nothing was in hand."""
        from confluent_kafka import KafkaException, TopicPartition

        known = {each.partition: self._partitions.get(each.partition) for each in partitions}
        commits = [
            TopicPartition(self._topic, number, state.next_offset, NOTHING_IN_HAND)
            for number, state in known.items()
            if state is not None and state.next_offset is not None
        ]
        try:
            if commits:
                consumer.commit(offsets=commits, asynchronous=False)
        except KafkaException as err:
            # Then they get the pin instead, which is as good.
            logger.info("%s: not committed: %s", self._topic, err.args[0].str())
        self._forget(consumer, partitions)

    def _read(self, limit: int, pin: VersionPin) -> list[StreamMessage]:
        from confluent_kafka import KafkaException

        self._limit = limit
        if self._is_broken:
            check_topic(self._consumer, self._address, self._timeout_s)
            self._is_broken = False
        found = self._consume(limit)
        received = [m for m in found if m.error() is None]
        first, counts = first_and_count(received)
        try:
            self._report(found)
            self._learn(first)
            received = self._together(received, first)
            first, counts = first_and_count(received)
            self._pin(first, counts, limit, pin)
        except Exception as err:
            self._go_back(first)
            if isinstance(err, KafkaException) and _is_left(err.args[0]):
                return []  # a rebalance; the next read sees who has the partitions
            raise
        for number in first:
            self._partitions[number].next_offset = None
        pins = {p: self._partitions[p].pin or pin for p in first}
        self.n_redelivered += sum(counts[p] for p in first if self._partitions[p].is_taken_over)
        deliveries = {p: self._partitions[p].deliveries for p in first}
        return [
            _message(
                each,
                pins[each.partition()],
                deliveries[each.partition()] if each.offset() == first[each.partition()] else 0,
            )
            for each in received
        ]

    def _consume(self, limit: int) -> list[Any]:
        """The next records and errors; only of partitions that this worker still has.

        A rebalance runs within a call. What the first one gave of a partition that the second
        one moves belongs to another worker, or is read again from the committed offset.
        """
        found: list[Any] = self._consumer.consume(1, KAFKA_READ_WAIT_S)
        if found and limit > 1:
            self._moved.clear()
            more = self._consumer.consume(limit - 1, DRAIN_S)
            found = [m for m in found if m.error() or m.partition() not in self._moved] + more
        return found

    def _together(self, received: list[Any], first: Mapping[int, int]) -> list[Any]:
        """The records that are answered at once; the others are read again.

        One whose workers died repeatedly comes alone, or it would end the others with it.
        """
        known = {number: self._partitions[number].deliveries for number in first}
        worst = max(known, key=lambda number: known[number], default=None)
        if worst is None or known[worst] < ALONE_FROM_DELIVERIES:
            return received
        offset = first[worst]
        self._go_back({**first, worst: offset + 1})
        return [m for m in received if (m.partition(), m.offset()) == (worst, offset)]

    def _report(self, found: Sequence[Any]) -> None:
        """Raise what the broker says about the topic; what passes is only logged."""
        from confluent_kafka import KafkaError

        for error in filter(None, (m.error() for m in found)):
            if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                check_topic(self._consumer, self._address, self._timeout_s)
            logger.warning("%s: %s", self._address, error.str())

    def _learn(self, first: dict[int, int]) -> None:
        """Read what is committed for partitions of which it is not known."""
        from confluent_kafka import TopicPartition

        new = [TopicPartition(self._topic, p) for p in first if p not in self._partitions]
        if not new:
            return
        for each in self._consumer.committed(new, timeout=self._timeout_s):
            self._partitions[each.partition] = PartitionState.taken_over(each.metadata or "")

    def _pin(
        self, first: dict[int, int], counts: dict[int, int], limit: int, pin: VersionPin
    ) -> None:
        """Commit the pins of messages where what is committed does not cover them."""
        from confluent_kafka import TopicPartition

        commits, pinned = [], {}
        for number, offset in first.items():
            known = self._partitions[number]
            wanted = known.pin if known.is_taken_over and known.pin else pin
            if known.pin == wanted and counts[number] <= known.bound and known.is_counted:
                continue
            bound = max(counts[number], known.bound if known.is_taken_over else limit)
            pinned[number] = PartitionState(
                wanted, bound, known.is_taken_over, deliveries=known.deliveries
            )
            metadata = pinned[number].metadata()
            commits.append(TopicPartition(self._topic, number, offset, metadata))
        if commits:
            self._consumer.commit(offsets=commits, asynchronous=False)
            # Only now: what was refused must be committed again by the next read.
            self._partitions.update(pinned)
            if self._has_metadata is None:
                self._check_metadata(commits[0])

    def _check_metadata(self, commit: Any) -> None:
        """Warn, once, of a broker that does not keep what a commit says."""
        (kept,) = self._consumer.committed([commit], timeout=self._timeout_s)
        self._has_metadata = kept.metadata == commit.metadata
        if not self._has_metadata:
            logger.warning(
                "%s: this broker keeps no metadata of offsets: if a worker dies while production "
                "moves, its last messages may get a second prediction id", self._address,
            )  # fmt: skip

    def _go_back(self, first: dict[int, int]) -> None:
        """Read again from these offsets, of the partitions that this worker still has."""
        from confluent_kafka import KafkaException, TopicPartition

        for number, offset in first.items():
            try:
                self._consumer.seek(TopicPartition(self._topic, number, offset))
            except KafkaException as err:
                logger.info("%s: partition %d: %s", self._topic, number, err.args[0].str())

    def _acknowledge(self, messages: Sequence[StreamMessage], next_pin: VersionPin) -> None:
        from confluent_kafka import KafkaException, TopicPartition

        ends: dict[int, int] = {}
        counts: dict[int, int] = {}
        for each in messages:
            ends[each.partition] = int(each.offset) + 1
            counts[each.partition] = counts.get(each.partition, 0) + 1
        after = {}
        for number, known in self._partitions.items():
            if number in ends:
                left = known.bound - counts[number] if known.is_taken_over else 0
                still = left > 0 and known.pin is not None
                after[number] = (
                    PartitionState(
                        known.pin,
                        left,
                        is_taken_over=True,
                        # One of what is left may be what ended the workers before.
                        deliveries=min(known.deliveries, ALONE_FROM_DELIVERIES),
                        is_counted=False,
                    )
                    if still
                    else PartitionState(next_pin, self._limit)
                )
                after[number].next_offset = None if still else ends[number]
        commits = [
            TopicPartition(self._topic, number, ends[number], state.metadata())
            for number, state in after.items()
        ]
        if not commits:
            return
        try:
            self._consumer.commit(offsets=commits, asynchronous=False)
        except KafkaException as err:
            if not _is_left(err.args[0]):
                raise
            # Another worker has the partitions, or gets them: it answers again, by the same pin.
            logger.warning("%s: not committed: %s", self._topic, err.args[0].str())
            self._partitions.update({number: PartitionState(None) for number in after})
            return
        self._partitions.update(after)

    def _lag(self) -> dict[int, int]:
        assigned = self._consumer.assignment()
        found = {}
        for place in self._consumer.position(assigned):
            _, high = self._consumer.get_watermark_offsets(place, cached=True)
            if place.offset >= 0 and high >= 0:
                found[place.partition] = max(0, high - place.offset)
        return found


def _is_left(error: Any) -> bool:
    """Whether a commit was refused because the group gives partitions to others."""
    from confluent_kafka import KafkaError

    return error.code() in {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError._ASSIGNMENT_LOST,  # noqa: SLF001 - librdkafka's own codes are named so
        KafkaError._NO_OFFSET,  # noqa: SLF001 - as above
    }


def _message(record: Any, pin: VersionPin, deliveries: int) -> StreamMessage:
    headers = tuple((name.encode(), value or b"") for name, value in record.headers() or ())
    wanted = next((value for name, value in headers if name in CORRELATION_HEADERS), record.key())
    return StreamMessage(
        stream=record.topic(),
        partition=record.partition(),
        offset=str(record.offset()),
        time_ms=max(0, record.timestamp()[1]),
        body=record.value() or b"",
        correlation=correlation_id(wanted),
        pin=pin,
        deliveries=deliveries,
        key=record.key(),
        headers=headers,
    )
