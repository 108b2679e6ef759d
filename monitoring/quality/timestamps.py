"""Timestamps of a window: how many are missing or none, and which parts it can be judged by."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from contracts.reference import Reference, TimestampReference
from contracts.timestamps import SECONDS_PER_DAY
from contracts.verdict import DataFault

CYCLES_S: Mapping[str, float] = {
    "second": 60.0,
    "minute": 3600.0,
    "hour": SECONDS_PER_DAY,
    "weekday": 7 * SECONDS_PER_DAY,
    "day": 31 * SECONDS_PER_DAY,
    "month": 366 * SECONDS_PER_DAY,
    "day_of_year": 366 * SECONDS_PER_DAY,
}
"""The time in which a part takes all its values, in seconds. Year and days have no such time."""
MIN_CYCLE_SHARE = 0.9
"""A window whose timestamps span less of a cycle has another distribution for that reason alone."""
MIN_REFERENCE_SHARE = 0.5
"""So has one whose timestamps span less of those of training, for parts without a cycle."""


@dataclass
class TimestampCounts:
    """A timestamp in a window; `missing` does not count `mistyped`, which are no timestamps."""

    n: int = 0
    missing: int = 0
    mistyped: int = 0
    minimum: float = float("inf")
    maximum: float = float("-inf")

    def add(self, seconds: pl.Series, mistyped: int) -> None:
        """Count more rows; null is missing or mistyped."""
        known = seconds.drop_nulls().to_numpy()
        self.n += len(seconds)
        self.mistyped += mistyped
        self.missing += len(seconds) - len(known) - mistyped
        if len(known):
            self.minimum = min(self.minimum, float(known.min()))
            self.maximum = max(self.maximum, float(known.max()))


def unspanned_parts(counts: Mapping[str, TimestampCounts], reference: Reference) -> frozenset[str]:
    """The parts that the timestamps of a window are too close together to be judged by.

    One day of requests has one weekday, whatever happens.
    """
    return frozenset(
        part
        for name, known in reference.timestamps.items()
        for part in known.parts
        if name in counts and not _is_spanned(part.removeprefix(f"{name}_"), counts[name], known)
    )


def timestamp_faults(
    counts: TimestampCounts, reference: TimestampReference, flagged: int
) -> Iterator[tuple[DataFault, int, int]]:
    """Faults by name, with the faulty rows in the window and in the reference."""
    yield "missing", counts.missing, reference.missing
    yield "type_change", counts.mistyped, 0
    yield "out_of_range", flagged, 0


def _is_spanned(part: str, counts: TimestampCounts, reference: TimestampReference) -> bool:
    span = counts.maximum - counts.minimum
    if part in CYCLES_S:
        return span >= MIN_CYCLE_SHARE * CYCLES_S[part]
    return span >= MIN_REFERENCE_SHARE * (reference.maximum - reference.minimum)
