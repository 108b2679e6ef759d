"""Durations and ranges of time, as they are typed: `--last 24h`, `--start`, `--end`."""

import re
from datetime import datetime, timedelta

from contracts.errors import InvalidData
from contracts.times import parse_utc

_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_LATENCY = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def time_range(last: str, start: str, end: str, now: datetime) -> tuple[datetime, datetime]:
    """The range from `start` to `end`, in UTC.

    `end` defaults to `now`; `start` to the duration `last` before the end. A time without a
    zone is UTC.

    Raises:
        InvalidData: a duration that is not like `30m`, `24h`, `7d`, or is zero; a time that is
            not RFC 3339; a start that is not before the end.

    """
    until = _time(end, "--end") if end else now
    since = _time(start, "--start") if start else _before(until, last)
    if since >= until and not start:
        raise InvalidData(
            f"--last: expected a duration above zero, got {last!r}",
            remedy="for example --last 24h",
        )
    if since >= until:
        raise InvalidData(
            f"--start: expected a time before the end, {until.isoformat()}, "
            f"got {since.isoformat()}",
            remedy="swap --start and --end",
        )
    return since, until


def parse_duration(text: str, option: str) -> timedelta:
    """The duration that a text like `30s`, `15m`, `24h` or `7d` names; zero is allowed.

    >>> parse_duration("1.5h", "--every")
    datetime.timedelta(seconds=5400)

    Raises:
        InvalidData: another text, or a duration beyond a billion days; names `option`.

    """
    match = _DURATION.fullmatch(text.strip())
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


def parse_latency(text: str, option: str) -> float:
    """The seconds that a text like `20ms` or `0.5s` names; above zero.

    >>> parse_latency("20ms", "--p99")
    0.02

    Raises:
        InvalidData: another text, or zero; names `option`.

    """
    match = _LATENCY.fullmatch(text.strip())
    seconds = float(match[1]) / (1000 if match[2] == "ms" else 1) if match else 0.0
    if seconds <= 0:
        raise InvalidData(
            f"{option}: expected a number above zero with ms or s, got {text!r}",
            remedy=f"for example {option} 20ms",
        )
    return seconds


def _before(end: datetime, last: str) -> datetime:
    try:
        return end - parse_duration(last, "--last")
    except OverflowError as err:
        raise InvalidData(
            f"--last: expected a duration that begins after the year 1, got {last!r}",
            remedy="for example --last 24h",
        ) from err


def _time(text: str, option: str) -> datetime:
    try:
        return parse_utc(text, assume_utc=True)
    except ValueError as err:
        raise InvalidData(
            f"{option}: expected a time in RFC 3339, got {text!r}",
            remedy=f"for example {option} 2026-01-31T12:00:00Z",
        ) from err
