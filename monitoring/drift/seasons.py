"""Seasons of a version's traffic: learned from its first weeks, and what a window should look like.

Windows have a slot: the weekday, or the hour of the week. A column is seasonal when its slots
differ by more than the same slots of different weeks do. Its windows are then compared with the
learned windows of their slot instead of the whole reference, and its last seven days with the
reference (`monitoring.drift.week`). What was learned stays: later weeks may have drifted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from contracts.reference import CategoryReference, ColumnReference, Reference
from contracts.season import (
    WEEK,
    ColumnSeason,
    SeasonProfile,
    Slot,
    SlotCounts,
    WindowCounts,
    slot_of,
    slots_per_week,
)
from contracts.times import parse_utc, utc_text
from metrics.seasonality import weekly_seasonality
from monitoring.drift.histograms import CategoricalHistogram, Histogram, WindowHistograms

MIN_WEEKS, MAX_WEEKS = 2, 4
"""Whole weeks from which a season is learned, and after which it no longer changes."""
SEASON_ALPHA = 0.01
"""The chance that any column without a season gets one, if its windows are independent."""
MIN_SEASON_SHARE = 0.3
"""The least part of the windows' variance that slots must explain."""
MIN_SEASON_EFFECT = 0.02
"""The least difference of slots: a wave of 0.1 standard deviations has it. Less alarms nowhere."""
MAX_SEASON_CATEGORIES = 256
"""A column with more categories has no season: its counts would fill the disk."""


@dataclass(frozen=True)
class Expectation:
    """What a column looks like in a slot: rows by bin, as many as they are worth independent ones.

    n rows of a window are worth `n / (1 + excess * n)`, since weeks differ from each other.
    """

    label: str
    rows: NDArray[np.float64]
    excess: float

    def design_effect(self, n: int) -> float:
        """Rows of a window of `n` per independent row."""
        return 1 + self.excess * n


@dataclass(frozen=True)
class Seasons:
    """What is known of the week when a window is judged.

    `profile` is None until the season is learned. `week` has the rows by bin of up to seven days
    before the window's end, without the window; `seen` is the part of a week that the version's
    windows have covered by then. `steady` are columns that had no season in an earlier version.
    `days` are the weekdays of these seven days that have counts or are the window's, 0 to 6.
    """

    slot: Slot
    profile: SeasonProfile | None = None
    week: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    seen: float = 1.0
    steady: frozenset[str] = frozenset()
    days: frozenset[int] = frozenset(range(7))

    def expectation(self, name: str, column: Histogram) -> Expectation | None:
        """What a seasonal column looks like in this slot; None where the reference counts."""
        season = self._season(name)
        found = season.slots.get(self.slot.index) if season is not None else None
        if season is None or found is None or len(found.counts) != n_bins(column.reference):
            return None
        rows = np.array(found.counts, dtype=np.float64)
        rows /= 1 + season.excess * rows.sum() / found.weeks
        return Expectation(self.slot.label, rows, season.excess)

    def seasonal(self, columns: Mapping[str, Histogram]) -> frozenset[str]:
        """The columns that are compared with their season in this slot."""
        return frozenset(n for n, column in columns.items() if self.expectation(n, column))

    def last_days(self, name: str, column: Histogram) -> NDArray[np.int64]:
        """The rows by bin of up to seven days, this window included."""
        now = season_counts(column)
        before = self.week.get(name)
        return now if before is None or len(before) != len(now) else before + now

    def has_week(self, name: str) -> bool:
        """Whether the last seven days have each weekday that the season of a column knows.

        Fewer days are not like the whole week, and so not like the reference.
        """
        season, per_day = self._season(name), self.slot.per_week // 7
        return season is None or {i // per_day for i in season.slots} <= self.days

    def days_design_effect(self, name: str, n: int) -> float:
        """Rows of the last seven days per independent row, `n` being their number."""
        season = self._season(name)
        return 1.0 if season is None else 1 + season.excess * n / len(season.slots)

    def is_seasonal(self, name: str) -> bool:
        """Whether a column has a season, in whichever slots it was learned."""
        return self._season(name) is not None

    def is_learning(self, name: str, column: Histogram) -> bool:
        """Whether a column may turn out to be seasonal."""
        return self.profile is None and name not in self.steady and has_bins(column.reference)

    def _season(self, name: str) -> ColumnSeason | None:
        season = self.profile.columns.get(name) if self.profile is not None else None
        return season if season is not None and season.slots else None


def has_bins(reference: ColumnReference) -> bool:
    """Whether the counts of a column are few enough to be kept for each window."""
    return (
        not isinstance(reference, CategoryReference)
        or len(reference.counts) <= MAX_SEASON_CATEGORIES
    )


def n_bins(reference: ColumnReference) -> int:
    """The number of counts of a column: those of its reference, and one of new categories."""
    return len(reference.counts) + isinstance(reference, CategoryReference)


def season_bins(column: Histogram, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts of shape `(n, n_bins)` with new categories added up into the last column."""
    if not isinstance(column, CategoricalHistogram):
        return counts
    n_known = len(column.reference.counts)
    new = counts[:, n_known:].sum(axis=1, keepdims=True)
    return np.hstack([counts[:, :n_known], new])


def season_counts(column: Histogram) -> NDArray[np.int64]:
    """The rows of a window by bin, as seasons count them; shape `(n_bins,)`."""
    return season_bins(column, column.by_time_bin().sum(axis=0, keepdims=True))[0]


def counts_to_keep(
    histograms: WindowHistograms, start: datetime, end: datetime, drifted: Iterable[str]
) -> WindowCounts:
    """The counts of a window from which seasons are learned."""
    return WindowCounts(
        start=utc_text(start),
        end=utc_text(end),
        columns={
            name: tuple(season_counts(column).tolist())
            for name, column in histograms.columns.items()
            if has_bins(column.reference)
        },
        drifted=tuple(drifted),
    )


def whole_weeks(profile: SeasonProfile, end: datetime) -> int:
    """How many weeks can be learned from at a time: at most `MAX_WEEKS`."""
    return min((end - parse_utc(profile.since)) // WEEK, MAX_WEEKS)


def learn_season(
    profile: SeasonProfile,
    reference: Reference,
    weeks: int,
    windows: Iterable[WindowCounts],
    zone: tzinfo,
) -> SeasonProfile:
    """The profile after `weeks` whole weeks; `windows` are theirs, in any order."""
    references = {
        name: column
        for name, column in {**reference.features, **reference.predictions}.items()
        if has_bins(column)
    }
    shape = weeks, slots_per_week(profile.length_s)
    counts = {
        name: np.zeros((*shape, n_bins(column)), dtype=np.int32)
        for name, column in references.items()
    }
    since = parse_utc(profile.since)
    for window in windows:
        start, end = parse_utc(window.start), parse_utc(window.end)
        slot, week = slot_of(start, end, zone), (start - since) // WEEK
        if slot is None or not 0 <= week < weeks:
            continue
        for name, found in window.columns.items():
            known = counts.get(name)
            if known is not None and len(found) == known.shape[2] and name not in window.drifted:
                known[week, slot.index] += np.array(found, dtype=np.int32)
    return replace(
        profile,
        weeks=weeks,
        until=utc_text(since + weeks * WEEK),
        columns={
            name: _column_season(found, SEASON_ALPHA / len(counts), references[name])
            for name, found in counts.items()
        },
    )


def _column_season(
    counts: NDArray[np.int32], alpha: float, reference: ColumnReference
) -> ColumnSeason:
    ordered = not isinstance(reference, CategoryReference)
    found = weekly_seasonality(counts.astype(np.int64), ordered=ordered)
    seasonal = (
        found.p_value < alpha
        and found.share >= MIN_SEASON_SHARE
        and found.effect >= MIN_SEASON_EFFECT
        and found.is_weekly
    )
    seen = (counts.sum(axis=2) > 0).sum(axis=0)
    totals = counts.sum(axis=0)
    return ColumnSeason(
        p_value=found.p_value,
        share=found.share,
        effect=found.effect,
        excess=found.excess,
        seasonal=seasonal,
        slots={
            int(i): SlotCounts(counts=tuple(totals[i].tolist()), weeks=int(seen[i]))
            for i in np.flatnonzero(seen)
            if seasonal
        },
    )
