"""Every row is counted, in the bin where it belongs, whatever order it comes in."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from contracts.reference import CategoryReference, ColumnReference, NumberReference, Reference
from monitoring.drift.histograms import OTHERS, Bins, CategoricalHistogram, WindowHistograms
from monitoring.drift.timeline import TIME_BINS, Timeline
from monitoring.quality.duplicates import DuplicateCount
from monitoring.traffic.batch import TrafficBatch
from monitoring.traffic.decode import series_of
from training.reference import number_reference

numbers = st.floats(allow_nan=False, allow_infinity=False, width=64)


@given(st.lists(numbers, unique=True, max_size=63), st.lists(numbers, max_size=50))
def test_a_bin_is_found_as_a_search_would_find_it(edges: list[float], values: list[float]) -> None:
    """Hypothesis loves the edges themselves, huge spans and tiny steps."""
    rising = np.array(sorted(edges))
    probe = np.array([*values, *edges])

    assert (Bins(rising).index(probe) == np.searchsorted(rising, probe, side="left")).all()


@given(st.lists(st.lists(st.integers(0, 10**15), min_size=1, max_size=20), min_size=1, max_size=6))
def test_a_time_line_keeps_every_row_in_the_order_of_time(pieces: list[list[int]]) -> None:
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


def test_null_infinite_and_mistyped_values_are_told_apart() -> None:
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


def test_categories_beyond_the_room_are_counted_together() -> None:
    from monitoring.drift import histograms

    reference = CategoryReference(counts={"a": 1}, missing=0)
    column = CategoricalHistogram(reference)
    words = [f"w{i}" for i in range(histograms.MAX_CATEGORIES + 5)]
    column.add(pl.Series(["a", *words]), np.zeros(len(words) + 1, dtype=np.int64))

    assert column.counts["a"] == 1
    assert column.counts[OTHERS] == 5
    assert sum(column.counts.values()) == len(words) + 1


@given(st.lists(st.integers(0, 300), max_size=400))
def test_duplicates_are_exact_while_there_is_room(ids: list[int]) -> None:
    count = DuplicateCount()
    for start in range(0, len(ids), 100):
        count.add(pl.Series([str(i) for i in ids[start : start + 100]], dtype=pl.String))

    assert count.found() == (len(ids) - len(set(ids)), len(ids))


def test_duplicates_are_estimated_when_there_is_none() -> None:
    count = DuplicateCount(max_hashes=2_000)
    for _ in range(2):
        count.add(pl.Series([f"id-{i}" for i in range(20_000)]))
    again, seen = count.found()

    assert seen <= 2_000
    assert abs(again / seen - 0.5) < 0.02


@given(st.lists(st.one_of(st.none(), st.booleans(), st.text(max_size=2), numbers, st.integers())))
def test_a_value_is_of_the_columns_type_or_mistyped_or_missing(values: list[object]) -> None:
    kinds: list[tuple[ColumnReference, tuple[type, ...]]] = [
        (number_reference(np.array([1.0, 2.0])), (int, float)),
        (CategoryReference(counts={"a": 1}, missing=0), (str,)),
        (CategoryReference(counts={"true": 1}, missing=0), (bool,)),
        (CategoryReference(counts={}, missing=9), (bool, str)),
    ]
    for column, types in kinds:
        series, wrong = series_of(column, values)
        right = sum(type(v) in types for v in values)

        assert len(series) == len(values)
        assert len(series) - series.null_count() == right
        assert wrong == len(values) - right - values.count(None)
