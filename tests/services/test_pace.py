"""A shadow scores less where it has to wait for a core, and then an even choice."""

import time
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.shadow.pace import LEAST, MOST, Pace


def wait() -> None:
    time.sleep(0.02)


def work() -> None:
    until = time.thread_time() + 0.0003
    while time.thread_time() < until:
        pass


def test_a_process_that_waits_does_less_and_never_nothing() -> None:
    pace = Pace()
    assert pace.rows == LEAST
    pace.rows = MOST
    for _ in range(20):
        with pace.kept():
            wait()
    assert pace.rows == LEAST


def test_a_process_that_is_let_does_more_up_to_a_bound() -> None:
    pace, seen = Pace(), set()
    # This machine may be busy, too: of some hundred short tries many go by without a wait.
    for _ in range(400):
        with pace.kept():
            work()
        seen.add(pace.rows)
    assert LEAST < max(seen) <= MOST


@given(st.integers(0, 5_000), st.integers(1, 700))
def test_the_choice_is_even_and_in_order(lines: int, rows: int) -> None:
    pace = Pace()
    pace.rows = rows
    chosen = list(pace.chosen(range(lines)))

    assert len(chosen) <= rows
    if lines <= rows:
        assert chosen == list(range(lines))
    gaps = {b - a for a, b in pairwise(chosen)}
    assert len(gaps) <= 1
    # No more is left out than the bound asks for: twice as many would be over it.
    assert 2 * len(chosen) >= min(lines, rows)
