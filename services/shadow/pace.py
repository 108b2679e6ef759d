"""How many answers are scored a look: all that the idle cores allow, and some in any case."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

MOST = 65_536
LEAST = 256
"""Rows a look even when no core is idle: a thousand a second, some per cent of a core."""
WAITS = 0.2
"""The share of its time that a process waits for a core before the cores count as busy."""

T = TypeVar("T")


class Pace:
    """Halved when the process had to wait for a core while it scored, doubled when not.

    Whoever runs on what others leave still takes cache and turns from them: where all cores are
    busy, the tail of the answers' latencies grows with each row that is scored beside them.
    """

    def __init__(self) -> None:
        self.rows = LEAST

    def chosen(self, lines: Sequence[T]) -> Sequence[T]:
        """At most `rows` of the lines, evenly spaced: who is left out does not depend on more."""
        return lines[:: -(-len(lines) // self.rows) or 1]

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Look at how the block's time went by, for the next look."""
        begun, used = time.monotonic(), time.thread_time()
        yield
        passed = time.monotonic() - begun
        waited = passed - (time.thread_time() - used)
        self.rows = (
            max(LEAST, self.rows // 2) if waited > WAITS * passed else min(MOST, self.rows * 2)
        )
