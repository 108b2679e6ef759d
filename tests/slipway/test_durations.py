"""A window of time is what a person typed, or a clear refusal."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import InvalidData
from slipway.durations import span, window_of

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
def test_a_span_counts_back_from_now(text: str, length: timedelta) -> None:
    assert window_of(text, "", "", NOW) == (NOW - length, NOW)


def test_start_and_end_win_over_the_span_and_become_utc() -> None:
    window = window_of("24h", "2026-01-30T13:00:00+01:00", "2026-01-31T00:00:00", NOW)

    assert window == (
        datetime(2026, 1, 30, 12, tzinfo=UTC),
        datetime(2026, 1, 31, 0, tzinfo=UTC),
    )


def test_an_end_before_the_start_is_refused() -> None:
    with pytest.raises(InvalidData, match="expected an end after 2026-01-31T12"):
        window_of("1h", "2026-01-31T12:00:00Z", "2026-01-31T11:00:00Z", NOW)


def test_a_time_that_is_none_is_refused_with_its_option() -> None:
    with pytest.raises(InvalidData, match="--start: expected a time in RFC 3339, got 'noon'"):
        window_of("1h", "noon", "", NOW)


@given(st.text() | st.from_regex(r"\d+(\.\d+)?[smhd]", fullmatch=True))
def test_any_text_is_a_span_or_a_clear_refusal(text: str) -> None:
    try:
        length = span(text)
    except InvalidData as refusal:
        refused = refusal.what
    else:
        refused = ""
        assert length >= timedelta(0)

    assert not refused or "--since: expected" in refused
