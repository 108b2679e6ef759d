"""A message on its way through a stream worker, and what is published for it."""

import re
from typing import NamedTuple

import msgspec

from services.inference.ids import IdsFromHash

_CORRELATION_ID = re.compile(rb"[!-~]{1,128}")


class VersionPin(NamedTuple):
    """The version that scores a message, also when the message is delivered again.

    `digest`: of the version's manifest, 64 hexadecimal digits.
    """

    version: int
    digest: str

    def __str__(self) -> str:
        return f"{self.version}-{self.digest}"

    @classmethod
    def parse(cls, text: str) -> "VersionPin | None":
        """The pin that `str` spelt; None for any other text.

        >>> VersionPin.parse(str(VersionPin(3, "ab"))), VersionPin.parse("worker-1")
        (VersionPin(version=3, digest='ab'), None)
        """
        version, _, digest = text.partition("-")
        if not version.isdecimal() or not all(c in "0123456789abcdef" for c in digest):
            return None
        return cls(int(version), digest) if digest else None


class StreamMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a stream, and the version that scores it.

    `offset`: its place in the partition, as the broker spells it. `time_ms`: when it was
    produced, in milliseconds since 1970; it keeps two streams of one name apart of which the
    first was deleted. `correlation`: the producer's own id of the message, empty for none.
    `deliveries`: how many workers in a row had it in hand and died, as far as is known.
    `key`: decides the partition in Kafka; None for none. `headers`: what else came with it.
    """

    stream: str
    partition: int
    offset: str
    time_ms: int
    body: bytes
    correlation: str
    pin: VersionPin
    deliveries: int = 0
    key: bytes | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def position(self) -> str:
        """Where it is: `<stream>/<partition>/<offset>`."""
        return f"{self.stream}/{self.partition}/{self.offset}"

    @property
    def request_id(self) -> str:
        """By what the traffic log knows it: the producer's id, else the position."""
        return self.correlation or self.position

    @property
    def choose_ids(self) -> IdsFromHash:
        """The prediction ids of its rows, by position, time and version."""
        return IdsFromHash(f"{self.position}@{self.time_ms}".encode())


class StreamAnswer(msgspec.Struct, frozen=True, gc=False):
    """What is published for a message: its predictions, or why it has none.

    `body`: JSON; for a dead letter the message's own bytes. `error`: the fault as JSON, for a
    dead letter only.
    """

    message: StreamMessage
    body: bytes
    error: bytes = b""


def correlation_id(wanted: bytes | None) -> str:
    """The producer's id of a message, as HTTP takes it from `x-request-id`; empty for none.

    >>> correlation_id(b"order-17"), correlation_id(b"two words"), correlation_id(None)
    ('order-17', '', '')
    """
    found = _CORRELATION_ID.fullmatch(wanted or b"")
    return found[0].decode() if found else ""
