"""Repeated ids are counted exactly, or estimated where there are too many."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from monitoring.quality.duplicates import DuplicateCount


@given(st.lists(st.integers(0, 300), max_size=400))
def test_duplicates_are_exact_up_to_the_limit(ids: list[int]) -> None:
    count = DuplicateCount()
    for start in range(0, len(ids), 100):
        count.add(pl.Series([str(i) for i in ids[start : start + 100]], dtype=pl.String))

    assert count.found() == (len(ids) - len(set(ids)), len(ids))


def test_duplicates_are_estimated_beyond_the_limit() -> None:
    count = DuplicateCount(max_hashes=2_000)
    for _ in range(2):
        count.add(pl.Series([f"id-{i}" for i in range(20_000)]))
    again, seen = count.found()

    assert seen <= 2_000
    assert abs(again / seen - 0.5) < 0.02
