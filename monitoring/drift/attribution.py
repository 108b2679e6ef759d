"""Which segment of the rows drives a drift, or holds most of the faulty values.

A segment is a value of a categorical feature (the segment feature). The difference of a
column's distribution is the sum of what each segment adds to it, by other values within it or
by its own share of the rows:

    q - p = sum over segments of (w' q_segment - w p_segment)

A segment's share of the difference is that term's projection on the whole difference; the
shares add up to one. The reference's segments are counted in its sample of held-out rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.reference import CategoryReference, ColumnReference, NumberReference, Reference
from contracts.verdict import DataFault
from monitoring.drift.histograms import Bins, near_range
from monitoring.traffic.batch import TrafficBatch

MAX_SEGMENTS = 50
MIN_SHARE = 0.5
"""A segment is named if it holds at least half of a difference."""
MIN_LIFT = 0.2
"""... and of faulty values, a fifth of all more than its share of the rows."""
MISSING = "(missing)"
ROW_FAULTS: tuple[DataFault, ...] = ("missing", "unseen", "out_of_range")
"""Faults of single rows, so that one segment may have most of them."""


@dataclass(frozen=True)
class SegmentShare:
    """A segment and its share of a column's difference or faulty values; as text `work = no`."""

    feature: str
    value: str
    share: float

    def __str__(self) -> str:
        return f"{self.feature} = {self.value}"


class SegmentCounts:
    """Every column of a window by segment, for each segment feature that the reference knows.

    `counts` has, by segment feature and column, rows by segment and bin: `(n_segments, n_bins)`.
    """

    def __init__(self, reference: Reference, features: Sequence[str]) -> None:
        self._reference = reference
        known = reference.features
        self._segments = {
            name: {value: i for i, value in enumerate(_segment_values(column))}
            for name in features
            if isinstance(column := known.get(name), CategoryReference)
        }
        self._bins = {name: _column_bins(column) for name, column in known.items()}
        self.counts: dict[tuple[str, str], NDArray[np.int64]] = {
            (feature, name): np.zeros((len(segments), bins.n_bins), dtype=np.int64)
            for feature, segments in self._segments.items()
            for name, bins in self._bins.items()
            if name != feature
        }
        self._rows = {
            feature: np.zeros(len(segments), dtype=np.int64)
            for feature, segments in self._segments.items()
        }
        self._faulty: dict[tuple[DataFault, str, str], NDArray[np.int64]] = {
            (fault, *key): np.zeros(len(counts), np.int64)
            for fault in ROW_FAULTS
            for key, counts in self.counts.items()
        }

    @classmethod
    def of_sample(cls, sample: pl.DataFrame, reference: Reference, features: Sequence[str]) -> Self:
        """The segments of a model's held-out rows, as `read_reference_sample` gives them."""
        found = cls(reference, features)
        found.add_columns({name: sample[name] for name in reference.features})
        return found

    @property
    def features(self) -> tuple[str, ...]:
        """The segment features that the reference knows."""
        return tuple(self._segments)

    def add(self, batch: TrafficBatch) -> None:
        """Count more rows."""
        self.add_columns(batch.columns)

    def add_columns(self, columns: Mapping[str, pl.Series]) -> None:
        """Count more rows, given as one series per feature of the reference."""
        if not self._segments:
            return
        index = {name: bins.index(columns[name]) for name, bins in self._bins.items()}
        faulty = {name: bins.faulty(columns[name]) for name, bins in self._bins.items()}
        for feature, segments in self._segments.items():
            codes = _codes(columns[feature], segments, len(segments) - 1)
            self._rows[feature] += np.bincount(codes, minlength=len(segments))
            for (of, name), counts in self.counts.items():
                if of != feature:
                    continue
                seen = index[name] >= 0
                keys = codes[seen] * counts.shape[1] + index[name][seen]
                found = np.bincount(keys, minlength=counts.size).reshape(counts.shape)
                np.add(counts, found, out=counts)
                for fault, mask in faulty[name].items():
                    rows = np.bincount(codes[mask], minlength=len(segments))
                    self._faulty[fault, of, name] += rows

    def main_segment(self, column: str, reference: "SegmentCounts") -> SegmentShare | None:
        """The segment that holds most of a column's difference, if one holds half of it."""
        shares = [
            SegmentShare(feature, value, float(share))
            for (feature, name), counts in self.counts.items()
            if name == column
            for value, share in zip(
                self._segments[feature],
                difference_shares(reference.counts[feature, name], counts),
                strict=True,
            )
        ]
        best = max(shares, key=lambda found: found.share, default=None)
        return best if best is not None and best.share >= MIN_SHARE else None

    def faulty_segment(self, column: str, fault: DataFault) -> SegmentShare | None:
        """The segment with most of a column's faulty values, beyond what is usual.

        A segment with most of the rows has most of anything; it is named only if it holds more
        than that. None for a fault that no segment can have by itself.
        """
        if fault == "unit":
            # A wrong unit is what explains values that are far away.
            fault = "out_of_range"
        usual = 0.0
        if fault == "missing":
            usual = self._reference.features[column].missing / max(self._reference.n_rows, 1)
        found: list[SegmentShare] = []
        for (kind, feature, name), faulty in self._faulty.items():
            rows = self._rows[feature]
            more = np.maximum(faulty - usual * rows, 0.0)
            if (kind, name) != (fault, column) or not more.any():
                continue
            shares, weights = more / more.sum(), rows / rows.sum()
            segments = zip(self._segments[feature], shares, weights, strict=True)
            found += [
                SegmentShare(feature, value, float(share))
                for value, share, weight in segments
                if share >= max(MIN_SHARE, weight + MIN_LIFT)
            ]
        return max(found, key=lambda part: part.share, default=None)


def difference_shares(reference: NDArray[np.int64], now: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each segment's share of the difference, from counts of shape `(n_segments, n_bins)`.

    >>> reference = np.array([[50, 50], [50, 50]])
    >>> now = np.array([[50, 50], [90, 10]])
    >>> difference_shares(reference, now).tolist()
    [0.0, 1.0]
    """
    change = now / max(int(now.sum()), 1) - reference / max(int(reference.sum()), 1)
    whole = change.sum(axis=0)
    size = float(whole @ whole)
    return change @ whole / size if size else np.zeros(len(change))


def _segment_values(column: CategoryReference) -> tuple[str, ...]:
    """The values that are counted apart; all others are counted with the missing ones."""
    return (*list(column.counts)[:MAX_SEGMENTS], MISSING)


class _NumericBins:
    """The bin of each value of a numeric column; -1 where it is no finite number."""

    def __init__(self, column: NumberReference) -> None:
        self._bins = Bins(np.array(column.edges))
        self._low, self._high = near_range(column)
        self.n_bins = self._bins.n_bins

    def index(self, values: pl.Series) -> NDArray[np.int64]:
        numbers = values.to_numpy()
        finite = np.isfinite(numbers)
        index = np.full(len(numbers), -1, dtype=np.int64)
        index[finite] = self._bins.index(numbers[finite])
        return index

    def faulty(self, values: pl.Series) -> Mapping[DataFault, NDArray[np.bool_]]:
        """Which values are missing or far away."""
        numbers = values.to_numpy()
        finite = np.isfinite(numbers)
        far = finite & ((numbers < self._low) | (numbers > self._high))
        return {"missing": ~finite, "out_of_range": far}


class _CategoryBins:
    """The category of each value of a categorical column; all others share the last bin."""

    def __init__(self, column: CategoryReference) -> None:
        self._index = {name: i for i, name in enumerate(column.counts)}
        self.n_bins = len(self._index) + 1

    def index(self, values: pl.Series) -> NDArray[np.int64]:
        return _codes(values, self._index, self.n_bins - 1)

    def faulty(self, values: pl.Series) -> Mapping[DataFault, NDArray[np.bool_]]:
        """Which values are missing, or unseen at training."""
        missing = values.is_null().to_numpy()
        known = values.cast(pl.String).is_in(list(self._index)).fill_null(value=False)
        return {"missing": missing, "unseen": ~missing & ~known.to_numpy()}


def _column_bins(column: ColumnReference) -> _NumericBins | _CategoryBins:
    return _NumericBins(column) if isinstance(column, NumberReference) else _CategoryBins(column)


def _codes(values: pl.Series, index: Mapping[str, int], default: int) -> NDArray[np.int64]:
    """Each value's place in `index`, or `default`."""
    codes = values.cast(pl.String).replace_strict(
        dict(index), default=default, return_dtype=pl.Int64
    )
    return codes.fill_null(default).to_numpy()
