"""One reader serves all who read the traffic log, from log files and from Parquet alike."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import NotRegistered
from contracts.names import Layout
from contracts.reference import CategoryReference, NumberReference, Reference
from contracts.traffic import TrafficRecord
from monitoring.traffic.compaction import compact_traffic
from monitoring.traffic.lookup import find_prediction
from monitoring.traffic.parquet import record_of
from monitoring.traffic.projections import NamedColumns, TypedColumns, WholeRecords
from monitoring.traffic.reader import read_traffic
from monitoring.traffic.window import ReadStats, TimeWindow

DAY = datetime(2026, 1, 31, tzinfo=UTC)
LATER = DAY + timedelta(days=2)
WINDOW = TimeWindow("tiny", 1, DAY, DAY + timedelta(days=1))
REFERENCE = Reference(
    n_rows=4,
    n_predictions=4,
    features={
        "age": NumberReference(
            edges=(40.0,), counts=(2, 2), missing=0, minimum=30, maximum=50, mean=40, std=8
        ),
        "owner": CategoryReference(counts={"true": 2, "false": 2}, missing=0),
    },
    predictions={
        "score": NumberReference(
            edges=(0.5,), counts=(2, 2), missing=0, minimum=0, maximum=1, mean=0.5, std=0.3
        )
    },
)
PROJECTIONS = (
    TypedColumns(REFERENCE),
    NamedColumns(("variant", "prediction", "score", "scores", "unit", "weight"), ("owner",)),
    NamedColumns(),
    WholeRecords(),
)


def record(number: int, **changes: Any) -> TrafficRecord:
    fields: dict[str, Any] = {
        "prediction_id": f"id-{number}",
        "time": f"2026-01-31T{number % 24:02d}:00:00.000000Z",
        "model": "tiny",
        "version": 1,
        "features": {"age": 30.0 + number, "owner": number % 2 == 0},
        "prediction": "yes",
        "score": 0.5,
        "scores": {"no": 0.5, "yes": 0.5},
    }
    return TrafficRecord(**(fields | changes))


RECORDS = (
    record(1),
    record(2, unit="u", assigned="production", weight=0.5),
    record(3, features={"age": "old", "owner": 1.0, "shoe": 42}),
    record(4, features={}),
    record(5, version=9),
    record(6, time="2026-02-01T00:00:00.000000Z"),
    record(7, time="2026-01-31T12:99"),
)


def write(layout: Layout, records: Sequence[TrafficRecord], tail: bytes = b"") -> Path:
    path = layout.traffic("tiny") / "2026-01-31" / "a.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.Encoder().encode_lines(records) + tail)
    os.utime(path, (0, 0))
    return path


def tables(layout: Layout, projection: Any) -> tuple[list[dict[str, Any]], ReadStats]:
    """The rows of the window by id, with categories as text."""
    stats = ReadStats()
    batches = list(read_traffic(layout, WINDOW, projection, stats))
    frames = [b if isinstance(b, pl.DataFrame) else b.frame for b in batches]
    texts = [f.cast({pl.Categorical: pl.String}) for f in frames]
    rows = [row for frame in texts for row in frame.iter_rows(named=True)]
    return sorted(rows, key=lambda row: str(row["prediction_id"])), stats


@pytest.mark.parametrize("projection", PROJECTIONS, ids=["typed", "named", "ids", "whole"])
def test_what_is_torn_is_counted_alike_by_all_and_after_compaction(
    projection: Any, tmp_path: Path
) -> None:
    layout = Layout(tmp_path)
    write(layout, RECORDS, tail=b'{"prediction_id": "cut')
    before, stats = tables(layout, projection)
    compact_traffic(layout, "tiny", now=LATER)
    after, again = tables(layout, projection)

    assert [row["prediction_id"] for row in before] == [f"id-{i}" for i in range(1, 5)]
    assert [row["prediction_id"] for row in after] == [row["prediction_id"] for row in before]
    for found in (stats, again):
        assert (found.files, found.torn_lines, found.other_versions) == (1, 2, 1)
        assert found.torn_files == []

    (part,) = layout.traffic("tiny").glob("*/*.parquet")
    part.write_bytes(part.read_bytes()[:-9])
    rows, torn = tables(layout, projection)
    assert rows == []
    assert part.name in torn.torn_files[0]


def test_units_are_in_the_same_group_from_lines_and_from_parquet(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    users = [None if i % 5 == 0 else f"u{i % 3}" for i in range(1, 20)]
    write(layout, [record(i, **({} if u is None else {"unit": u})) for i, u in enumerate(users)])

    def groups() -> list[int]:
        (batch,) = read_traffic(layout, WINDOW, PROJECTIONS[0], ReadStats())
        assert batch.unit_groups is not None
        places = batch.ids.str.slice(3).cast(pl.Int64).arg_sort()
        return [int(group) for group in batch.unit_groups[places.to_numpy()]]

    before = groups()
    compact_traffic(layout, "tiny", now=LATER)

    assert groups() == before
    assert [group == -1 for group in before] == [user is None for user in users]
    assert len({(user, group) for user, group in zip(users, before, strict=True)}) == 4


def test_named_columns_are_the_same_from_lines_and_from_parquet(tmp_path: Path) -> None:
    """Also a feature of several types, which Parquet holds as JSON."""
    layout = Layout(tmp_path)
    write(layout, RECORDS)
    before, _ = tables(layout, PROJECTIONS[1])
    compact_traffic(layout, "tiny", now=LATER)
    after, _ = tables(layout, PROJECTIONS[1])

    assert after == before
    assert [row["features.owner"] for row in before] == ["false", "true", "1.0", None]
    assert [row["unit"] for row in before] == [None, "u", None, None]


def test_columns_that_an_old_file_lacks_are_null(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    write(layout, [record(1, features={"age": 30.0})])
    compact_traffic(layout, "tiny", now=LATER)
    ((row,), _) = tables(layout, PROJECTIONS[1])

    assert (row["unit"], row["weight"], row["features.owner"]) == (None, None, None)


def test_mistyped_values_of_a_torn_record_are_not_counted(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    write(layout, [record(1), record(2, time="2026-01-31T12:99", features={"age": "old"})])
    (batch,) = read_traffic(layout, WINDOW, TypedColumns(REFERENCE), ReadStats())

    assert (len(batch), batch.mistyped["age"]) == (1, 0)


@pytest.mark.parametrize("is_compacted", [False, True])
def test_a_prediction_is_found_among_others_whose_ids_begin_alike(
    tmp_path: Path, *, is_compacted: bool
) -> None:
    layout = Layout(tmp_path)
    write(
        layout, [record(i, prediction_id=f"id-{i}") for i in range(20)], b'{"prediction_id":"id-77'
    )
    if is_compacted:
        compact_traffic(layout, "tiny", now=LATER)

    assert find_prediction(layout, "id-1") == record(1)
    for unknown in ("id-77", "id-"):
        with pytest.raises(NotRegistered, match=f"got '{unknown}'"):
            find_prediction(layout, unknown)


@given(st.lists(st.binary(max_size=60).map(lambda b: b.replace(b"\n", b" ")), max_size=10))
def test_every_line_is_a_record_or_is_counted_as_torn(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    layout = Layout(tmp_path_factory.mktemp("var"))
    good = msgspec.json.encode(record(1))
    write(layout, [], b"\n".join(line for junk in lines for line in (junk, good)))
    stats = ReadStats()
    batches = read_traffic(layout, WINDOW, TypedColumns(REFERENCE), stats)

    assert sum(len(batch) for batch in batches) == len(lines)
    assert stats.torn_lines == sum(bool(line.strip()) for line in lines)


def test_whole_records_come_back_as_they_were(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    write(layout, RECORDS[:2])
    rows, _ = tables(layout, WholeRecords())

    assert [record_of(row) for row in rows] == list(RECORDS[:2])
