"""The histograms that a report draws: a column at training and in the window, on one axis."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitoring.drift.histograms import CategoricalHistogram, NumericHistogram, WindowHistograms
from monitoring.drift.rule import outer_ends, reference_counts
from monitoring.drift.seasons import Expectation
from monitoring.drift.statistics import Counts, shares

DRAWN_BINS = 40
MAX_DRAWN_CATEGORIES = 10
THOUSANDS_FROM, EXPONENT_FROM = 1e4, 1e12


@dataclass(frozen=True)
class HistogramPair:
    """A column at training and in the window, as shares that add up to one.

    For numbers the shares are of equal bins from `labels[0]` to `labels[1]`, for categories
    of the `labels` themselves, the largest changes first.
    """

    column: str
    kind: str
    labels: tuple[str, ...]
    before: tuple[float, ...]
    now: tuple[float, ...]


def histogram_pair(
    name: str, counts: WindowHistograms, expected: Expectation | None = None
) -> HistogramPair:
    """The histograms of one column of a window, and of its reference or its season."""
    column = counts.columns[name]
    if isinstance(column, NumericHistogram):
        before = np.array(column.reference.counts) if expected is None else expected.rows
        return _of_numbers(name, column, before)
    n_new = len(column.categories) - len(column.reference.counts)
    known = reference_counts(column)
    if expected is not None:
        known = np.concatenate([expected.rows[:-1], np.zeros(n_new)])
    return _of_categories(name, column, known)


def _of_numbers(name: str, column: NumericHistogram, before: Counts) -> HistogramPair:
    low, high = outer_ends(column.reference)
    if not column.reference.edges and column.far_values:
        return _of_constant(name, column)
    edges = np.array([low, *column.reference.edges, high])
    # Ends of a column with few values may meet its edges; a histogram needs rising ones.
    edges = np.maximum.accumulate(edges)
    grid = np.linspace(low, high, DRAWN_BINS + 1)
    return HistogramPair(
        name,
        "number",
        (_plain(low), _plain(high)),
        _resampled(before, edges, grid),
        _resampled(column.counts, edges, grid),
    )


def _of_constant(name: str, column: NumericHistogram) -> HistogramPair:
    """A column of which training knew one value; the bins span the values that it has now."""
    usual = column.reference.minimum
    low, high = min(usual, column.minimum), max(usual, column.maximum)
    grid = np.linspace(low, high, DRAWN_BINS + 1)
    before, _ = np.histogram([usual], grid)
    far, _ = np.histogram(column.far_values, grid)
    near = int(column.counts.sum()) - column.far
    now = far * (column.far / len(column.far_values)) + near * before
    return HistogramPair(
        name,
        "number",
        (_plain(low), _plain(high)),
        _rounded(shares(before)),
        _rounded(shares(now)),
    )


def _plain(number: float) -> str:
    """A number as people write it, with an exponent if it would be too long.

    >>> _plain(116500.0), _plain(0.005855), _plain(3e20)
    ('116,500', '0.005855', '3e+20')
    """
    return f"{number:,.0f}" if THOUSANDS_FROM <= abs(number) < EXPONENT_FROM else f"{number:.4g}"


def _resampled(
    counts: Counts, edges: NDArray[np.float64], grid: NDArray[np.float64]
) -> tuple[float, ...]:
    below = np.concatenate([[0.0], np.cumsum(shares(counts))])
    return _rounded(np.diff(np.interp(grid, edges, below)))


def _of_categories(name: str, column: CategoricalHistogram, known: Counts) -> HistogramPair:
    before, now = shares(known), shares(column.by_time_bin().sum(axis=0))
    order = np.argsort(-np.abs(now - before), kind="stable")[:MAX_DRAWN_CATEGORIES]
    labels = tuple(column.categories[i] for i in order)
    return HistogramPair(name, "category", labels, _rounded(before[order]), _rounded(now[order]))


def _rounded(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(round(float(v), 5) for v in values)
