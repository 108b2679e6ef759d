"""The files of seasons below `var/seasons/<model>/`: counts of windows, and what was learned."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from contracts.errors import InvalidDocument, InvalidSetting
from contracts.files import write_whole
from contracts.names import Layout, window_id
from contracts.reference import Reference
from contracts.season import WEEK, SeasonProfile, Slot, WindowCounts, slot_of
from contracts.times import parse_utc, utc_text
from contracts.verdict import Verdict
from monitoring.drift.histograms import WindowHistograms
from monitoring.drift.seasons import (
    MAX_WEEKS,
    MIN_WEEKS,
    Seasons,
    counts_to_keep,
    learn_season,
    whole_weeks,
)
from monitoring.drift.week import WEEK_PREFIX
from monitoring.traffic.window import TimeWindow

COUNTS_KEPT = (MAX_WEEKS + 1) * WEEK
"""Counts of windows that began longer ago are removed."""


def time_zone(name: str) -> tzinfo:
    """The time zone of that name.

    Raises:
        InvalidSetting: there is none.

    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as err:
        raise InvalidSetting(
            f"SLIPWAY_MONITORING_TIME_ZONE: expected a name such as Europe/Berlin, got {name!r}",
            remedy="set it to a name of the IANA time zone database, or unset it for UTC",
        ) from err


def read_seasons(layout: Layout, window: TimeWindow, version: int, zone: tzinfo) -> Seasons | None:
    """What is known of the week before a window is judged; None for a window without a slot.

    At most the counts of one week are read, and none once no column is seasonal.
    """
    slot = slot_of(window.start, window.end, zone)
    if slot is None:
        return None
    profile = _read_profile(_profile_path(layout, window, version), zone)
    learned = profile is not None and profile.weeks and parse_utc(profile.until) <= window.start
    names = (
        frozenset(name for name, c in profile.columns.items() if c.seasonal)
        if profile is not None and learned
        else None
    )
    since = parse_utc(profile.since) if profile is not None else window.start
    week, days = _last_days(layout, window, version, names, zone)
    return Seasons(
        slot=slot,
        profile=profile if learned else None,
        week=week,
        seen=min(max(window.end - since, window.end - window.start) / WEEK, 1.0),
        steady=frozenset() if learned else _steady(layout, window, version, zone),
        days=days | {_weekday(slot)},
    )


def store_season(
    layout: Layout,
    window: TimeWindow,
    histograms: WindowHistograms,
    reference: Reference,
    verdict: Verdict,
    zone: tzinfo,
) -> None:
    """Keep the counts of a judged window, and learn the season once a week is whole.

    Nothing is learned from windows with faults of the data or of its delivery.

    Raises:
        Unwritable: the folder of seasons cannot be written.

    """
    slot = slot_of(window.start, window.end, zone)
    if slot is not None and _is_first_of_day(layout, window, verdict.version):
        _remove_old(layout, window)
    is_faulty = any(verdict.condition(kind).is_alarming for kind in ("quality", "delivery"))
    if slot is None or is_faulty or not verdict.findings:
        return
    unlike = [
        f.column
        for f in verdict.findings
        if f.drifted and f.season and not f.effect.startswith(WEEK_PREFIX)
    ]
    counts = counts_to_keep(histograms, window.start, window.end, unlike)
    path = _profile_path(layout, window, verdict.version)
    profile = _read_profile(path, zone)
    if profile is None or _begins_again(layout, window, verdict.version, profile):
        profile = SeasonProfile(
            model=window.model,
            version=verdict.version,
            length_s=round((window.end - window.start).total_seconds()),
            time_zone=str(zone),
            since=utc_text(window.start),
        )
        write_whole(path, profile.write())
    write_whole(_counts_path(layout, window, verdict.version, window.start), counts.write())
    weeks = whole_weeks(profile, window.end)
    if weeks >= MIN_WEEKS and weeks > profile.weeks:
        found = _counts_of_weeks(layout, window, verdict.version, profile, weeks)
        write_whole(path, learn_season(profile, reference, weeks, found, zone).write())


def _profile_path(layout: Layout, window: TimeWindow, version: int) -> Path:
    length_s = round((window.end - window.start).total_seconds())
    return layout.seasons(window.model) / f"{version}-{length_s}.json"


def _counts_path(layout: Layout, window: TimeWindow, version: int, start: datetime) -> Path:
    name = window_id(window.model, version, start, start + (window.end - window.start))
    return layout.seasons(window.model) / "counts" / f"{name}.json"


def _read_profile(path: Path, zone: tzinfo) -> SeasonProfile | None:
    """The profile in a file; None if there is none, it is cut, or its hours are of another zone."""
    try:
        profile = SeasonProfile.read(path.read_bytes(), str(path))
    except (InvalidDocument, OSError):
        return None
    return profile if profile.time_zone == str(zone) else None


def _read_counts(path: Path) -> WindowCounts | None:
    """The counts in a file; None if there is none, or it is cut: the window is left out."""
    try:
        return WindowCounts.read(path.read_bytes(), str(path))
    except (InvalidDocument, OSError):
        return None


def _starts(first: datetime, last: datetime, length: timedelta) -> Iterator[datetime]:
    while first < last:
        yield first
        first += length


def _last_days(
    layout: Layout, window: TimeWindow, version: int, names: frozenset[str] | None, zone: tzinfo
) -> tuple[dict[str, NDArray[np.int64]], frozenset[int]]:
    """The rows by bin of the days before a window, of these columns or of all; their weekdays."""
    found: dict[str, NDArray[np.int64]] = {}
    days: set[int] = set()
    if names is not None and not names:
        return found, frozenset()
    length = window.end - window.start
    for start in _starts(window.end - WEEK, window.start, length):
        counts = _read_counts(_counts_path(layout, window, version, start))
        slot = slot_of(start, start + length, zone)
        if counts is None or slot is None:
            continue
        days.add(_weekday(slot))
        for name, rows in counts.columns.items():
            if names is None or name in names:
                known = found.get(name)
                new = np.array(rows, dtype=np.int64)
                found[name] = new if known is None or len(known) != len(new) else known + new
    return found, frozenset(days)


def _weekday(slot: Slot) -> int:
    """The weekday of a slot: 0 is Monday."""
    return slot.index // (slot.per_week // 7)


def _counts_of_weeks(
    layout: Layout, window: TimeWindow, version: int, profile: SeasonProfile, weeks: int
) -> Iterator[WindowCounts]:
    since = parse_utc(profile.since)
    for start in _starts(since, since + weeks * WEEK, window.end - window.start):
        counts = _read_counts(_counts_path(layout, window, version, start))
        if counts is not None:
            yield counts


def _begins_again(layout: Layout, window: TimeWindow, version: int, profile: SeasonProfile) -> bool:
    """Whether a week without windows came before anything was learned."""
    if profile.weeks or window.start - parse_utc(profile.since) < WEEK:
        return False
    length = window.end - window.start
    return not any(
        _counts_path(layout, window, version, start).is_file()
        for start in _starts(window.end - WEEK, window.start, length)
    )


def _steady(layout: Layout, window: TimeWindow, version: int, zone: tzinfo) -> frozenset[str]:
    """The columns that had no season in the newest earlier version whose season was learned."""
    length_s = round((window.end - window.start).total_seconds())
    found = []
    for path in layout.seasons(window.model).glob(f"*-{length_s}.json"):
        profile = _read_profile(path, zone)
        if profile is not None and profile.weeks and profile.version < version:
            found.append(profile)
    if not found:
        return frozenset()
    newest = max(found, key=lambda profile: profile.version)
    return frozenset(name for name, column in newest.columns.items() if not column.seasonal)


def _is_first_of_day(layout: Layout, window: TimeWindow, version: int) -> bool:
    """Whether no earlier window of its day (UTC) has counts: hours of a day may have no rows."""
    midnight = window.start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return not any(
        _counts_path(layout, window, version, start).is_file()
        for start in _starts(midnight, window.start, window.end - window.start)
    )


def _remove_old(layout: Layout, window: TimeWindow) -> None:
    """Remove the counts of windows, of whatever version, that are too old to be read again."""
    oldest = f"{(window.start - COUNTS_KEPT).astimezone(UTC):%Y%m%dT%H%M%S}"
    for path in (layout.seasons(window.model) / "counts").glob("*.json"):
        if path.stem.rsplit("-", 1)[-1] < oldest:
            path.unlink(missing_ok=True)
