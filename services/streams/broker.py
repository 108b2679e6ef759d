"""What a stream worker needs of a broker: a source of messages, and a sink for answers.

Sources are in `redis_streams` and `kafka_source`, sinks in `redis_sink` and `kafka_sink`.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from contracts.errors import PlatformError
from services.streams.message import StreamAnswer, StreamMessage, VersionPin


class BrokerUnavailable(PlatformError):
    """The broker does not answer; the same call may succeed later."""


class MessageSource(Protocol):
    """Messages of one stream, shared with the other workers of a consumer group.

    Each method raises `BrokerUnavailable` where the broker does not answer in time, and may be
    called again then. `n_redelivered` counts the messages that another worker had in hand
    before.
    """

    n_redelivered: int

    async def open(self) -> None:
        """Connect and join the group, which begins at the oldest message.

        Raises:
            PlatformError: the stream does not exist, or the broker refuses.

        """

    async def read(self, limit: int, pin: VersionPin) -> Sequence[StreamMessage]:
        """At most `limit` messages; none if none came within a moment.

        New messages are pinned to `pin`, durably, before they are returned. A message that a
        worker had in hand when it died comes with the pin that it had there. All messages of
        one partition are in order. Call it only when nothing is in hand.
        """

    async def acknowledge(self, messages: Sequence[StreamMessage], next_pin: VersionPin) -> None:
        """These messages need not be delivered again; all that `read` returned last.

        `next_pin`: what the next messages are likely to be pinned to.
        """

    async def lag(self) -> Mapping[int, int]:
        """By partition of this worker, how many messages wait that no worker has in hand."""

    async def close(self) -> None:
        """Leave the group."""


class AnswerSink(Protocol):
    """Where predictions, or dead letters, are published."""

    async def open(self) -> None:
        """Connect.

        Raises:
            PlatformError: the stream cannot be written to, or the broker does not answer.

        """

    async def publish(self, answers: Sequence[StreamAnswer]) -> Sequence[StreamAnswer]:
        """Publish answers in their order; returns those that are too large for the broker.

        When it returns, the broker has all others.

        Raises:
            BrokerUnavailable: it may have some of them; publish all of them again.

        """

    async def close(self) -> None:
        """Disconnect."""
