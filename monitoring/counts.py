"""A window counted into the bins of its reference: every row, in memory that does not grow."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from contracts.reference import CategoryReference, ColumnReference, NumberReference, Reference
from contracts.traffic import TrafficRecord

FAR = 1.0
"""A number counts as out of range beyond the reference's ends by this many of its spans."""


class ColumnCount(Protocol):
    """The count of one column."""

    n: int
    missing: int

    def add(self, values: Sequence[Any]) -> None:
        """Count more rows."""


class NumberCount:
    """A numeric column in the bins of its reference."""

    def __init__(self, reference: NumberReference) -> None:
        self.reference = reference
        self._edges = np.array(reference.edges)
        self.counts: NDArray[np.int64] = np.zeros(len(reference.edges) + 1, dtype=np.int64)
        self.n = 0
        self.missing = 0
        self.far = 0
        self.minimum = np.inf
        self.maximum = -np.inf

    def add(self, values: Sequence[Any]) -> None:
        """Count more rows; None and what is not finite is missing."""
        numbers = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
        finite = numbers[np.isfinite(numbers)]
        self.n += len(numbers)
        self.missing += len(numbers) - len(finite)
        if not len(finite):
            return
        places = np.searchsorted(self._edges, finite, side="left")
        self.counts += np.bincount(places, minlength=len(self.counts))
        span = FAR * max(self.reference.maximum - self.reference.minimum, 1e-12)
        low, high = self.reference.minimum - span, self.reference.maximum + span
        self.far += int(np.sum((finite < low) | (finite > high)))
        self.minimum = min(self.minimum, float(finite.min()))
        self.maximum = max(self.maximum, float(finite.max()))


class CategoryCount:
    """A categorical column by category; booleans are `true` and `false`."""

    def __init__(self, reference: CategoryReference) -> None:
        self.reference = reference
        self.counts: Counter[str] = Counter()
        self.n = 0
        self.missing = 0

    def add(self, values: Sequence[Any]) -> None:
        """Count more rows."""
        found = Counter(values)
        self.n += len(values)
        self.missing += found.pop(None, 0)
        for word, n in found.items():
            # True is spelt as in JSON, whatever type the record gave it.
            self.counts[str(word).lower() if isinstance(word, bool) else str(word)] += n


class WindowCounts:
    """All columns of a window: the features, `score` and `prediction`."""

    def __init__(self, reference: Reference) -> None:
        columns = {**reference.features, **reference.predictions}
        self.columns = {name: _counter(column) for name, column in columns.items()}
        self._features = tuple(reference.features)
        self.flags: Counter[str] = Counter()
        self.rows = 0

    def add(self, records: Sequence[TrafficRecord]) -> None:
        """Count more records."""
        self.rows += len(records)
        for name in self._features:
            self.columns[name].add([record.features.get(name) for record in records])
        for name in self.columns.keys() - set(self._features):
            self.columns[name].add([getattr(record, name) for record in records])
        for record in records:
            self.flags.update(record.flags)


def _counter(column: ColumnReference) -> NumberCount | CategoryCount:
    if isinstance(column, NumberReference):
        return NumberCount(column)
    return CategoryCount(column)
