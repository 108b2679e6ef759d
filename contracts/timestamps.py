"""Timestamps: from RFC 3339 text to seconds, and from seconds to the parts that a model takes.

Training and the service share these functions, so a text has one value and one set of parts.
Times are float64 seconds since 1970-01-01T00:00:00Z, exact to the microsecond; NaN is missing.
Parts are those of the clock of one time zone, whose offsets are part of the schema: a version
answers the same wherever it is served, whatever time zone data is installed there.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

Seconds = Any
"""A float, or an array of float64 of shape `(n,)`; functions of it return the same."""

UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_SECOND = -2208988800.0
"""1900-01-01T00:00:00Z, the earliest timestamp."""
LAST_SECOND = 4102444799.999999
"""The last microsecond of 2099, the latest timestamp: offsets of zones are known until then."""
MAX_TIMESTAMP_CHARS = 35
"""A longer text is no timestamp: nine digits of fraction and an offset."""
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_ZONE = r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
PATTERN = rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[Tt ]{_CLOCK}:[0-5][0-9](\.[0-9]{{1,9}})?{_ZONE}$"
"""The form of a timestamp in JSON, RFC 3339: the zone is required."""
EXAMPLE = "2026-01-31T12:00:00Z"
SECONDS_PER_DAY = 86400.0
MICROSECONDS_PER_SECOND = 1e6

_RFC3339 = re.compile(PATTERN[1:-1], re.ASCII)
_IN_FILE = re.compile(
    rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}([Tt ]{_CLOCK}(:[0-5][0-9](\.[0-9]{{1,9}})?)?{_ZONE}?)?",
    re.ASCII,
)


def parse_timestamp(text: str) -> float | None:
    """The seconds of an RFC 3339 text; None if it is none, or outside 1900 to 2099 in UTC.

    The zone is required. Digits beyond microseconds are cut off.

    >>> parse_timestamp("1970-01-02T01:00:00.5+01:00"), parse_timestamp("1970-01-02T00:00:00")
    (86400.5, None)
    """
    if len(text) > MAX_TIMESTAMP_CHARS or _RFC3339.fullmatch(text) is None:
        return None
    return _seconds(text, "")


def parse_file_timestamp(text: str, offsets: str) -> float | None:
    """The seconds of an ISO 8601 text of a file; None as in `parse_timestamp`.

    Files also have dates, times without seconds, and times without a zone, which are those of
    the clock that `offsets` describes.

    >>> parse_file_timestamp("1970-01-02", ""), parse_file_timestamp("1970-01-01 01:00", "3600")
    (86400.0, 0.0)
    """
    if len(text) > MAX_TIMESTAMP_CHARS or _IN_FILE.fullmatch(text) is None:
        return None
    return _seconds(text, offsets)


def _seconds(text: str, offsets: str) -> float | None:
    try:
        time = datetime.fromisoformat(text.upper())
    except ValueError:
        return None  # a day that no month has, an hour 24
    if time.tzinfo is None:
        wall = (time.replace(tzinfo=UTC) - UNIX_EPOCH).total_seconds()
        seconds = float(wall_to_utc(np.array([wall]), offsets)[0])
    else:
        seconds = (time - UNIX_EPOCH).total_seconds()
    return seconds if FIRST_SECOND <= seconds <= LAST_SECOND else None


def parse_timestamps(texts: Sequence[str | None]) -> tuple[NDArray[np.float64], int]:
    """The seconds of texts, NaN for None and for what is no timestamp, and how many are none."""
    found = [None if text is None else parse_timestamp(text) for text in texts]
    n_wrong = sum(
        seconds is None and text is not None for seconds, text in zip(found, texts, strict=True)
    )
    return np.array(found, dtype=np.float64), n_wrong


def timestamp_text(seconds: float) -> str:
    """Seconds as RFC 3339 in UTC, with as many microseconds as there are.

    >>> timestamp_text(86400.0), timestamp_text(-0.5)
    ('1970-01-02T00:00:00Z', '1969-12-31T23:59:59.500000Z')
    """
    time = UNIX_EPOCH + timedelta(microseconds=round(seconds * MICROSECONDS_PER_SECOND))
    return time.replace(tzinfo=None).isoformat() + "Z"


def timestamp_parts(
    seconds: Seconds, parts: Sequence[str], offsets: str = "", since: float = 0.0
) -> list[Seconds]:
    """The parts of times by the clock of a zone, one value or array per part; NaN stays NaN.

    `since` are the seconds from which `days_since` counts.

    >>> timestamp_parts(1e9, ("year", "month", "day", "weekday", "hour", "day_of_year"))
    [2001.0, 9.0, 9.0, 6.0, 1.0, 252.0]
    >>> timestamp_parts(np.array([0.0]), ("hour",), "-3600")[0].tolist()
    [23.0]
    """
    wall = seconds + _offset_at(seconds, offsets) if offsets else seconds
    days = wall // SECONDS_PER_DAY
    return [
        (seconds - since) / SECONDS_PER_DAY
        if part == "days_since"
        else _PARTS[part](days, wall - days * SECONDS_PER_DAY)
        for part in parts
    ]


def wall_to_utc(wall: NDArray[np.float64], offsets: str) -> NDArray[np.float64]:
    """Times of the clock of a zone as seconds, shape `(n,)`.

    An hour that a clock shows twice is the first one; of an hour that it skips, the offset before
    it counts (PEP 495).
    """
    if not offsets:
        return wall
    starts, values = _table(offsets)
    return (
        wall - values[np.searchsorted(starts + np.maximum(values[:-1], values[1:]), wall, "right")]
    )


@lru_cache(maxsize=64)
def zone_offsets(time_zone: str) -> str:
    """The offsets of a zone from UTC, from 1900 to 2099; empty for UTC.

    The first number is the offset in seconds at the beginning; each `second:offset` is a later
    change, at a second since 1970 in UTC.

    Raises:
        ValueError: there is no such zone.

    """
    try:
        zone = ZoneInfo(time_zone)
    except (ValueError, KeyError, OSError) as err:
        raise ValueError(f"expected an IANA time zone, got {time_zone!r}") from err

    def offset(second: int) -> int:
        found = (UNIX_EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset()
        return 0 if found is None else round(found.total_seconds())

    day, last = int(FIRST_SECOND), int(LAST_SECOND)
    before = offset(day)
    found = [str(before)]
    while day < last:
        after = offset(day + int(SECONDS_PER_DAY))
        if after != before:
            low, high = day, day + int(SECONDS_PER_DAY)
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(middle) == before else (low, middle)
            found.append(f"{high}:{after}")
            before = after
        day += int(SECONDS_PER_DAY)
    return "" if found == ["0"] else " ".join(found)


def offsets_fault(offsets: str) -> str:
    """What is wrong with the offsets of a document; empty if nothing is."""
    try:
        starts, values = _table(offsets) if offsets else (np.zeros(0), np.zeros(1))
    except (ValueError, OverflowError):
        return "expected offsets as 'offset second:offset ...'"
    if (np.diff(starts) <= 0).any() or (np.abs(values) >= SECONDS_PER_DAY).any():
        return "expected offsets of less than a day, in the order of time"
    return ""


@lru_cache(maxsize=256)
def _table(offsets: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The seconds at which offsets begin, shape `(n,)`, and all offsets, shape `(n + 1,)`."""
    first, *changes = offsets.split(" ")
    pairs = [(int(second), int(value)) for second, value in (c.split(":") for c in changes)]
    starts = np.array([second for second, _ in pairs], dtype=np.float64)
    return starts, np.array([int(first), *(value for _, value in pairs)], dtype=np.float64)


def _offset_at(seconds: Seconds, offsets: str) -> Seconds:
    starts, values = _table(offsets)
    return values[np.searchsorted(starts, seconds, "right")]


def _civil(days: Seconds) -> tuple[Seconds, Seconds, Seconds]:
    """Year, month and day of the days since 1970-01-01, in the Gregorian calendar.

    The algorithm is Howard Hinnant's `civil_from_days`
    (https://howardhinnant.github.io/date_algorithms.html); whole numbers are exact in float64.
    """
    shifted = days + 719468.0
    era = shifted // 146097.0
    of_era = shifted - era * 146097.0
    year = (of_era - of_era // 1460.0 + of_era // 36524.0 - of_era // 146096.0) // 365.0
    of_year = of_era - (365.0 * year + year // 4.0 - year // 100.0)
    march = (5.0 * of_year + 2.0) // 153.0
    day = of_year - (153.0 * march + 2.0) // 5.0 + 1.0
    month = march + 3.0 - 12.0 * (march >= 10.0)  # noqa: PLR2004 - January and February
    return year + era * 400.0 + (month <= 2.0), month, day  # noqa: PLR2004 - they end a year


def _day_of_year(days: Seconds, _time: Seconds) -> Seconds:
    before = _civil(days)[0] - 1.0
    first = 365.0 * before + before // 4.0 - before // 100.0 + before // 400.0 - 719162.0
    return days - first + 1.0


_PARTS: Mapping[str, Callable[[Seconds, Seconds], Seconds]] = {
    "year": lambda days, _: _civil(days)[0],
    "month": lambda days, _: _civil(days)[1],
    "day": lambda days, _: _civil(days)[2],
    "day_of_year": _day_of_year,
    "weekday": lambda days, _: (days + 3.0) % 7.0,
    "hour": lambda _, time: time // 3600.0,
    "minute": lambda _, time: time % 3600.0 // 60.0,
    "second": lambda _, time: time % 60.0 // 1.0,
}
"""The parts but `days_since`, from the whole days and the seconds of the day."""

PART_RANGES: Mapping[str, tuple[int, int] | None] = {
    "year": (1899, 2100),
    "month": (1, 12),
    "day": (1, 31),
    "day_of_year": (1, 366),
    "weekday": (0, 6),
    "hour": (0, 23),
    "minute": (0, 59),
    "second": (0, 59),
    "days_since": None,
}
"""The parts that a schema may name: whole numbers from and to, or None for any number.

Monday is weekday 0, as in Python and pandas. `days_since` has fractions of a day.
"""
