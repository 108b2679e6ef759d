"""Which window of time a person means."""

import re
from datetime import datetime, timedelta

from contracts.errors import InvalidData
from contracts.times import parse_utc

_SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def window_of(
    since: str,
    start: str,
    end: str,
    now: datetime,
    options: tuple[str, str, str] = ("--since", "--start", "--end"),
) -> tuple[datetime, datetime]:
    """The window from `start` (else `since` before its end) to `end` (else `now`), UTC.

    `options` are how the command calls the three, for messages.

    Raises:
        InvalidData: a span that is not like `30m`, `24h`, `7d`, a time that is not
            RFC 3339, or an end that is not after the start.

    """
    back, begins, ends = options
    last = _parse_time(ends, end) if end else now
    first = _parse_time(begins, start) if start else last - span(since, back)
    if first >= last:
        raise InvalidData(
            f"window: expected an end after {first.isoformat()}, got {last.isoformat()}",
            remedy=f"swap {begins} and {ends}",
        )
    return first, last


def span(text: str, option: str = "--since") -> timedelta:
    """The length of time that `30m`, `24h` or `7d` say.

    Raises:
        InvalidData: it is not like that; `option` is named.

    """
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise InvalidData(
            f"{option}: expected a number with s, m, h or d, got {text!r}",
            remedy=f"for example {option} 24h",
        )
    try:
        return timedelta(**{_UNITS[match[2]]: float(match[1])})
    except OverflowError as err:
        raise InvalidData(
            f"{option}: expected less than a billion days, got {text!r}",
            remedy=f"for example {option} 24h",
        ) from err


def _parse_time(option: str, text: str) -> datetime:
    try:
        return parse_utc(text, assume_utc=True)
    except ValueError as err:
        raise InvalidData(
            f"{option}: expected a time in RFC 3339, got {text!r}",
            remedy="for example 2026-01-31T12:00:00Z",
        ) from err
