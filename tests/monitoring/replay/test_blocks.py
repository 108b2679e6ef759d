"""Which rows of the log are replayed, from JSON lines and from Parquet."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.replay import Replay
from contracts.traffic import TrafficRecord
from monitoring.traffic.compaction import compact_day
from monitoring.traffic.jsonl import JsonlReader
from monitoring.traffic.window import TimeWindow
from tests.conftest import Workplace
from tests.monitoring.replay.scenario import START, WHOLE, N, replayed, write_log


def without_time(document: Replay) -> Any:
    plain = msgspec.to_builtins(document)
    return {k: v for k, v in plain.items() if k not in {"seconds", "window"}}


def test_a_null_for_an_unknown_feature_counts_as_not_given(
    place: Workplace, traffic: list[TrafficRecord]
) -> None:
    nulls = [msgspec.structs.replace(r, features=r.features | {"lines": None}) for r in traffic]
    write_log(place.layout, nulls)
    found = replayed(place, 3)
    old = sum(r.features["age"] > 60 for r in traffic)  # type: ignore[operator]  # a number in tiny

    assert (found.replayed, found.refused) == (N - old, old)
    assert [r.reason for r in found.refusals] == ["age: expected a number 18..60 [years]"]


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.usefixtures("traffic")
def test_parquet_replays_like_the_lines_it_was_made_of(place: Workplace, version: int) -> None:
    before = replayed(place, version)
    compact_day(place.layout.traffic("tiny") / "2026-01-31")
    for path in place.layout.traffic("tiny").glob("*/*.jsonl"):
        path.unlink()
    after = replayed(place, version)

    plain, stored = without_time(before), without_time(after)
    # Parquet is in the order of time: sums of floats differ in the last bits.
    shifts = [(shift := f.pop("shift")) | shift.pop("quantiles") for f in (plain, stored)]
    assert shifts[0] == pytest.approx(shifts[1], rel=1e-9)
    for name in ("segments", "groups"):
        for one, other in zip(plain.pop(name), stored.pop(name), strict=True):
            assert one.pop("mean_shift") == pytest.approx(other.pop("mean_shift"))
            assert one == other
    refusals = [
        [(r["reason"], r["rows"]) for r in found.pop("refusals")] for found in (plain, stored)
    ]
    assert refusals[0] == refusals[1]
    assert plain == stored


def test_the_window_the_version_and_the_limit_choose_rows(
    place: Workplace, traffic: list[TrafficRecord]
) -> None:
    others = [msgspec.structs.replace(r, version=2, variant="challenger") for r in traffic[:100]]
    write_log(place.layout, others, "b.jsonl")
    half = TimeWindow("tiny", None, START, START + timedelta(minutes=30))

    assert replayed(place, 1).window.rows == N + 100
    assert [(g.version, g.variant) for g in replayed(place, 2).groups] == [
        (1, "production"),
        (2, "challenger"),
    ]
    only = replayed(place, 2, window=TimeWindow("tiny", 1, WHOLE.start, WHOLE.end))
    assert (only.window.rows, only.window.other_versions) == (N, 100)
    assert only.replay_id.endswith("-of-1")
    assert replayed(place, 1, window=half).window.rows == sum(
        r.time < "2026-01-31T12:30" for r in [*traffic, *others]
    )
    few = replayed(place, 1, max_rows=2500)
    assert (few.window.rows, few.replayed, few.limited) == (2500, 2500, True)


def test_torn_lines_and_files_are_counted(place: Workplace, traffic: list[TrafficRecord]) -> None:
    path = write_log(place.layout, traffic[:10])
    path.write_bytes(path.read_bytes() + b'{"prediction_id": "x", "ti')
    folder = place.layout.traffic("tiny") / "2026-01-31"
    (folder / "compacted.json").write_text('{"files": ["gone.parquet"]}')
    found = replayed(place, 1)

    assert (found.replayed, found.window.torn_lines) == (10, 1)
    assert "gone.parquet" in found.torn_files[0]


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_no_line_of_a_log_crashes_the_reader(lines: list[bytes]) -> None:
    reader = JsonlReader(TrafficRecord)
    reader.decode(b"\n".join(lines))
