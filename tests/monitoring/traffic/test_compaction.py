"""Compaction changes where traffic lies, and nothing that is said of it."""

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.compaction import COMPACTION_FILE
from contracts.errors import PlatformError
from contracts.names import Layout
from contracts.traffic import TrafficRecord
from monitoring.drift.histograms import WindowHistograms
from monitoring.quality.counts import QualityCounts
from monitoring.traffic.compaction import compact_day, compact_traffic
from monitoring.traffic.compaction_manifest import read_compaction_manifest, reading_lock
from monitoring.traffic.compaction_steps import Compaction, compaction_lock
from monitoring.traffic.decode import parse_times
from monitoring.traffic.jsonl import JsonlReader
from monitoring.traffic.lookup import find_prediction
from monitoring.traffic.parquet import concat_tables, record_of, table_of
from monitoring.traffic.projections import TypedColumns
from monitoring.traffic.reader import read_traffic
from monitoring.traffic.window import ReadStats, TimeWindow
from tests.monitoring.reference import TINY_REFERENCE

DAY = datetime(2026, 1, 31, tzinfo=UTC)
LATER = DAY + timedelta(days=2)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
)
PLAIN_RECORDS = st.builds(
    TrafficRecord,
    prediction_id=st.uuids().map(str),
    time=st.integers(0, 82_800_000_000)
    .map(lambda us: DAY + timedelta(microseconds=us))
    .map(lambda t: f"{t:%Y-%m-%dT%H:%M:%S.%f}Z"),
    model=st.just("tiny"),
    version=st.integers(1, 3),
    variant=st.sampled_from(["production", "shadow"]),
    features=st.dictionaries(st.sampled_from(["age", "region", "owner", "new"]), VALUES),
    prediction=st.sampled_from(["yes", "no"]),
    score=st.floats(0, 1),
    scores=st.dictionaries(st.sampled_from(["yes", "no"]), st.floats(0, 1)),
    flags=st.lists(st.sampled_from(["clipped:age", "unseen:region"]), max_size=2).map(tuple),
    latency_ms=st.floats(0, 10),
    request_id=st.text(max_size=4),
)
RECORDS = PLAIN_RECORDS | st.builds(
    partial(msgspec.structs.replace, unit="3f4d5a1b8e1a3ecb", assigned="challenger"),
    PLAIN_RECORDS,
    weight=st.floats(0, 1),
)


@given(st.lists(RECORDS, min_size=1, max_size=8), st.integers(1, 4))
def test_a_record_comes_back_from_the_table_as_it_was(
    records: list[TrafficRecord], cut: int
) -> None:
    pieces = [records[i : i + cut] for i in range(0, len(records), cut)]
    table = concat_tables(
        [table_of(piece, parse_times([r.time for r in piece])) for piece in pieces]
    )
    back = [record_of(row) for row in table.iter_rows(named=True)]

    for before, after in zip(records, back, strict=True):
        given_values = {k: v for k, v in before.features.items() if v is not None}
        assert {k: v for k, v in after.features.items() if v is not None} == given_values
        assert msgspec.structs.replace(after, features=before.features) == before


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=30),
            st.sampled_from([b'{"a":1}', b'{"a":2}{"a":3}', b'{"a"', b":4}", b"", b"{}", b"\r"]),
        ),
        max_size=12,
    )
)
def test_a_block_is_read_as_line_by_line(lines: list[bytes]) -> None:
    """The oracle splits at line ends and decodes each with the standard library."""
    import json

    class Row(msgspec.Struct):
        a: int

    body = b"\n".join(lines)
    expected, torn = [], 0
    for line in body.split(b"\n"):
        try:
            value = json.loads(line)["a"]
        except (ValueError, KeyError, TypeError):
            torn += bool(line.strip())
        else:
            expected.append(value)
    reader = JsonlReader(Row)

    assert [r.a for r in reader.decode(body)] == expected
    assert len(reader.torn) == torn


def write(layout: Layout, n: int, seed: int = 0, tail: bytes = b"") -> Path:
    rng = np.random.default_rng(seed)
    folder = layout.traffic("tiny") / "2026-01-31"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        msgspec.json.encode(
            TrafficRecord(
                prediction_id=f"{seed}-{i}",
                time=f"2026-01-31T{i % 24:02d}:00:00.000000Z",
                model="tiny",
                version=1 + (i % 10 == 9),
                features={
                    "region": str(rng.choice(["north", "south"])),
                    "age": float(rng.integers(18, 90)),
                    "income": None if i % 7 == 0 else float(rng.lognormal(10)),
                    "lines": int(rng.poisson(4)),
                    "owner": bool(rng.random() < 0.4),
                    "work": "yes",
                },
                prediction="yes",
                score=float(rng.random()),
                scores={"yes": 0.5, "no": 0.5},
                flags=("clipped:age",) if i % 5 == 0 else (),
            )
        )
        for i in range(n)
    ]
    path = folder / f"120000-{seed}.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n" + tail)
    os.utime(path, (DAY.timestamp(), DAY.timestamp()))
    return path


def counted(layout: Layout) -> tuple[Any, ...]:
    stats, counts = ReadStats(), QualityCounts()
    histograms = WindowHistograms(TINY_REFERENCE)
    window = TimeWindow("tiny", 1, DAY, DAY + timedelta(days=1))
    for batch in read_traffic(layout, window, TypedColumns(TINY_REFERENCE), stats):
        histograms.add(batch)
        counts.add(batch)
    columns = {
        name: (c.n, c.missing, c.mistyped, c.by_time_bin().sum(axis=0).tolist())
        for name, c in histograms.columns.items()
    }
    return (
        columns,
        histograms.rows,
        counts.flags,
        counts.duplicates.found(),
        stats.torn_lines,
        stats.other_versions,
    )


def test_the_counts_are_the_same_before_and_after_and_after_again(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    write(layout, 300, 1, tail=b'{"torn')
    write(layout, 200, 2)
    before = counted(layout)
    done = compact_traffic(layout, "tiny", now=LATER)
    folder = layout.traffic("tiny") / "2026-01-31"

    assert (done.days, done.rows, done.torn_lines, done.removed_log_files) == (1, 500, 1, 2)
    assert list(folder.glob("*.jsonl")) == []
    assert counted(layout) == before
    assert before[1] == 450
    assert compact_traffic(layout, "tiny", now=LATER) == Compaction()
    assert counted(layout) == before
    assert find_prediction(layout, "1-3").features["owner"] in {True, False}
    assert next(folder.glob("torn-*.txt")).read_bytes() == b'{"torn\n'


def test_what_is_written_late_is_neither_lost_nor_counted_twice(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    path = write(layout, 100, 1)
    lines = path.read_bytes()
    compact_day(path.parent)
    with path.open("ab") as file:
        file.write(lines.replace(b'"1-', b'"late-'))
    os.utime(path, (DAY.timestamp(), DAY.timestamp()))

    assert counted(layout)[1] == 180
    assert compact_traffic(layout, "tiny", now=LATER).rows == 100
    assert counted(layout)[1] == 180
    assert not path.exists()


def test_today_and_what_is_being_read_or_written_is_left_alone(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    path = write(layout, 10)

    assert compact_traffic(layout, "tiny", now=DAY + timedelta(hours=20)).days == 0
    os.utime(path, (LATER.timestamp(), LATER.timestamp()))
    assert compact_traffic(layout, "tiny", now=LATER).waiting == 1
    os.utime(path, (DAY.timestamp(), DAY.timestamp()))
    with reading_lock(layout.traffic("tiny")):
        done = compact_traffic(layout, "tiny", now=LATER)
    assert (done.days, done.removed_log_files, path.exists()) == (1, 0, True)
    assert counted(layout)[1] == 9
    assert compact_traffic(layout, "tiny", now=LATER).removed_log_files == 1


def test_two_compactions_do_not_meet(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    write(layout, 10)
    with (
        compaction_lock(layout.traffic("tiny")),
        pytest.raises(PlatformError, match="another compaction of this folder is running"),
    ):
        compact_traffic(layout, "tiny", now=LATER)


def test_days_past_retention_are_removed(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    write(layout, 10)
    assert compact_traffic(layout, "tiny", now=LATER, keep_days=2).removed_days == 0
    assert (
        compact_traffic(layout, "tiny", now=LATER + timedelta(days=1), keep_days=2).removed_days
        == 1
    )
    assert counted(layout)[1] == 0
    assert compact_traffic(layout, "nobody", now=LATER) == Compaction()


def test_a_half_written_parquet_file_is_counted_or_removed(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    folder = write(layout, 100).parent
    (folder / "part-ab.parquet").write_bytes(b"PAR1 of a run that was killed")
    assert counted(layout)[1] == 90

    compact_traffic(layout, "tiny", now=LATER)
    assert not (folder / "part-ab.parquet").exists()
    named = folder / read_compaction_manifest(folder).files[0]
    named.write_bytes(named.read_bytes()[:-100])
    stats = ReadStats()
    window = TimeWindow("tiny", 1, DAY, DAY + timedelta(days=1))
    assert list(read_traffic(layout, window, TypedColumns(TINY_REFERENCE), stats)) == []
    assert len(stats.torn_files) == 1
    assert named.name in stats.torn_files[0]


def test_a_manifest_of_an_earlier_version_is_read_and_written_as_it_was(tmp_path: Path) -> None:
    """The file's names are a contract: readers of an older version meet it as well."""
    old = b'{"document_version":1,"files":["a.parquet"],"rows":7,"torn_lines":2,"segments":{"b":9}}'
    (tmp_path / COMPACTION_FILE).write_bytes(old)
    found = read_compaction_manifest(tmp_path)

    assert found.log_files == {"b": 9}
    assert found.write() == old


FOR_EVER = """
import datetime, pathlib, sys
from contracts.names import Layout
from monitoring.traffic.compaction import compact_traffic
now = datetime.datetime(2026, 2, 2, tzinfo=datetime.UTC)
print("ready", flush=True)
sys.stdin.readline()
while True:
    compact_traffic(Layout(pathlib.Path(sys.argv[1])), "tiny", now=now)
"""


@pytest.mark.slow
@pytest.mark.parametrize("delay_s", [0.005, 0.02, 0.08])
def test_a_killed_compaction_loses_no_row_and_doubles_none(tmp_path: Path, delay_s: float) -> None:
    layout = Layout(tmp_path)
    folder = write(layout, 20_000).parent
    with subprocess.Popen(
        [sys.executable, "-c", FOR_EVER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.stdin.write(b"go\n")
        process.stdin.flush()
        time.sleep(delay_s)
        process.kill()

    assert counted(layout)[1] == 18_000
    compact_traffic(layout, "tiny", now=LATER)
    assert counted(layout)[1] == 18_000
    assert {p.name for p in folder.glob("part-*")} == set(read_compaction_manifest(folder).files)
    assert (folder / COMPACTION_FILE).is_file()
    assert not list(folder.glob("*.jsonl"))
