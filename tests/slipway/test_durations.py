"""A range of time is what a person typed, or a clear refusal."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import InvalidData
from slipway.durations import parse_duration, time_range

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("1.5h", timedelta(minutes=90)),
        ("7d", timedelta(days=7)),
    ],
)
def test_last_counts_back_from_now(text: str, length: timedelta) -> None:
    assert time_range(text, "", "", NOW) == (NOW - length, NOW)


def test_start_and_end_override_last_and_become_utc() -> None:
    window = time_range("24h", "2026-01-30T13:00:00+01:00", "2026-01-31T00:00:00", NOW)

    assert window == (
        datetime(2026, 1, 30, 12, tzinfo=UTC),
        datetime(2026, 1, 31, 0, tzinfo=UTC),
    )


def test_last_counts_back_from_the_end() -> None:
    assert time_range("1h", "", "2026-01-31T00:00:00Z", NOW) == (
        datetime(2026, 1, 30, 23, tzinfo=UTC),
        datetime(2026, 1, 31, 0, tzinfo=UTC),
    )


def test_an_end_before_the_start_is_refused() -> None:
    with pytest.raises(InvalidData, match="--start: expected a time before the end, 2026-01-31T11"):
        time_range("1h", "2026-01-31T12:00:00Z", "2026-01-31T11:00:00Z", NOW)


def test_a_duration_of_zero_is_no_range() -> None:
    with pytest.raises(InvalidData, match="--last: expected a duration above zero, got '0s'"):
        time_range("0s", "", "", NOW)


def test_a_duration_that_begins_before_the_calendar_is_refused() -> None:
    with pytest.raises(InvalidData, match="--last: expected a duration that begins after"):
        time_range("1000000d", "", "", NOW)


def test_a_text_that_is_no_time_is_refused_with_its_option() -> None:
    with pytest.raises(InvalidData, match="--start: expected a time in RFC 3339, got 'noon'"):
        time_range("1h", "noon", "", NOW)


@given(st.text() | st.from_regex(r"\d+(\.\d+)?[smhd]", fullmatch=True))
def test_any_text_is_a_duration_or_a_clear_refusal(text: str) -> None:
    try:
        length = parse_duration(text, "--every")
    except InvalidData as refusal:
        refused = refusal.what
    else:
        refused = ""
        assert length >= timedelta(0)

    assert not refused or "--every: expected" in refused
