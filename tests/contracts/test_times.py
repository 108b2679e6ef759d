"""A time has one spelling, and is read back as the same instant."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.times import parse_utc, utc_text

MARGIN = timedelta(days=2)
"""Keeps hypothesis away from times that leave the years 1 to 9999 in UTC."""
zones = st.builds(lambda minutes: timezone(timedelta(minutes=minutes)), st.integers(-1439, 1439))
times = st.datetimes(datetime.min + MARGIN, datetime.max - MARGIN, timezones=zones)  # noqa: DTZ901 - hypothesis adds the zone


@given(times)
def test_a_time_is_read_back_as_the_same_instant(time: datetime) -> None:
    again = parse_utc(utc_text(time))

    assert again == time
    assert again.tzinfo is UTC


@given(times, times)
def test_texts_sort_in_the_order_of_time(first: datetime, second: datetime) -> None:
    assert (utc_text(first) < utc_text(second)) == (first < second)


@given(times)
def test_the_text_is_that_of_the_format_codes(time: datetime) -> None:
    """Written by another route: strftime, whose `%Y` some platforms do not pad."""
    utc = time.astimezone(UTC)

    assert utc_text(time) == f"{utc.year:04d}-{utc:%m-%dT%H:%M:%S.%f}Z"
    assert utc_text(time, "seconds") == f"{utc.year:04d}-{utc:%m-%dT%H:%M:%S}Z"


def test_a_time_without_a_zone_is_refused_unless_utc_is_assumed() -> None:
    with pytest.raises(ValueError, match="expected a time with a zone, got '2026-01-31'"):
        parse_utc("2026-01-31")

    assert parse_utc("2026-01-31", assume_utc=True) == datetime(2026, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday", "", "0001-01-01T00:00:00+10:00", "2026-13-01Z"])
def test_what_is_not_a_time_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|Invalid|month"):
        parse_utc(text)
