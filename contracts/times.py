"""Times as text: RFC 3339 in UTC, as every document, record and label writes them."""

from datetime import UTC, datetime
from typing import Literal

_OFFSET = "+00:00"


def utc_text(time: datetime, timespec: Literal["seconds", "microseconds"] = "microseconds") -> str:
    """An aware time in RFC 3339, in UTC and with `Z`; fractions are cut off, not rounded.

    Texts of one `timespec` sort in the order of time.

    >>> utc_text(datetime(2026, 1, 31, 12, tzinfo=UTC))
    '2026-01-31T12:00:00.000000Z'
    >>> utc_text(datetime.fromisoformat("2026-01-31T12:00:00.9+02:00"), "seconds")
    '2026-01-31T10:00:00Z'

    Raises:
        OverflowError: in UTC the time lies outside the years 1 to 9999.

    """
    utc = time if time.tzinfo is UTC else time.astimezone(UTC)
    return utc.isoformat(timespec=timespec).removesuffix(_OFFSET) + "Z"


def parse_utc(text: str, *, assume_utc: bool = False) -> datetime:
    """The time that an RFC 3339 text names, as an aware `datetime` in UTC.

    >>> parse_utc("2026-01-31T12:00:00+02:00")
    datetime.datetime(2026, 1, 31, 10, 0, tzinfo=datetime.timezone.utc)

    Args:
        text: a time with a zone (`Z` or an offset).
        assume_utc: read a time without a zone as UTC instead of refusing it.

    Raises:
        ValueError: not a time, no zone, or outside the years 1 to 9999 in UTC.

    """
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        if not assume_utc:
            raise ValueError(f"expected a time with a zone, got {text!r}")
        return time.replace(tzinfo=UTC)
    try:
        return time.astimezone(UTC)
    except OverflowError as err:
        raise ValueError(f"expected a year from 1 to 9999 in UTC, got {text!r}") from err
