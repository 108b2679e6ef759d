"""Timestamps: texts against `datetime.fromisoformat`, parts against `datetime` and pandas."""

import time
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import InvalidRecipe
from contracts.schema import Schema, number, timestamp
from contracts.timestamps import (
    FIRST_SECOND,
    LAST_SECOND,
    PART_RANGES,
    offsets_fault,
    parse_file_timestamp,
    parse_timestamp,
    timestamp_parts,
    timestamp_text,
    wall_to_utc,
    zone_offsets,
)

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe")
PARTS = tuple(PART_RANGES)
TIMES = st.datetimes(datetime(1901, 1, 1), datetime(2099, 12, 30))  # noqa: DTZ001 - a zone is added
OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda m: timezone(timedelta(minutes=m)))


@given(TIMES, OFFSETS, st.sampled_from("Tt "))
def test_a_text_has_the_seconds_that_datetime_gives_it(
    wall: datetime, zone: timezone, separator: str
) -> None:
    """Also when it is written again."""
    aware = wall.replace(tzinfo=zone)

    seconds = parse_timestamp(aware.isoformat(separator))

    assert seconds == aware.timestamp()
    assert parse_timestamp(timestamp_text(aware.timestamp())) == seconds


@given(st.text(max_size=40) | st.from_regex(r"[0-9]{1,4}[-T:Z0-9.+ ]{0,36}", fullmatch=True))
def test_what_is_no_rfc_3339_text_is_none(text: str) -> None:
    """What is one `datetime` reads too; nothing raises."""
    seconds = parse_timestamp(text)

    if seconds is not None:
        assert seconds == datetime.fromisoformat(text.upper()).timestamp()
    parse_file_timestamp(text, zone_offsets("Europe/Berlin"))


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:00:00+01:99",
        "2026-01-31T12:00:00+24:00",
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:60:00Z",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-01-31T12:00Z",
        "2026-02-29T12:00:00Z",
        "2026-01-31T12:00:60Z",
        "2026-01-31T12:00:00+0100",
        "2026-W05-6T12:00:00Z",
        "20260131T120000Z",
        "2026-01-31T12:00:00.Z",
        "2026-01-31T12:00:00,5Z",
        "٢026-01-31T12:00:00Z",
        "2026-01-31T12:00:00Z\n",
        "1899-12-31T23:59:59Z",
        "2100-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "1767225600",
    ],
)
def test_other_spellings_are_refused(text: str) -> None:
    """One spelling of a time, and 200 years of it."""
    assert parse_timestamp(text) is None


def test_a_long_text_is_refused_at_once() -> None:
    """A text of 50 MB takes no longer than a short one."""
    texts = ["2026-01-31T12:00:00." + "0" * 50_000_000 + "Z", "1" * 50_000_000]

    start = time.process_time()

    assert [parse_timestamp(text) for text in texts] == [None, None]
    assert [parse_file_timestamp(text, "") for text in texts] == [None, None]
    assert time.process_time() - start < 0.05


SECONDS = st.integers(int(FIRST_SECOND * 1e6), int(LAST_SECOND * 1e6)).map(lambda us: us / 1e6)


@given(st.lists(SECONDS, min_size=1), st.sampled_from(ZONES))
def test_parts_are_those_of_the_clock_of_a_zone(seconds: list[float], zone: str) -> None:
    """One by one and as an array, to the bit; `datetime` with `zoneinfo` is the oracle."""
    offsets = zone_offsets(zone)

    together = timestamp_parts(np.array(seconds), PARTS, offsets, since=60.0)

    for row, second in enumerate(seconds):
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=np.floor(second))
        wall = at.astimezone(ZoneInfo(zone))
        expected = [
            *(wall.year, wall.month, wall.day, wall.timetuple().tm_yday, wall.weekday()),
            *(wall.hour, wall.minute, wall.second, (second - 60.0) / 86400.0),
        ]
        assert [float(column[row]) for column in together] == [float(each) for each in expected]
        assert [float(p) for p in timestamp_parts(second, PARTS, offsets, since=60.0)] == expected


def test_every_day_of_200_years_has_the_parts_that_pandas_gives_it() -> None:
    """Leap years, turns of the year and of the century."""
    days = pd.date_range("1900-01-01", "2099-12-31", freq="D")
    seconds = days.to_numpy(dtype="datetime64[s]").astype(np.float64)

    year, month, day, of_year, weekday, *_ = timestamp_parts(seconds, PARTS)

    assert (year == days.year).all()
    assert (month == days.month).all()
    assert (day == days.day).all()
    assert (of_year == days.dayofyear).all()
    assert (weekday == days.weekday).all()


@given(st.lists(TIMES, min_size=1), st.sampled_from(ZONES))
def test_times_without_a_zone_are_those_of_the_clock(walls: list[datetime], zone: str) -> None:
    """As `datetime` says: the first of an hour shown twice, the offset before a skipped one."""
    seconds = [(wall - datetime(1970, 1, 1)).total_seconds() for wall in walls]  # noqa: DTZ001 - both have none

    found = wall_to_utc(np.array(seconds), zone_offsets(zone))

    expected = [wall.replace(tzinfo=ZoneInfo(zone)).timestamp() for wall in walls]
    assert found.tolist() == pytest.approx(expected, abs=1e-6)


def test_the_clock_changes_at_the_second_that_the_zone_says() -> None:
    """Berlin, 29 March and 25 October 2026."""
    offsets = zone_offsets("Europe/Berlin")
    texts = ["2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z", "2026-10-25T00:59:59Z"]
    seconds = np.array([parse_timestamp(each) for each in [*texts, "2026-10-25T01:00:00Z"]])

    assert timestamp_parts(seconds, ("hour",), offsets)[0].tolist() == [1.0, 3.0, 2.0, 2.0]


def test_missing_times_have_missing_parts() -> None:
    """In each part, without a warning."""
    parts = timestamp_parts(np.array([np.nan]), PARTS, zone_offsets("Europe/Berlin"))

    assert np.isnan(np.concatenate(parts)).all()


@pytest.mark.parametrize(
    "offsets", ["x", "3600 5", "3600 5:6 4:7", "3600 5:90000", "90000", "1:2 3", ""]
)
def test_offsets_of_a_document_are_checked(offsets: str) -> None:
    """A manifest that was edited is refused, not misread."""
    assert bool(offsets_fault(offsets)) == bool(offsets)


def test_a_schema_says_what_is_wrong_with_a_timestamp() -> None:
    """Parts, zone, reference day, bounds, and names that are taken."""
    for wrong in (
        {"parts": ()},
        {"parts": ("hours",)},
        {"parts": ("hour",), "time_zone": "Mars/Olympus"},
        {"parts": ("days_since",)},
        {"parts": ("hour",), "since": "2026-01-01"},
        {"parts": ("hour",), "minimum": "01.01.2026"},
    ):
        with pytest.raises(InvalidRecipe, match="timestamp 'at': "):
            timestamp("at", **wrong)
    at = timestamp("at", parts=("hour",))
    for features in ((at, number("at_hour")), (number("at_hour"), at), (at, at)):
        with pytest.raises(InvalidRecipe, match=r"schema\.features"):
            Schema(features=features).check()
    with pytest.raises(InvalidRecipe, match="minimum <= maximum"):
        Schema(features=(timestamp("at", "2026-01-02", "2026-01-01", parts=("hour",)),)).check()


def test_the_bounds_of_a_timestamp_are_dates_of_its_clock() -> None:
    """And its policy is applied to the time, not to the text."""
    at = timestamp(
        "at", "2026-01-01", "2026-12-31", parts=("month",), time_zone="Europe/Berlin", policy="clip"
    )
    schema = Schema(features=(at,))

    early = schema.apply_policies({"at": "2025-12-31T23:59:59+01:00"})
    inside = schema.apply_policies({"at": "2025-12-31T23:00:00Z"})

    assert early == ({"at": "2025-12-31T23:00:00Z"}, ("clipped:at",))
    assert inside == ({"at": "2025-12-31T23:00:00Z"}, ())
    assert schema.matrix([early[0]]).tolist() == [[1.0]]


def test_a_part_that_nobody_knows_and_offsets_beyond_numbers_are_refused() -> None:
    feature = timestamp("at", parts=("hour",))
    odd = msgspec.structs.replace(feature, parts=("quarter",))

    with pytest.raises(InvalidRecipe, match="expected parts, each once, of year"):
        Schema(features=(odd,)).check()
    assert offsets_fault("0 " + "9" * 400 + ":5")
