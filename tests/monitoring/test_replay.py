"""A version is asked what others were asked; what is told of it is counted by another route."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from typer.testing import CliRunner

from contracts.decision_rule import DecisionRule
from contracts.errors import GateRefused, NotFoundHere, PlatformError
from contracts.manifest import Manifest
from contracts.names import Layout
from contracts.replay import Replay
from contracts.traffic import TrafficRecord
from metrics.interval import wilson
from monitoring.baseline import Baseline, find_baseline
from monitoring.replay.gate import flips_check
from monitoring.replay.page import replay_html
from monitoring.replay.run import Wish, keep, replay
from monitoring.traffic.compaction import compact_day
from monitoring.traffic.jsonl import JsonlReader
from monitoring.traffic.window import TimeWindow
from registry.rollback import rollback
from slipway.app import app
from slipway.shares import parse_share
from tests import tiny
from tests.conftest import Workplace
from training.dataset import rows_of
from training.onnx_session import onnx_scores

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
WHOLE = TimeWindow("tiny", None, START, START + timedelta(hours=1))
NOW = START + timedelta(hours=2)
N = 3000


@pytest.fixture
def traffic(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[TrafficRecord]]:
    """An hour of requests that version 1 answered, as lines."""
    monkeypatch.chdir(place.root)
    records = answered(place, N)
    write(place.layout, records)
    yield records
    for name in ("traffic", "replays"):
        shutil.rmtree(place.layout.var / name, ignore_errors=True)


def baseline_of(place: Workplace, version: int) -> Baseline:
    return find_baseline(place.store, place.layout, "tiny", version)


def scores_of(place: Workplace, version: int, rows: Sequence[Any]) -> Any:
    """What the exported model gives, by training's own session."""
    directory = baseline_of(place, version).directory
    manifest = Manifest.read((directory / "manifest.json").read_bytes())
    model = (directory / "model.onnx").read_bytes()
    return onnx_scores(model, manifest.schema.matrix(rows)).astype(float)


def answered(place: Workplace, n: int, seed: int = 3) -> list[TrafficRecord]:
    rows = rows_of(tiny.people(n, seed), tiny.SCHEMA)
    scores = scores_of(place, 1, rows)
    words = np.array(["no", "yes"])[DecisionRule("binary", 0.6).class_indices(scores)]
    return [
        TrafficRecord(
            prediction_id=f"id-{i:05d}",
            time=f"2026-01-31T12:{i % 60:02d}:{i % 59:02d}.{i:06d}Z",
            model="tiny",
            version=1,
            features=row,
            prediction=str(words[i]),
            score=float(scores[i, 1]),
            scores={"no": float(scores[i, 0]), "yes": float(scores[i, 1])},
        )
        for i, row in enumerate(rows)
    ]


def write(layout: Layout, records: Sequence[TrafficRecord], name: str = "a.jsonl") -> Path:
    path = layout.traffic("tiny") / "2026-01-31" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.Encoder().encode_lines(records))
    return path


def replayed(place: Workplace, version: int, **wish: Any) -> Replay:
    words: dict[str, Any] = {"span": WHOLE} | wish
    return replay(place.layout, baseline_of(place, version), Wish(**words), now=NOW)


def without_time(document: Replay) -> Any:
    plain = msgspec.to_builtins(document)
    return {k: v for k, v in plain.items() if k not in {"seconds", "window"}}


def test_flips_and_shifts_are_those_of_the_two_models(
    place: Workplace, traffic: list[TrafficRecord]
) -> None:
    """Against training's session and a loop over the rows."""
    found = replayed(place, 2)
    scores = scores_of(place, 2, [r.features for r in traffic])[:, 1]
    before = np.array([r.score for r in traffic])
    pairs = Counter(
        f"{r.prediction} -> {'yes' if s >= 0.6 else 'no'}"
        for r, s in zip(traffic, scores, strict=True)
    )
    flips = {words: n for words, n in pairs.items() if words in {"no -> yes", "yes -> no"}}

    assert found.replayed == found.window.rows == N
    assert found.transitions == flips
    assert found.flips.flips == sum(flips.values()) > 50
    assert found.shift.mean == pytest.approx((scores - before).mean(), abs=1e-9)
    assert found.shift.std == pytest.approx((scores - before).std(), rel=1e-6)
    assert abs(found.shift.extreme) == pytest.approx(np.abs(scores - before).max(), abs=1e-7)
    assert found.shift.quantiles["95"] == pytest.approx(np.quantile(scores - before, 0.95))
    assert sum(found.distribution.replayed) == N
    assert found.distribution.answered == tuple(np.histogram(before, 40, (0, 1))[0])


@pytest.mark.usefixtures("traffic")
def test_the_served_version_reproduces_itself(place: Workplace) -> None:
    own = replayed(place, 1).reproduction

    assert own is not None
    assert own.rows == own.identical == N


def test_an_answer_that_was_tampered_with_is_not_reproduced(
    place: Workplace, traffic: list[TrafficRecord]
) -> None:
    one = traffic[7]
    wrong = msgspec.structs.replace(one, scores={"no": 0.25, "yes": one.scores["yes"] + 1e-9})
    write(place.layout, [*traffic[:7], wrong, *traffic[8:]])
    found = replayed(place, 1)

    assert found.reproduction is not None
    assert found.reproduction.identical == N - 1
    assert found.reproduction.max_difference > 1e-10
    assert "reproduces 2,999 of its own 3,000" in found.sentence


def test_segments_add_up_and_are_those_of_a_hand_count(
    place: Workplace, traffic: list[TrafficRecord]
) -> None:
    found = replayed(place, 2, segments=["region", "owner"])
    regions = {s.value: s.flips for s in found.segments if s.segment == "region"}
    scores = scores_of(place, 2, [r.features for r in traffic])[:, 1]
    flipped = [
        r.features["region"] or "(missing)"
        for r, s in zip(traffic, scores, strict=True)
        if (r.prediction == "yes") != (s >= 0.6)
    ]

    assert {value: f.flips for value, f in regions.items()} == dict(Counter(flipped))
    assert sum(f.rows for f in regions.values()) == N
    assert {s.value for s in found.segments if s.segment == "owner"} == {"true", "false"}
    # Six intervals at once are wider than one.
    north = regions["north"]
    assert (north.low, north.high) != pytest.approx(wilson(north.flips, north.rows))


def test_examples_are_the_largest_flips(place: Workplace, traffic: list[TrafficRecord]) -> None:
    found = replayed(place, 2)
    by_id = {r.prediction_id: r for r in traffic}
    scores = scores_of(place, 2, [r.features for r in traffic])[:, 1]
    shifts = {
        r.prediction_id: abs(s - r.score)
        for r, s in zip(traffic, scores, strict=True)
        if (r.prediction == "yes") != (s >= 0.6)
    }
    largest = sorted(shifts, key=lambda name: -shifts[name])[:20]

    assert [e.prediction_id for e in found.examples] == largest
    assert found.examples[0].features == by_id[largest[0]].features
    assert found.examples[0].answered.prediction == by_id[largest[0]].prediction


def test_rows_that_the_schema_refuses_are_counted_with_reasons(
    place: Workplace, traffic: list[TrafficRecord]
) -> None:
    """Version 3 takes nobody above 60, and knows no `lines`, which everybody sent."""
    found = replayed(place, 3)

    assert (found.replayed, found.refused) == (0, N)
    reasons = {r.reason: r.rows for r in found.refusals}
    old = sum(r.features["age"] > 60 for r in traffic)  # type: ignore[operator]  # a number in tiny
    assert reasons.pop("age: expected a number 18..60 [years]") == old
    assert list(reasons.values()) == [N]
    assert found.refusals[0].example == "id-00000"
    assert f"refuse {N:,} of {N:,}" in found.sentence


def test_a_null_for_an_unknown_feature_counts_as_not_given(
    place: Workplace, traffic: list[TrafficRecord]
) -> None:
    nulls = [msgspec.structs.replace(r, features=r.features | {"lines": None}) for r in traffic]
    write(place.layout, nulls)
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
    shifts = [(told := f.pop("shift")) | told.pop("quantiles") for f in (plain, stored)]
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
    write(place.layout, others, "b.jsonl")
    half = TimeWindow("tiny", None, START, START + timedelta(minutes=30))

    assert replayed(place, 1).window.rows == N + 100
    assert [(g.version, g.variant) for g in replayed(place, 2).groups] == [
        (1, "production"),
        (2, "challenger"),
    ]
    only = replayed(place, 2, span=TimeWindow("tiny", 1, WHOLE.start, WHOLE.end))
    assert (only.window.rows, only.window.other_versions) == (N, 100)
    assert only.replay_id.endswith("-of-1")
    assert replayed(place, 1, span=half).window.rows == sum(
        r.time < "2026-01-31T12:30" for r in [*traffic, *others]
    )
    few = replayed(place, 1, limit=2500)
    assert (few.window.rows, few.replayed, few.limited) == (2500, 2500, True)


def test_torn_lines_and_files_are_counted(place: Workplace, traffic: list[TrafficRecord]) -> None:
    path = write(place.layout, traffic[:10])
    path.write_bytes(path.read_bytes() + b'{"prediction_id": "x", "ti')
    folder = place.layout.traffic("tiny") / "2026-01-31"
    (folder / "compacted.json").write_text('{"files": ["gone.parquet"]}')
    found = replayed(place, 1)

    assert (found.replayed, found.window.torn_lines) == (10, 1)
    assert "gone.parquet" in found.torn_files[0]


@pytest.mark.usefixtures("traffic")
def test_no_traffic_is_said(place: Workplace) -> None:
    empty = TimeWindow("tiny", None, NOW, NOW + timedelta(hours=1))
    found = replayed(place, 2, span=empty)

    assert "no traffic between" in found.sentence
    assert (found.flips.low, found.flips.high) == (0, 1)
    assert "Nothing was replayed" in replay_html(found)


@pytest.mark.usefixtures("traffic")
def test_a_segment_must_be_a_category(place: Workplace) -> None:
    with pytest.raises(NotFoundHere, match="'age'"):
        replayed(place, 2, segments=["age"])


def test_the_document_and_the_page_are_kept_whole(
    place: Workplace, traffic: list[TrafficRecord]
) -> None:
    bad = msgspec.structs.replace(traffic[0], prediction_id="<script>x")
    write(place.layout, [bad, *traffic[1:]])
    document = replayed(place, 2)
    stored, page = keep(place.layout, document)

    assert Replay.read(stored.read_bytes()) == document
    text = page.read_text()
    assert len(text) < 200_000
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")


def test_a_record_without_its_scores_is_not_reproduced(
    place: Workplace, traffic: list[TrafficRecord]
) -> None:
    write(place.layout, [*traffic[:5], msgspec.structs.replace(traffic[5], scores={})])
    found = replayed(place, 1)

    assert found.reproduction is not None
    assert (found.reproduction.rows, found.reproduction.identical) == (6, 5)
    assert Replay.read(found.write()) == found


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_no_line_of_a_log_crashes_the_reader(lines: list[bytes]) -> None:
    from monitoring.replay.blocks import _Record

    reader = JsonlReader(_Record)
    reader.decode(b"\n".join(lines))


@given(st.integers(1, 5000), st.floats(0, 1))
def test_the_interval_of_a_share_is_scipys(n: int, share: float) -> None:
    hits = round(n * share)
    theirs = stats.binomtest(hits, n).proportion_ci(method="wilson")

    assert wilson(hits, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.usefixtures("traffic")
def test_the_gate_holds_flips_against_the_upper_end(place: Workplace) -> None:
    document = replayed(place, 2, span=TimeWindow("tiny", 1, WHOLE.start, WHOLE.end))
    high = document.flips.high

    assert flips_check(document, high + 0.001).passed
    refused = flips_check(document, document.flips.share)
    assert refused.refuses
    assert document.replay_id in refused.got
    assert not flips_check(document, None).refuses
    # What would be refused is decided otherwise, too.
    strict = replayed(place, 3, span=TimeWindow("tiny", 1, WHOLE.start, WHOLE.end))
    assert flips_check(strict, 0.5).refuses
    empty = replayed(place, 2, span=TimeWindow("tiny", 1, NOW, NOW + timedelta(hours=1)))
    assert "no traffic of version 1" in flips_check(empty, 1.0).sentence
    assert flips_check(empty, 1.0).refuses
    with pytest.raises(PlatformError, match="expected a classifier"):
        flips_check(msgspec.structs.replace(document, task="regression"), 0.1)


@pytest.mark.usefixtures("traffic")
def test_a_promotion_can_demand_a_replay(place: Workplace) -> None:
    """The decision on the challenger's run has the check, and the replay lies beside it."""
    words = ["promote", "tiny", "--version", "2", "--replay", "3000d"]
    refused = CliRunner().invoke(app, [*words, "--max-flips", "0.1%"])
    assert isinstance(refused.exception, GateRefused)
    assert "at most 0.10% decided otherwise" in str(refused.exception)
    forced = CliRunner().invoke(app, [*words, "--force", "--because", "a test", "--json"])
    rollback(place.store, "tiny", to=1, actor="ada")

    decision = json.loads(forced.output)["decision"]
    (check,) = [c for c in decision["checks"] if c["subject"] == "replay"]
    assert check["passed"]
    assert not check["judged"]
    names = [Path(p).name for p in place.store.artifacts.paths(decision["run_id"], "monitoring")]
    assert check["got"].split("see ")[1] + ".html" in names


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--max-flips", "2%"], "expected --replay with it"),
        (["--replay", "soon"], "--replay: expected a number with s, m, h or d"),
        (["--replay", "7d", "--max-flips", "few"], "--max-flips: expected a share"),
    ],
)
def test_a_demand_that_cannot_be_read_is_refused_first(words: list[str], says: str) -> None:
    told = CliRunner().invoke(app, ["promote", "tiny", *words])

    assert says in str(told.exception)


@pytest.mark.parametrize(("text", "share"), [("2%", 0.02), ("0.5 %", 0.005), ("0.02", 0.02)])
def test_a_share_is_said_either_way(text: str, share: float) -> None:
    assert parse_share(text, "--max-flips") == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "many", "-1%", "200%", "nan"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(PlatformError, match="--max-flips: expected a share"):
        parse_share(text, "--max-flips")


@pytest.mark.usefixtures("place", "traffic")
def test_the_command_prints_a_table_and_json() -> None:
    words = ["replay", "tiny", "--version", "2"]
    words += ["--start", "2026-01-31T12:00:00Z", "--end", "2026-01-31T13:00:00Z"]
    people = CliRunner().invoke(app, words)
    scripts = CliRunner().invoke(app, [*words, "--json"])

    assert people.exit_code == 0, people.output
    assert "would decide" in people.output
    assert "region = north" in people.output
    assert json.loads(scripts.output)["flips"]["rows"] == N
    # The newest is the default.
    newest = CliRunner().invoke(app, [*words[:2], *words[4:], "--limit", "5", "--json"])
    assert json.loads(newest.output)["version"] == 3
