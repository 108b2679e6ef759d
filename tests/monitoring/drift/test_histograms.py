"""Every row is counted, in the bin where it belongs, in whatever order it comes."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from contracts.reference import CategoryReference, NumberReference, Reference
from monitoring.drift.histograms import OTHERS, Bins, CategoricalHistogram, WindowHistograms
from monitoring.drift.timeline import TIME_BINS, Timeline
from monitoring.traffic.batch import TrafficBatch
from training.reference import number_reference

numbers = st.floats(allow_nan=False, allow_infinity=False, width=64)


@given(st.lists(numbers, unique=True, max_size=63), st.lists(numbers, max_size=50))
def test_a_bin_is_found_as_a_search_would_find_it(edges: list[float], values: list[float]) -> None:
    """Hypothesis loves the edges themselves, huge spans and tiny steps."""
    rising = np.array(sorted(edges))
    probe = np.array([*values, *edges])

    assert (Bins(rising).index(probe) == np.searchsorted(rising, probe, side="left")).all()


@given(st.lists(st.lists(st.integers(0, 10**15), min_size=1, max_size=20), min_size=1, max_size=6))
def test_a_timeline_keeps_every_row_in_the_order_of_time(pieces: list[list[int]]) -> None:
    line = Timeline()
    counts = np.zeros(TIME_BINS, dtype=np.int64)
    for piece in pieces:
        times = np.array(piece)
        for change in line.fit(times):
            counts = change.apply(counts)
        counts += np.bincount(line.bins(times), minlength=TIME_BINS)
    whole = np.array([t for piece in pieces for t in piece])

    assert (counts == np.bincount(line.bins(whole), minlength=TIME_BINS)).all()
    assert line.width == 1000 or int(np.ptp(whole)) >= line.width * (TIME_BINS // 4)


def test_null_infinite_and_mistyped_values_are_counted_apart() -> None:
    reference = Reference(
        n_rows=4,
        n_predictions=0,
        features={"x": number_reference(np.array([1.0, 2.0, 3.0, 4.0]))},
        predictions={},
    )
    counts = WindowHistograms(reference)
    values = pl.Series([1.0, None, float("inf"), float("nan"), None, 9e99])
    counts.add(TrafficBatch(np.arange(6), pl.Series(range(6)), {"x": values}, mistyped={"x": 1}))
    column = counts.columns["x"]

    assert (column.n, column.missing, column.mistyped) == (6, 3, 1)
    assert column.by_time_bin().sum() == 2


def test_an_empty_reference_column_counts_and_does_not_crash() -> None:
    empty = NumberReference(edges=(), counts=(0,), missing=5, minimum=0, maximum=0, mean=0, std=0)
    reference = Reference(n_rows=5, n_predictions=0, features={"x": empty}, predictions={})
    counts = WindowHistograms(reference)
    counts.add(TrafficBatch(np.arange(2), pl.Series(["a", "b"]), {"x": pl.Series([1.0, None])}))

    assert counts.columns["x"].by_time_bin().sum() == 1


def test_categories_beyond_the_limit_are_counted_together() -> None:
    from monitoring.drift import histograms

    reference = CategoryReference(counts={"a": 1}, missing=0)
    column = CategoricalHistogram(reference)
    names = [f"w{i}" for i in range(histograms.MAX_CATEGORIES + 5)]
    column.add(pl.Series(["a", *names]), np.zeros(len(names) + 1, dtype=np.int64), None)

    assert column.counts["a"] == 1
    assert column.counts[OTHERS] == 5
    assert sum(column.counts.values()) == len(names) + 1
