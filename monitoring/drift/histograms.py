"""Histograms of a window in the bins of its reference: every row, in memory that does not grow."""

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.reference import CategoryReference, ColumnReference, NumberReference, Reference
from monitoring.drift.timeline import TIME_BINS, Rebin, Timeline
from monitoring.traffic.batch import TrafficBatch
from monitoring.traffic.units import UNIT_GROUPS, UnitGroups

FAR_SPANS = 1.0
"""A number is far if it lies beyond the reference's ends by more than this many of its spans."""
END_MARGIN = 0.1
"""How far beyond the reference's ends a number counts as outside, in its standard deviations."""
ROUNDING = 1e-12
"""The largest share of a value that counts as its rounding error."""
MAX_FAR_VALUES = 10_000
"""Far values that are kept, to be searched for a wrong unit."""
MAX_CATEGORIES = 10_000
"""New categories that are counted by name; further ones are counted together, as `OTHERS`."""
OTHERS = "(others)"
_PIECE_ROWS = 65_536
"""Rows that are binned at once: what fits into a core's cache is binned twice as fast."""
_CELLS = 4_096


class Bins:
    """The bins of a numeric reference: bin i holds `edges[i-1] < x <= edges[i]`.

    A grid of cells over the edges finds a number's bin without a search: the edges in lower
    cells are below it, and of the edges in its own cell (one at most, or else a search is
    made) one comparison decides. Six times as fast as a binary search, with the same result.
    """

    def __init__(self, edges: NDArray[np.float64]) -> None:
        self.n_bins = len(edges) + 1
        self._edges = edges
        span = float(edges[-1]) - float(edges[0]) if len(edges) > 1 else 0.0
        scale = (_CELLS - 2) / span if span > 0 else 0.0
        # Neither infinitely wide nor subnormally narrow edges have cells between them.
        self._scale = scale if np.isfinite(scale) else 0.0
        cells = self._cells(edges) if self._scale else edges
        self._is_gridded = bool(self._scale) and len(np.unique(cells)) == len(edges)
        if self._is_gridded:
            self._below = np.searchsorted(cells, np.arange(_CELLS + 1), side="left")
            self._inside = np.full(_CELLS + 1, np.inf)
            self._inside[cells] = edges

    def index(self, numbers: NDArray[np.float64]) -> NDArray[np.int64]:
        """The bin of each finite number, shape `(n_rows,)`."""
        if not self._is_gridded:
            return np.searchsorted(self._edges, numbers, side="left")
        cells = self._cells(numbers)
        index = self._below[cells]
        index += numbers > self._inside[cells]
        return index

    def _cells(self, numbers: NDArray[np.float64]) -> NDArray[np.int32]:
        with np.errstate(over="ignore"):
            cells = (numbers - self._edges[0]) * self._scale
        np.clip(cells, -1, _CELLS - 2, out=cells)
        cells += 1
        return cells.astype(np.int32)


def near_range(reference: NumberReference) -> tuple[float, float]:
    """The least and the greatest number that is not far from the reference."""
    low, high = reference.minimum, reference.maximum
    # What differs from a constant by a rounding error is not far.
    span = FAR_SPANS * max(high - low, ROUNDING * max(abs(low), abs(high)), 1e-12)
    return low - span, high + span


class NumericHistogram:
    """A numeric column in the bins of its reference.

    `n` counts all rows, `missing` those with null or no finite number, `mistyped` those with a
    value of another type than at training, `far` those far from the reference, `far_below`
    of them on its lower side; `far_values` are the first of them. `below` and `above` count
    numbers beyond the reference's ends by a margin. `minimum` and `maximum` are over finite
    numbers.
    """

    def __init__(self, reference: NumberReference) -> None:
        self.reference = reference
        self._bins = Bins(np.array(reference.edges))
        self._counts = np.zeros((TIME_BINS, self._bins.n_bins), dtype=np.int64)
        self._unit_counts = np.zeros((UNIT_GROUPS, self._bins.n_bins), dtype=np.int64)
        self._low, self._high = near_range(reference)
        self.n = 0
        self.missing = 0
        self.mistyped = 0
        margin = END_MARGIN * reference.std
        self._least, self._most = reference.minimum - margin, reference.maximum + margin
        self.below = 0
        self.above = 0
        self.far = 0
        self.far_below = 0
        self.far_values: list[float] = []
        self.minimum = np.inf
        self.maximum = -np.inf

    @property
    def counts(self) -> NDArray[np.int64]:
        """Rows by bin, over the whole window; shape `(n_bins,)`."""
        return self._counts.sum(axis=0)

    def by_time_bin(self) -> NDArray[np.int64]:
        """Rows by time bin and bin, shape `(TIME_BINS, n_bins)`."""
        return self._counts

    def by_unit_group(self) -> NDArray[np.int64]:
        """Rows that name their unit, by its group and bin; shape `(UNIT_GROUPS, n_bins)`."""
        return self._unit_counts

    def rebin(self, change: Rebin) -> None:
        """Follow a change of the time bins."""
        self._counts = change.apply(self._counts)

    def add(
        self, values: pl.Series, time_bins: NDArray[np.int64], units: UnitGroups | None
    ) -> None:
        """Count more rows; `time_bins` has the time bin of each, `units` the group of its unit."""
        numbers = values.to_numpy()
        self.n += len(numbers)
        for start in range(0, len(numbers), _PIECE_ROWS):
            piece = slice(start, start + _PIECE_ROWS)
            self._add(numbers[piece], time_bins[piece], None if units is None else units[piece])

    def _add(
        self,
        numbers: NDArray[np.float64],
        time_bins: NDArray[np.int64],
        units: UnitGroups | None,
    ) -> None:
        finite = np.isfinite(numbers)
        n_finite = int(np.count_nonzero(finite))
        if n_finite < len(numbers):
            self.missing += len(numbers) - n_finite
            numbers, time_bins = numbers[finite], time_bins[finite]
            units = None if units is None else units[finite]
        if not n_finite:
            return
        low, high = float(numbers.min()), float(numbers.max())
        self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)
        if low < self._least:
            self.below += int(np.count_nonzero(numbers < self._least))
        if high > self._most:
            self.above += int(np.count_nonzero(numbers > self._most))
        if low < self._low or high > self._high:
            self._add_far(numbers[(numbers < self._low) | (numbers > self._high)])
        first, last = int(time_bins.min()), int(time_bins.max())
        keys = self._bins.index(numbers)
        n_bins = self._bins.n_bins
        if units is not None:
            named = units >= 0
            found = np.bincount(units[named] * n_bins + keys[named], minlength=UNIT_GROUPS * n_bins)
            self._unit_counts += found.reshape(-1, n_bins)
        if last > first:
            keys = keys + (time_bins - first) * n_bins
        found = np.bincount(keys, minlength=(last - first + 1) * n_bins)
        self._counts[first : last + 1] += found.reshape(-1, n_bins)

    def _add_far(self, numbers: NDArray[np.float64]) -> None:
        self.far += len(numbers)
        self.far_below += int(np.count_nonzero(numbers < self._low))
        self.far_values += numbers[: max(MAX_FAR_VALUES - len(self.far_values), 0)].tolist()


class CategoricalHistogram:
    """A categorical column by category; booleans are `true` and `false`.

    `categories` are those of the reference, then new ones in the order in which they came.
    `n`, `missing` and `mistyped` are as in `NumericHistogram`.
    """

    def __init__(self, reference: CategoryReference) -> None:
        self.reference = reference
        self.categories = list(reference.counts)
        self._index = {name: i for i, name in enumerate(self.categories)}
        self._counts = np.zeros((TIME_BINS, max(len(self.categories), 1)), dtype=np.int64)
        self._unit_counts = np.zeros((UNIT_GROUPS, self._counts.shape[1]), dtype=np.int64)
        self.n = 0
        self.missing = 0
        self.mistyped = 0

    @property
    def counts(self) -> dict[str, int]:
        """Rows by category, over the whole window; those of the reference come first."""
        totals = self._counts.sum(axis=0).tolist()
        return dict(zip(self.categories, totals, strict=False))

    def by_time_bin(self) -> NDArray[np.int64]:
        """Rows by time bin and category, shape `(TIME_BINS, n_categories)`."""
        return self._counts[:, : max(len(self.categories), 1)]

    def by_unit_group(self) -> NDArray[np.int64]:
        """Rows that name their unit, by its group and category: `(UNIT_GROUPS, n_categories)`."""
        return self._unit_counts[:, : max(len(self.categories), 1)]

    def rebin(self, change: Rebin) -> None:
        """Follow a change of the time bins."""
        self._counts = change.apply(self._counts)

    def add(
        self, values: pl.Series, time_bins: NDArray[np.int64], units: UnitGroups | None
    ) -> None:
        """Count more rows; `time_bins` has the time bin of each, `units` the group of its unit."""
        self.n += len(values)
        self.missing += values.null_count()
        keys = values if values.dtype == pl.Boolean else values.cast(pl.Categorical)
        for name, time_bin, n in _counted(keys, time_bins):
            # The column first: a new one replaces the counts.
            column = self._column(name)
            self._counts[time_bin, column] += n
        if units is not None:
            for name, group, n in _counted(keys, units):
                if group >= 0:
                    column = self._column(name)
                    self._unit_counts[group, column] += n

    def _column(self, name: str) -> int:
        """The column of a category in `_counts`, which is replaced where it has no room."""
        column = self._index.get(name)
        if column is not None:
            return column
        if len(self.categories) >= len(self.reference.counts) + MAX_CATEGORIES:
            name = OTHERS
            if name in self._index:
                return self._index[name]
        self._index[name] = len(self.categories)
        self.categories.append(name)
        if len(self.categories) > self._counts.shape[1]:
            self._counts = _with_more_columns(self._counts, len(self.categories))
            self._unit_counts = _with_more_columns(self._unit_counts, len(self.categories))
        return self._index[name]


def _with_more_columns(counts: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    return np.hstack([counts, np.zeros((len(counts), n), dtype=np.int64)])


def _counted(keys: pl.Series, groups: NDArray[np.int64]) -> Iterator[tuple[str, int, int]]:
    """Each category, group, and the number of rows with both; a boolean is spelt as in JSON."""
    found = pl.DataFrame({"value": keys, "group": groups}).group_by("value", "group").len()
    for value, group, n in found.drop_nulls("value").iter_rows():
        yield str(value).lower() if isinstance(value, bool) else value, group, n


Histogram = NumericHistogram | CategoricalHistogram


class WindowHistograms:
    """The histograms of a window by column: the features, `score` and `prediction`."""

    def __init__(self, reference: Reference) -> None:
        columns = {**reference.features, **reference.predictions}
        self.columns: dict[str, Histogram] = {
            name: _histogram(column) for name, column in columns.items()
        }
        self.timeline = Timeline()
        self.rows_by_time_bin = np.zeros(TIME_BINS, dtype=np.int64)
        self.rows = 0

    def add(self, batch: TrafficBatch) -> None:
        """Count more rows."""
        for change in self.timeline.fit(batch.times):
            self.rows_by_time_bin = change.apply(self.rows_by_time_bin)
            for column in self.columns.values():
                column.rebin(change)
        time_bins = self.timeline.bins(batch.times)
        self.rows += len(batch)
        self.rows_by_time_bin += np.bincount(time_bins, minlength=TIME_BINS)
        for name, column in self.columns.items():
            column.add(batch.columns[name], time_bins, batch.unit_groups)
            mistyped = batch.mistyped.get(name, 0)
            # A value of the wrong type is null in the series, and not missing.
            column.mistyped += mistyped
            column.missing -= mistyped


def _histogram(column: ColumnReference) -> Histogram:
    if isinstance(column, NumberReference):
        return NumericHistogram(column)
    return CategoricalHistogram(column)
