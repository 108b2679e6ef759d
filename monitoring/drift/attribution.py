"""Which slice of the rows drives a drift.

A segment is a column of categories; its values cut the rows into slices. The difference of a
column's distribution is the sum of what each slice adds to it, by other values within it or
by its own share of the rows:

    q - p = sum over slices of (w' q_slice - w p_slice)

and a slice's part is that term's projection on the whole difference; the parts add up to one.
The reference's slices are counted in its sample of held-out rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.reference import CategoryReference, NumberReference, Reference
from contracts.verdict import DataFault
from monitoring.drift.histograms import Bins, usual_range
from monitoring.traffic.batch import TrafficBatch
from monitoring.traffic.decode import is_boolean

MOST_SLICES = 50
LEAST_SHARE = 0.5
"""A slice is named if it holds at least half of a difference."""
LEAST_LIFT = 0.2
"""... and of faulty values, a fifth of all more than its rows would have."""
MISSING = "(missing)"
IN_SLICES: tuple[DataFault, ...] = ("missing", "unseen", "out_of_range")
"""Faults that single rows have, so that a slice may have most of them."""


@dataclass(frozen=True)
class Part:
    """A slice of the rows and its part of a column's difference."""

    segment: str
    value: str
    share: float

    def __str__(self) -> str:
        return f"{self.segment} = {self.value}"


class SegmentCounts:
    """Every column of a window by slice, for each of the segments."""

    def __init__(self, reference: Reference, segments: Sequence[str]) -> None:
        self._reference = reference
        known = reference.features
        self._slices = {
            name: {word: i for i, word in enumerate((*list(column.counts)[:MOST_SLICES], MISSING))}
            for name in segments
            if isinstance(column := known.get(name), CategoryReference)
        }
        self._places = {name: _Places(column) for name, column in known.items()}
        self.counts: dict[tuple[str, str], NDArray[np.int64]] = {
            (segment, name): np.zeros((len(words), places.n), dtype=np.int64)
            for segment, words in self._slices.items()
            for name, places in self._places.items()
            if name != segment
        }
        self._rows = {
            segment: np.zeros(len(words), dtype=np.int64) for segment, words in self._slices.items()
        }
        self._faulty: dict[tuple[DataFault, str, str], NDArray[np.int64]] = {
            (fault, *key): np.zeros(len(counts), np.int64)
            for fault in IN_SLICES
            for key, counts in self.counts.items()
        }

    @property
    def names(self) -> tuple[str, ...]:
        """The segments that the reference knows."""
        return tuple(self._slices)

    def add(self, rows: TrafficBatch) -> None:
        """Count more rows."""
        self._add(rows.columns)

    def _add(self, columns: Mapping[str, pl.Series]) -> None:
        if not self._slices:
            return
        places = {name: at.of(columns[name]) for name, at in self._places.items()}
        faulty = {name: at.faulty(columns[name]) for name, at in self._places.items()}
        for segment, words in self._slices.items():
            last = len(words) - 1
            slices = _coded(columns[segment], words, last)
            self._rows[segment] += np.bincount(slices, minlength=len(words))
            for (of, name), counts in self.counts.items():
                if of != segment:
                    continue
                seen = places[name] >= 0
                keys = slices[seen] * counts.shape[1] + places[name][seen]
                found = np.bincount(keys, minlength=counts.size).reshape(counts.shape)
                np.add(counts, found, out=counts)
                for fault, mask in faulty[name].items():
                    met = np.bincount(slices[mask], minlength=len(words))
                    self._faulty[fault, of, name] += met

    def driver(self, column: str, before: "SegmentCounts") -> Part | None:
        """The slice that holds most of a column's difference, if one holds half of it."""
        parts = [
            Part(segment, word, float(share))
            for (segment, name), counts in self.counts.items()
            if name == column
            for word, share in zip(
                self._slices[segment],
                parts_of(before.counts[segment, name], counts),
                strict=True,
            )
        ]
        best = max(parts, key=lambda part: part.share, default=None)
        return best if best is not None and best.share >= LEAST_SHARE else None

    def culprit(self, column: str, fault: DataFault) -> Part | None:
        """The slice in which most of a column's faulty values are, beyond what is usual.

        A slice with most of the rows has most of anything; it is named only if it holds more
        than that. None for a fault that no slice can have alone.
        """
        if fault == "unit":
            # A wrong unit is what explains values that lie far away.
            fault = "out_of_range"
        usual = 0.0
        if fault == "missing":
            usual = self._reference.features[column].missing / max(self._reference.n_rows, 1)
        found: list[Part] = []
        for (kind, segment, name), faulty in self._faulty.items():
            rows = self._rows[segment]
            more = np.maximum(faulty - usual * rows, 0.0)
            if (kind, name) != (fault, column) or not more.any():
                continue
            shares, weights = more / more.sum(), rows / rows.sum()
            found += [
                Part(segment, word, float(share))
                for word, share, weight in zip(self._slices[segment], shares, weights, strict=True)
                if share >= max(LEAST_SHARE, weight + LEAST_LIFT)
            ]
        return max(found, key=lambda part: part.share, default=None)


def parts_of(before: NDArray[np.int64], now: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each slice's part of the difference, from counts of shape `(n_slices, n_bins)`.

    >>> before = np.array([[50, 50], [50, 50]])
    >>> now = np.array([[50, 50], [90, 10]])
    >>> parts_of(before, now).tolist()
    [0.0, 1.0]
    """
    change = now / max(int(now.sum()), 1) - before / max(int(before.sum()), 1)
    whole = change.sum(axis=0)
    size = float(whole @ whole)
    return change @ whole / size if size else np.zeros(len(change))


def segments_of_sample(path: Path, reference: Reference, segments: Sequence[str]) -> SegmentCounts:
    """The reference's slices, from the model's sample of held-out rows."""
    counts = SegmentCounts(reference, segments)
    sample = pl.read_parquet(path)
    counts._add(  # noqa: SLF001 - a second way to make one
        {name: _as_traffic(sample[name], column) for name, column in reference.features.items()}
    )
    return counts


def _as_traffic(values: pl.Series, column: NumberReference | CategoryReference) -> pl.Series:
    """A training table's column as traffic has it; booleans stand as 1.0 and 0.0 there."""
    if isinstance(column, NumberReference):
        return values.cast(pl.Float64)
    if is_boolean(column) and values.dtype != pl.String:
        return values.cast(pl.Boolean).cast(pl.String)
    return values.cast(pl.String)


class _Places:
    """The bin or category of each value; -1 for a value that has none."""

    def __init__(self, column: NumberReference | CategoryReference) -> None:
        if isinstance(column, NumberReference):
            self._bins: Bins | None = Bins(np.array(column.edges))
            self._low, self._high = usual_range(column)
            self.n = self._bins.n_bins
        else:
            self._bins = None
            self._words = {word: i for i, word in enumerate(column.counts)}
            self.n = len(self._words) + 1

    def faulty(self, values: pl.Series) -> Mapping[DataFault, NDArray[np.bool_]]:
        """Which values are missing (null, or no finite number), unseen, or far away."""
        if self._bins is None:
            missing = values.is_null().to_numpy()
            known = values.cast(pl.String).is_in(list(self._words)).fill_null(value=False)
            return {"missing": missing, "unseen": ~missing & ~known.to_numpy()}
        numbers = values.to_numpy()
        finite = np.isfinite(numbers)
        far = finite & ((numbers < self._low) | (numbers > self._high))
        return {"missing": ~finite, "out_of_range": far}

    def of(self, values: pl.Series) -> NDArray[np.int64]:
        if self._bins is None:
            return _coded(values, self._words, self.n - 1)
        numbers = values.to_numpy()
        finite = np.isfinite(numbers)
        places = np.full(len(numbers), -1, dtype=np.int64)
        places[finite] = self._bins.places(numbers[finite])
        return places


def _coded(values: pl.Series, words: Mapping[str, int], default: int) -> NDArray[np.int64]:
    coded = values.cast(pl.String).replace_strict(
        dict(words), default=default, return_dtype=pl.Int64
    )
    return coded.fill_null(default).to_numpy()
