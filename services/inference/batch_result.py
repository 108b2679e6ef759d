"""What was asked and answered in one model call, column by column, as JSON texts.

A number is written once, for the line of traffic and for the answer; columns, because what
Python does for a whole column costs a tenth of what it does row by row.
"""

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from contracts.times import utc_text


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The rows of one model call, each column of length `n_rows`.

    `scores` holds a column for each class or output. `predictions` are the predictions: classes, or
    the numbers themselves. `flags` is empty if nothing is flagged. Ids begin with `id_head`.
    """

    time: bytes
    id_head: bytes
    ids: Sequence[bytes]
    predictions: Sequence[bytes]
    monitored_scores: Sequence[bytes]
    scores: Sequence[Sequence[bytes]]
    flags: Sequence[bytes]


class IdCounter:
    """A number that counts on, from a random one."""

    def __init__(self) -> None:
        self._next = int.from_bytes(os.urandom(3), "big")

    def take(self, count: int) -> int:
        """The first of so many numbers that were not taken before."""
        first = self._next
        self._next += count
        return first


_process = secrets.token_hex(4)
_id_counter = IdCounter()


class BatchClock:
    """A time as the records of one batch tell it: RFC 3339 in UTC, and the head of their ids.

    A prediction's id sorts by time and is unique: UUID version 7 (RFC 9562, section 5.7) of 48
    bits of milliseconds and the process (32 random bits), the head; and of a counter, the tail.
    """

    def __init__(self, moment: datetime) -> None:
        self.datetime = moment
        self.text = utc_text(moment)
        stamp = f"{int(moment.timestamp() * 1000):012x}"
        head = f"{stamp[:8]}-{stamp[8:]}-7{_process[:3]}-8{_process[3:6]}-{_process[6:]}00"
        self.id_head = head.encode()

    @classmethod
    def now(cls) -> "BatchClock":
        """The present."""
        return cls(datetime.now(UTC))


def new_id_tails(count: int) -> list[bytes]:
    """The ends of ids that were never given."""
    first = _id_counter.take(count)
    if count == 1:
        return [b"%08x" % (first & 0xFFFFFFFF)]
    numbers = np.arange(first, first + count, dtype=np.uint64).astype(">u4")
    return numbers.tobytes().hex(" ", 4).encode().split()


def new_request_id() -> str:
    """What a request is called that came without a name: the process and a counter."""
    return f"{_process}{_id_counter.take(1) & 0xFFFFFFFF:08x}"
