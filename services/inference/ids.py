"""Ids of requests and predictions: unique without any coordination between processes.

A prediction id is a UUID version 7 (RFC 9562, section 5.7), so it sorts by time: its head is 48
bits of milliseconds and 32 random bits of the process, its tail a counter.

What may be scored twice (a message, a row of a job) has a UUID version 8 (section 5.8) instead:
the hash of where the row comes from, so that the second time gives the same id.
"""

import os
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import blake2b

import numpy as np

from contracts.uuids import UUID8_BYTES, uuid8

_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")


class IdCounter:
    """Counts up from a random number."""

    def __init__(self) -> None:
        self._next = int.from_bytes(os.urandom(3), "big")

    def take(self, count: int) -> int:
        """The first of `count` consecutive numbers that were not taken before."""
        first = self._next
        self._next += count
        return first


_process = secrets.token_hex(4)
_id_counter = IdCounter()


def id_head(time: datetime) -> bytes:
    """The first 28 characters of the ids of predictions made at `time`."""
    stamp = f"{int(time.timestamp() * 1000):012x}"
    head = f"{stamp[:8]}-{stamp[8:]}-7{_process[:3]}-8{_process[3:6]}-{_process[6:]}00"
    return head.encode()


def new_id_tails(count: int) -> list[bytes]:
    """The last 8 characters of `count` new prediction ids."""
    first = _id_counter.take(count)
    if count == 1:
        return [b"%08x" % (first & 0xFFFFFFFF)]
    numbers = np.arange(first, first + count, dtype=np.uint64).astype(">u4")
    return numbers.tobytes().hex(" ", 4).encode().split()


def request_id_of(headers: Mapping[bytes, bytes]) -> str:
    """The client's own id of the request, `x-request-id`, if it is printable ASCII, else a new one.

    `headers`: of HTTP, or the metadata of a gRPC call, by name in lower case.
    """
    wanted = headers.get(b"x-request-id")
    if wanted is not None and _REQUEST_ID.fullmatch(wanted):
        return wanted.decode()
    return new_request_id()


def new_request_id() -> str:
    """A request id of 16 hexadecimal digits, for a request that came without one."""
    return f"{_process}{_id_counter.take(1) & 0xFFFFFFFF:08x}"


class IdsFromHash:
    """Prediction ids that depend on nothing but a source, the version's digest and the row.

    It is a `services.inference.pending.ChooseIds`. `source` names the request among all that are
    scored: a stream, partition and offset; a job.
    """

    __slots__ = ("_source",)

    def __init__(self, source: bytes) -> None:
        self._source = source

    def __call__(self, digest: str, indices: Sequence[int], /) -> list[bytes]:
        """The ids of the rows at `indices` of the request: UUIDs of version 8, 36 characters."""
        # Hashed first, so that no source can be confused with another one and a row.
        request = blake2b(self._source, digest_size=32, key=digest.encode()[:64])
        key = request.digest()
        return [
            uuid8(blake2b(b"%d" % index, digest_size=UUID8_BYTES, key=key).digest())
            for index in indices
        ]
