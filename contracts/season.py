"""Seasons: the hours and days of a week, and the documents by which traffic's weeks are known.

They are below `var/seasons/<model>/`: `counts/<window id>.json` holds the counts of one window,
`<version>-<seconds>.json` the season that was learned from windows of that length.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

import msgspec

from contracts.documents import Document

WEEK = timedelta(days=7)
_DAY_S, _HOUR_S = 86_400, 3_600
MIN_WINDOW_S = 300
"""Shorter windows are looks and experiments, not the schedule of a service."""


@dataclass(frozen=True)
class Slot:
    """A part of the week: its number from Monday 00:00 on, of how many, and what people call it."""

    index: int
    per_week: int
    label: str


class WindowCounts(Document, frozen=True, kw_only=True):
    """The rows of a window by bin, per column: the bins of the version's reference.

    A category that the reference does not have counts in one more bin, the last. `drifted` are
    the columns that differed from their season: nothing is learned from them.
    """

    start: str
    end: str
    columns: dict[str, tuple[int, ...]]
    drifted: tuple[str, ...] = ()


class SlotCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The rows by bin of one slot, over `weeks` weeks."""

    counts: tuple[int, ...]
    weeks: int


class ColumnSeason(msgspec.Struct, frozen=True, kw_only=True):
    """What the first weeks say of a column.

    `p_value` is that of the slots' differences, `share` the part of the windows' variance that
    is between slots, `effect` the root mean square of the slots' differences of a share.
    `excess` is the variance from week to week, in variances of one row. `slots` is empty for a
    column that is not seasonal.
    """

    p_value: float
    share: float
    effect: float
    excess: float
    seasonal: bool
    slots: dict[int, SlotCounts] = {}


class SeasonProfile(Document, frozen=True, kw_only=True):
    """The season of a version's traffic, from whole weeks of windows of one length.

    The weeks begin at `since`; windows from `until` on are compared with it. With no `weeks`
    nothing is learned yet.
    """

    model: str
    version: int
    length_s: int
    time_zone: str
    since: str
    until: str = ""
    weeks: int = 0
    columns: dict[str, ColumnSeason] = msgspec.field(default_factory=dict)


def slots_per_week(length_s: float) -> int:
    """How many slots a week has for windows of this length; 0 if they have none.

    Windows of a day are one slot for each weekday; shorter ones have slots of their length,
    but of an hour at least. The length must divide the hour or the day.

    >>> [slots_per_week(hours * 3600) for hours in (0.25, 1, 6, 24, 7, 168)]
    [168, 168, 28, 7, 0, 0]
    """
    length = round(length_s)
    if length != length_s or not MIN_WINDOW_S <= length <= _DAY_S:
        return 0
    if _DAY_S % length or (length < _HOUR_S and _HOUR_S % length):
        return 0
    return 7 * _DAY_S // max(length, _HOUR_S)


def slot_of(start: datetime, end: datetime, zone: tzinfo) -> Slot | None:
    """The slot of a window, by the middle of it in a time zone.

    None for a window whose length has no slots, or that does not begin at a multiple of it.

    >>> from datetime import UTC
    >>> monday = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> [slot_of(monday, monday + timedelta(hours=n), UTC) for n in (1, 24)]
    [Slot(index=9, per_week=168, label='Mondays 09:00'), None]
    """
    length_s = (end - start).total_seconds()
    per_day = slots_per_week(length_s) // 7
    if not per_day or start.timestamp() % length_s:
        return None
    middle = (start + (end - start) / 2).astimezone(zone)
    slot_s = _DAY_S // per_day
    part = (middle.hour * _HOUR_S + middle.minute * 60 + middle.second) // slot_s
    index = middle.weekday() * per_day + part
    return Slot(index, 7 * per_day, _label(middle, part * slot_s, slot_s))


def _label(middle: datetime, first_s: int, slot_s: int) -> str:
    day = f"{middle:%A}s"
    if slot_s == _DAY_S:
        return day
    first, last = (
        f"{s // _HOUR_S:02d}:{s % _HOUR_S // 60:02d}" for s in (first_s, first_s + slot_s)
    )
    return f"{day} {first}" if slot_s == _HOUR_S else f"{day} {first} to {last}"
