"""Timestamps on every way into the service: one value, one matrix, one text in the log."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.schema import Schema, category, number, timestamp
from contracts.timestamps import timestamp_text
from services.batch.columns import with_form
from services.batch.decode import RecordBatchDecoder
from services.batch.times import texts_of_times
from services.faults import Fault
from services.inference.decode import Decoder
from services.inference.decode_columns import ColumnDecoder
from services.inference.text_values import value_of_text
from services.jobs.input_files import file_rows

SCHEMA = Schema(
    features=(
        category("zone", ["a", "b"]),
        timestamp(
            "at",
            "2020-01-01",
            "2030-01-01",
            parts=("hour", "weekday", "days_since"),
            since="2020-01-01",
            time_zone="Europe/Berlin",
            nullable=True,
        ),
        number("x", 0, 1),
        timestamp("seen", "2020-01-01", parts=("year",), policy="flag"),
    )
)
DECODER = Decoder(SCHEMA, np.dtype(np.float64))
ROW = {
    "zone": "a",
    "at": "2026-01-31T12:00:00+01:00",
    "x": 0.5,
    "seen": "2026-01-31T23:30:00-01:00",
}
TEXTS = st.sampled_from(
    [
        *("2026-01-31T12:00:00Z", "2026-03-29 01:00:00.5+00:00", "2019-12-31T23:00:00Z"),
        *("2019-12-31T22:59:59Z", "2030-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "x", "", "a:b"),
        *("2026-01-31T12:00:00", "2026-01-31", "1899-01-01T00:00:00Z"),
    ]
)
VALUES = TEXTS | st.none() | st.integers(0, 2) | st.booleans()


def test_a_row_becomes_the_parts_of_its_timestamps() -> None:
    """12:00 in Berlin on a Saturday, 2,222 days and a half after the beginning of 2020 there."""
    rows = DECODER.one(json.dumps(ROW).encode())

    assert np.asarray(rows.numbers).tolist() == [[0.5, 12.0, 5.0, 2222.5, 2026.0, 0.0]]
    assert json.loads(rows.features[0]) == ROW
    assert SCHEMA.matrix([ROW], np.float64).tolist() == np.asarray(rows.numbers).tolist()


@given(st.fixed_dictionaries({"at": VALUES, "seen": VALUES, "x": st.sampled_from([0, 0.5, 2])}))
def test_each_form_of_a_body_is_decided_by_the_schema(changed: dict[str, object]) -> None:
    """One row, rows, and columns get the numbers, texts and flags that the schema gives."""
    row = {**ROW, **changed}
    body = json.dumps(row).encode()
    is_valid = not SCHEMA.violations(row)
    many = json.dumps({"rows": [row] * 3}).encode()
    columns = json.dumps({"columns": {name: [value] * 3 for name, value in row.items()}}).encode()

    found = [DECODER.fast_rows(many, 10), DECODER.fast_columns(columns, 10)]
    if not is_valid:
        assert found == [None, None]
        with pytest.raises(Fault, match="expected"):
            DECODER.one(body)
        return
    applied, flags = SCHEMA.apply_policies(row)
    for rows in (DECODER.one(body), *(each for each in found if each is not None)):
        expected = SCHEMA.matrix([applied], np.float64)
        assert np.array_equal(np.asarray(rows.numbers)[:1], expected, equal_nan=True)
        assert json.loads(bytes(rows.features[0])) == applied
        assert rows.flags[0] == flags
    assert all((each is None) == bool(flags) for each in found)


@pytest.mark.parametrize(
    "body",
    [
        '{"zone":"a","at":"x","at":"2026-01-31T12\\u003a00:00Z","x":0.5,"seen":"%s"}',
        '{"zone":"a","at":"%s","x":0.5,"x":0.5,"seen":"2026-01-31T12\\u003a00:00Z"}',
    ],
)
def test_an_escaped_colon_hides_no_key_that_occurs_twice(body: str) -> None:
    """The colons of a body prove that each key is there once; escapes are read exactly."""
    with pytest.raises(Fault, match="each key once"):
        DECODER.one((body % ROW["at"]).encode())


def test_a_timestamp_out_of_range_or_malformed_is_named() -> None:
    """Path, what was expected, and what came."""
    with pytest.raises(Fault) as found:
        DECODER.one(json.dumps({**ROW, "at": "2026-01-31T12:00:00"}).encode())

    assert found.value.message == (
        "at: expected a time 2019-12-31T23:00:00Z..2029-12-31T23:00:00Z in RFC 3339 with its "
        'zone, such as 2026-01-31T12:00:00Z or null, got "2026-01-31T12:00:00"'
    )


def test_tensors_and_arrow_columns_give_the_rows_of_json() -> None:
    """Strings as BYTES, Arrow's times with and without zone, dates, and the texts of a CSV file."""
    start = datetime(2026, 3, 28, 22, 30, tzinfo=UTC)
    times = [start + timedelta(hours=i, microseconds=7) for i in range(9)]
    texts = [timestamp_text(each.timestamp()) for each in times]
    rows = [{**ROW, "at": text, "seen": text} for text in texts]
    expected = SCHEMA.matrix(rows, np.float64)
    others = {"zone": ["a"] * 9, "x": [0.5] * 9}

    by_column = ColumnDecoder(SCHEMA, np.dtype(np.float64)).rows(
        {"zone": ["a"] * 9, "x": np.full(9, 0.5), "at": texts, "seen": texts}, 9
    )
    aware = pa.array(times, pa.timestamp("ns", "America/New_York"))
    batches = [
        pa.record_batch({**others, "at": each, "seen": each})
        for each in (aware, pa.array(texts), pa.array(texts).dictionary_encode())
    ]
    decoded = [RecordBatchDecoder(SCHEMA, DECODER).decode(batch) for batch in batches]

    assert by_column is not None
    assert np.array_equal(by_column.numbers, expected)
    for each in decoded:
        assert np.array_equal(each.matrix, expected)
        assert each.columns()["at"].to_pylist() == texts


def test_times_of_files_without_a_zone_are_those_of_the_clock() -> None:
    """As in training; a text of JSON without a zone is refused."""
    at = SCHEMA.feature("at")
    walls = ["2026-01-31 12:00", "2026-01-31", "2026-01-31T12:00:00.25", "31.01.2026"]
    utc = ["2026-01-31T11:00:00Z", "2026-01-30T23:00:00Z", "2026-01-31T11:00:00.250000Z"]
    naive = pa.array([datetime(2026, 1, 31, 12), None], pa.timestamp("us"))  # noqa: DTZ001 - that is the case
    rest = {"zone": ["a"] * 2, "x": [0.5] * 2, "seen": ["2026-01-31T12:00:00Z"] * 2}
    texts = pa.array(["2026-01-31 12:00", ""])

    decoder = RecordBatchDecoder(SCHEMA, DECODER)
    plain = decoder.decode(pa.record_batch({**rest, "at": naive}))
    csv = pa.record_batch({**rest, "at": texts})
    field = with_form(csv.schema.field("at"), "text")
    csv = csv.cast(csv.schema.set(csv.schema.get_field_index("at"), field))

    assert [value_of_text(at, wall) for wall in walls] == [*utc, "31.01.2026"]
    for found in (plain, decoder.decode(csv)):
        assert found.columns()["at"].to_pylist() == [utc[0], None]
        assert found.matrix[:, 1].tolist()[0] == 12.0
        assert np.isnan(found.matrix[1, 1:4]).all()


def test_arrow_times_out_of_range_are_refused_row_by_row() -> None:
    """The other rows are answered."""
    at = pa.array([datetime(2026, 1, 1, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)] * 4)
    rest = {"zone": ["a"] * 8, "x": [0.5] * 8, "seen": ["2019-01-31T12:00:00Z"] * 8}

    found = RecordBatchDecoder(SCHEMA, DECODER).decode(pa.record_batch({**rest, "at": at}))

    assert found.rows.tolist() == [0, 2, 4, 6]
    assert sorted(found.refused) == [1, 3, 5, 7]
    assert found.flags["out_of_range:seen"].tolist() == [True] * 4


def test_times_of_a_parquet_file_of_a_job_are_texts_of_json(tmp_path: Path) -> None:
    """Nanoseconds, dates and null included; another column stays as it is."""
    table = pa.table(
        {
            "at": pa.array([datetime(2026, 1, 31, 12), None], pa.timestamp("ns")),  # noqa: DTZ001 - that is the case
            "seen": pa.array([date(2026, 1, 31), date(2026, 2, 1)]),
            "x": [0.5, 0.25],
            "zone": ["a", "b"],
        }
    )
    path = tmp_path / "rows.parquet"
    pq.write_table(table, path)

    rows, _ = file_rows(path, {f.name: f for f in SCHEMA.features}, 10)

    texts = json.loads(rows.body_of(0, rows.n_rows))["rows"]
    assert [each["at"] for each in texts] == ["2026-01-31T11:00:00Z", None]
    assert [each["seen"] for each in texts] == ["2026-01-31T00:00:00Z", "2026-02-01T00:00:00Z"]
    assert all(not SCHEMA.violations(each) for each in texts)


@given(
    st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=9),
    st.sampled_from([("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)]),
)
def test_times_of_arrow_are_those_of_whole_numbers(ticks: list[int], unit: tuple[str, int]) -> None:
    """Nothing wraps around, and what is finer than a microsecond is cut off downwards."""
    name, per_second = unit
    array = pa.array(ticks, pa.int64()).cast(pa.timestamp(name, "UTC"))

    for tick, text in zip(ticks, texts_of_times(SCHEMA.feature("at"), array), strict=True):
        micros = tick * 10**6 // per_second
        try:
            expected = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
        except OverflowError:
            expected = None
        if expected is None or not 1900 <= expected.year <= 2099:
            assert text is not None
            assert text.endswith("since 1970")
        else:
            assert datetime.fromisoformat(str(text)) == expected


def test_a_job_cuts_nanoseconds_off_downwards_and_refuses_times_that_python_has_not(
    tmp_path: Path,
) -> None:
    features = {feature.name: feature for feature in SCHEMA.features}
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"at": pa.array([-1], pa.timestamp("ns", "UTC"))}), path)
    rows, _ = file_rows(path, features, 10)
    assert b"1969-12-31T23:59:59.999999" in rows.body_of(0, 1)

    pq.write_table(pa.table({"at": pa.array([2**62], pa.timestamp("us"))}), path)
    with pytest.raises(Fault, match="Parquet file"):
        file_rows(path, features, 10)
