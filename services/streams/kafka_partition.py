"""What a worker knows of a Kafka partition, and what its committed offset says of it.

A pin is the metadata of a committed offset: `<bound>:<version>-<digest>` says which version
scores the next `bound` messages of the partition. It is committed before the first of them is
scored. A worker that takes the partition over reads it together with the offset, and scores as
many messages with that version, however far the dead worker had got. `:<deliveries>` behind it
counts the workers that took the partition over and have not acknowledged a message since.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from services.streams.message import VersionPin

NOTHING_IN_HAND = "0:"
"""The metadata of a partition that a worker gave up when it had answered everything."""


class PartitionState(msgspec.Struct):
    """What the committed offset of a partition says: `pin` scores the next `bound` messages.

    `is_taken_over`: they may have been published by a worker that died. `pin` is None where
    nothing is known to be committed. `next_offset`: None while messages are in hand.
    `deliveries`: workers that had the first of them in hand and died. `is_counted`: that is
    committed.
    """

    pin: VersionPin | None
    bound: int = 0
    is_taken_over: bool = False
    next_offset: int | None = None
    deliveries: int = 0
    is_counted: bool = True

    def metadata(self) -> str:
        """What is committed with the offset."""
        # A worker that leaves with nothing in hand has not died with it.
        n_deaths = self.deliveries if self.is_counted else self.deliveries - 1
        count = f":{n_deaths}" if n_deaths > 0 else ""
        return f"{self.bound}:{self.pin}{count}"

    @classmethod
    def taken_over(cls, metadata: str) -> "PartitionState":
        """What the metadata of a partition says that another worker had."""
        bound, _, text = metadata.partition(":")
        text, _, count = text.partition(":")
        pin = VersionPin.parse(text) if bound.isdecimal() else None
        if pin is None:
            return cls(None)
        before = int(count) if count.isdecimal() else 0
        return cls(pin, int(bound), is_taken_over=True, deliveries=before + 1, is_counted=False)


def first_and_count(records: Sequence[Any]) -> tuple[dict[int, int], dict[int, int]]:
    """By partition, the first offset of some records, and how many there are."""
    first: dict[int, int] = {}
    counts: dict[int, int] = {}
    for each in records:
        first.setdefault(each.partition(), each.offset())
        counts[each.partition()] = counts.get(each.partition(), 0) + 1
    return first, counts
