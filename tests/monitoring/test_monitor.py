"""A window of traffic gets the verdict it deserves, whatever lies in the log."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from contracts.decision_rule import DecisionRule
from contracts.errors import NotFoundHere, NotRegistered, PlatformError, Unwritable
from contracts.reference import CategoryReference, NumberReference, Reference
from contracts.traffic import TrafficRecord
from contracts.verdict import Verdict
from monitoring.baseline import find_baseline
from monitoring.drift.histograms import WindowHistograms
from monitoring.drift.rule import findings_of
from monitoring.drift.thresholds import DriftThresholds
from monitoring.monitor import run
from monitoring.quality.checks import quality_findings
from monitoring.quality.counts import QualityCounts
from monitoring.settings import MonitoringSettings
from monitoring.traffic.batch import TrafficBatch
from monitoring.verdicts.decision import decide
from registry.promote import promote
from registry.pull import pull
from slipway.app import app
from tests import tiny
from tests.conftest import Workplace, working_in
from tests.monitoring.alerting.receiver import Receiver
from training.dataset import plain_rows
from training.reference import number_reference
from training.run import train_recipe

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
END = START + timedelta(hours=1)
SETTINGS = MonitoringSettings()

TINY_REFERENCE = Reference(
    n_rows=400,
    n_predictions=100,
    features={
        "region": CategoryReference(counts={"north": 150, "south": 130, "east": 100}, missing=20),
        "age": number_reference(tiny.people().age.to_numpy()),
        "income": number_reference(tiny.people().income.to_numpy()),
        "lines": number_reference(tiny.people().lines.to_numpy(float)),
        "owner": CategoryReference(counts={"true": 160, "false": 240}, missing=0),
        "work": CategoryReference(counts={"yes": 320, "no": 80}, missing=0),
    },
    predictions={
        "score": number_reference(np.random.default_rng(0).random(100)),
        "prediction": CategoryReference(counts={"yes": 40, "no": 60}, missing=0),
    },
)

# Evidently and what it imports warn of their own age while they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def trained(fresh_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """One place for all tests here: training takes seconds. What tests write is cleared."""
    root = tmp_path_factory.mktemp("served")
    shutil.copy(fresh_database, root / "mlflow.db")
    with working_in(root) as place:
        train_recipe(tiny.binary(segment_features=("work",)), place.store)
        promote(place.store, "tiny", actor="ada")
        pull(place.store, place.layout, "tiny")
        yield place


@pytest.fixture
def served(trained: Workplace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    monkeypatch.chdir(trained.root)
    yield trained
    for name in ("traffic", "verdicts", "reports", "labels", "metrics", "alerts"):
        folder = trained.layout.var / name
        if folder.is_dir():
            shutil.rmtree(folder)
        folder.unlink(missing_ok=True)


def record(row: dict[str, Any], number: int, **changes: Any) -> TrafficRecord:
    score = float(np.random.default_rng(number).random())
    words: dict[str, Any] = {
        "prediction_id": f"id-{number}",
        "time": f"2026-01-31T12:{number % 60:02d}:00.000000Z",
        "model": "tiny",
        "version": 1,
        "features": row,
        "prediction": "yes" if score >= 0.6 else "no",
        "score": score,
        "scores": {"no": 1 - score, "yes": score},
    }
    return TrafficRecord(**(words | changes))


def served_rows(place: Workplace, n: int, seed: int) -> list[TrafficRecord]:
    """Traffic like the training data, answered by the model itself."""
    from training.onnx_session import onnx_scores

    rows = plain_rows(tiny.people(n, seed), tiny.SCHEMA)
    model = (place.layout.model("tiny", 1) / "model.onnx").read_bytes()
    scores = onnx_scores(model, tiny.SCHEMA.matrix(rows)).astype(float)
    words = np.array(["no", "yes"])[DecisionRule("binary", 0.6).class_indices(scores)]
    return [
        record(row, i, score=float(s[1]), prediction=str(word))
        for i, (row, s, word) in enumerate(zip(rows, scores, words, strict=True))
    ]


def write(place: Workplace, records: list[TrafficRecord], tail: bytes = b"") -> Path:
    folder = place.layout.traffic("tiny") / "2026-01-31"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"120000-1-{len(list(folder.iterdir()))}.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(r) + b"\n" for r in records) + tail)
    return path


def judge(place: Workplace, **changes: Any) -> Verdict:
    words: dict[str, Any] = {"start": START, "end": END, "settings": SETTINGS, "now": END}
    return run(place.store, place.layout, "tiny", **(words | changes))


@pytest.mark.slow
def test_like_traffic_is_stable_and_the_page_says_what_the_verdict_says(served: Workplace) -> None:
    write(served, served_rows(served, 1500, 5), tail=b'{"prediction_id": "torn')
    verdict = judge(served)
    page = Path(verdict.report).read_text()
    theirs = Path(verdict.evidently).read_text()
    stored = served.layout.verdicts / "tiny" / f"{verdict.verdict_id}.json"

    assert verdict.decision == "stable", verdict.sentence
    assert (verdict.window.rows, verdict.window.torn_lines) == (1500, 1)
    assert verdict.sentence in page
    assert len(theirs) > len(page)
    assert Path(verdict.evidently).name in page
    assert len(page) < 200_000
    assert "http" not in page.replace("http-equiv", "")
    assert Verdict.read(stored.read_bytes()) == verdict
    logged = served.store.artifacts.paths(verdict.run_id, "monitoring")
    assert {Path(p).name for p in logged} >= {
        stored.name,
        Path(verdict.report).name,
        Path(verdict.evidently).name,
        "index.html",
    }
    assert judge(served).verdict_id == verdict.verdict_id
    assert len(list(stored.parent.iterdir())) == 1


@pytest.mark.slow
def test_drift_is_named_with_its_size_and_evidently_shows_the_same_number(
    served: Workplace,
) -> None:
    records = served_rows(served, 1500, 5)
    older = [
        msgspec.structs.replace(
            r, features=r.features | {"age": float(r.features["age"] or 0) + 12}
        )
        for r in records
    ]
    write(served, older)
    verdict = judge(served)
    drifted = {f.column: f for f in verdict.findings if f.drifted}
    page = Path(verdict.evidently).read_text()

    assert verdict.decision == "drift"
    assert set(drifted) == {"age"}
    assert verdict.sentence.startswith("tiny version 1: age (")
    assert "effect size over every row (Slipway)" in page
    assert f"{drifted['age'].effect_size:.6f}"[:6] in page


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], str, str]] = {
    "missing": (lambda r: r | {"income": None}, "income", "vanished"),
    "unseen": (lambda r: r | {"region": "west"}, "region", "unseen"),
    "range": (lambda r: r | {"lines": (r["lines"] or 0) + 4000}, "lines", "out_of_range"),
    "unit": (lambda r: r | {"lines": (r["lines"] or 0) * 1000}, "lines", "unit"),
    "infinite": (lambda r: r | {"income": 1e308}, "income", "out_of_range"),
    "words": (lambda r: r | {"age": "old"}, "age", "type_change"),
    "numbers": (lambda r: r | {"owner": 1.0}, "owner", "type_change"),
    "column": (lambda r: r | {"shoe": 42.0}, "shoe", "new_column"),
    "null": (lambda _: {}, "work", "vanished"),
    "constant": (lambda r: r | {"age": 33.0}, "age", "constant"),
}


@pytest.mark.parametrize(("change", "column", "fault"), BROKEN.values(), ids=BROKEN.keys())
def test_a_fault_of_the_data_comes_before_drift(
    served: Workplace,
    change: Callable[[dict[str, Any]], dict[str, Any]],
    column: str,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from monitoring.reporting import evidently

    monkeypatch.setattr(evidently, "evidently_html", lambda *_: "<html><body></body></html>")
    records = served_rows(served, 400, 5)
    write(served, [msgspec.structs.replace(r, features=change(dict(r.features))) for r in records])
    verdict = judge(served)

    assert verdict.decision == "quality"
    assert (column, fault) in {(q.column, q.fault) for q in verdict.quality}
    assert fault in verdict.sentence


@pytest.mark.parametrize(
    ("n", "tail", "decision"),
    [
        (0, b"", "no_traffic"),
        (1, b"", "too_few_rows"),
        (20, b"\xff\xfe\n{}\n[]\n", "too_few_rows"),
        (0, b"garbage\n\n{\n", "unreadable"),
    ],
)
def test_a_window_that_says_nothing_says_so(
    served: Workplace, n: int, tail: bytes, decision: str
) -> None:
    write(served, [record(dict(tiny.GOOD), i) for i in range(n)], tail)
    verdict = judge(served)

    assert verdict.decision == decision
    assert verdict.findings == ()
    assert verdict.sentence in Path(verdict.report).read_text()


def test_records_that_come_twice_are_a_fault(served: Workplace) -> None:
    records = served_rows(served, 300, 5)
    write(served, records)
    write(served, records[:30])
    faults = {(q.column, q.fault): q.share for q in judge(served).quality}

    assert faults["prediction_id", "duplicates"] == pytest.approx(30 / 330)


def test_a_clock_that_jumps_puts_rows_into_the_window_of_their_time(served: Workplace) -> None:
    records = served_rows(served, 200, 5)
    tomorrow = [
        msgspec.structs.replace(r, time=r.time.replace("01-31", "02-01"), prediction_id=f"t{i}")
        for i, r in enumerate(records[:50])
    ]
    never = [msgspec.structs.replace(r, time="2026-01-31T12:99") for r in records[:3]]
    write(served, [*tomorrow, *records, *never])
    window = judge(served).window

    assert (window.rows, window.torn_lines) == (200, 3)
    assert judge(served, start=START + timedelta(days=1), end=END + timedelta(days=1)).window.rows


def test_a_compacted_window_has_the_same_verdict_and_a_torn_file_is_told(
    served: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from monitoring.reporting import evidently
    from monitoring.traffic.compaction import compact_traffic

    monkeypatch.setattr(evidently, "evidently_html", lambda *_: "<html></html>")
    path = write(served, served_rows(served, 400, 5))
    before = judge(served)
    os.utime(path, (0, 0))
    compact_traffic(served.layout, "tiny", now=END + timedelta(days=3))
    after = judge(served)

    assert list(path.parent.glob("*.parquet"))
    assert [(f.column, f.p_value, f.effect_size) for f in after.findings] == [
        (f.column, f.p_value, f.effect_size) for f in before.findings
    ]
    part = next(path.parent.glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-9])
    write(served, served_rows(served, 200, 6))
    torn = judge(served)
    assert torn.decision == "quality"
    assert next(q.fault for q in torn.quality) == "torn_files"
    assert part.name in torn.torn_files[0]


def test_labels_that_show_a_worse_model_decide(
    served: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from monitoring.labels.ingest import add_labels
    from monitoring.reporting import evidently

    monkeypatch.setattr(evidently, "evidently_html", lambda *_: "<html></html>")
    records = served_rows(served, 400, 5)
    write(served, records)
    source = served.root / "truth.jsonl"
    # The world answers otherwise: everyone whom the model calls sure does the opposite.
    truths = [
        {"prediction_id": r.prediction_id, "truth": "no" if r.score > 0.5 else "yes"}
        for r in records
    ]
    source.write_bytes(msgspec.json.Encoder().encode_lines(truths))
    manifest = find_baseline(served.store, served.layout, "tiny", None).manifest
    add_labels(served.layout, manifest, source, now=END)
    verdict = judge(served)
    page = Path(verdict.report).read_text()

    assert verdict.decision == "performance"
    assert verdict.sentence.startswith("tiny version 1: AUC ")
    assert verdict.performance is not None
    assert verdict.performance.labels == 400
    assert "worse" in page
    assert verdict.estimate is not None
    assert "200 are needed" in verdict.estimate.missing


def test_since_when_and_in_which_slice_is_on_the_page(
    served: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from monitoring.reporting import evidently

    monkeypatch.setattr(evidently, "evidently_html", lambda *_: "<html></html>")
    for hour in range(3):
        records = served_rows(served, 600, hour)
        write(
            served,
            [
                msgspec.structs.replace(
                    r,
                    prediction_id=f"{hour}-{i}",
                    time=r.time.replace("T12", f"T{12 + hour}"),
                    features=r.features
                    | ({"age": 85.0} if hour and r.features["work"] == "no" else {}),
                )
                for i, r in enumerate(records)
            ],
        )
        late = timedelta(hours=hour)
        verdict = judge(served, start=START + late, end=END + late)
    age = next(f for f in verdict.findings if f.column == "age")
    page = Path(verdict.report).read_text()

    assert age.drifted
    assert age.since == "2026-01-31T13:00:00.000000Z"
    assert age.segment == "work = no"
    assert "age has drifted since 2026-01-31 13:00" in page
    assert "mostly work = no" in verdict.sentence
    index = (served.layout.reports / "tiny" / "index.html").read_text()
    assert index.count("2026-01-31T1") >= 3

    gauges = served.layout.var / "metrics" / "tiny.prom"
    newest = gauges.read_text()
    assert judge(served).decision == "stable"
    assert gauges.read_text() == newest, "an old window that is judged again is no news"
    assert 'slipway_verdict{decision="drift",model="tiny",version="1"} 1.0' in newest

    other = judge(served, start=START + late, end=END + late, segments=("region", "region"))
    assert next(f for f in other.findings if f.column == "age").segment == ""


def test_the_slice_that_stopped_filling_a_field_is_named(
    served: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from monitoring.reporting import evidently

    monkeypatch.setattr(evidently, "evidently_html", lambda *_: "<html></html>")
    records = served_rows(served, 800, 11)
    lost: dict[Any, dict[str, None]] = {"no": {"income": None}, "yes": {}}
    write(
        served,
        [
            msgspec.structs.replace(r, features=r.features | lost[r.features["work"]])
            for r in records
        ],
    )
    verdict = judge(served)
    fault = next(f for f in verdict.quality if (f.column, f.fault) == ("income", "missing"))

    assert fault.segment == "work = no"
    assert fault.segment_share > 0.8
    assert "of it in work = no" in Path(verdict.report).read_text()


def test_no_traffic_folder_is_a_verdict_too(served: Workplace) -> None:
    assert judge(served).decision == "no_traffic"


def test_other_versions_and_other_hours_are_left_out_and_counted(served: Workplace) -> None:
    write(
        served,
        [
            record(dict(tiny.GOOD), 1),
            record(dict(tiny.GOOD), 2, version=9),
            record(dict(tiny.GOOD), 3, time="2026-01-31T13:00:00.000000Z"),
        ],
    )
    window = judge(served).window

    assert (window.rows, window.other_versions) == (1, 1)


def test_what_evidently_cannot_draw_is_judged_all_the_same(
    served: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:

    def fail(*_: object) -> str:
        raise RuntimeError("no picture")

    from monitoring.reporting import evidently

    monkeypatch.setattr(evidently, "evidently_html", fail)
    write(served, served_rows(served, 300, 5))
    verdict = judge(served)

    assert verdict.decision == "stable"
    assert "no picture" in Path(verdict.report).read_text()


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_people_are_told_of_an_alarm_once_though_the_first_try_is_cut_short(
    served: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict cannot be stored, then the receiver is broken, then all is well."""
    from monitoring.reporting import evidently

    monkeypatch.setattr(evidently, "evidently_html", lambda *_: "<html></html>")
    receiver = Receiver()
    monkeypatch.setenv("SLIPWAY_MONITORING_NOTIFY", receiver.url)
    rows = served_rows(served, 600, 7)
    write(served, [msgspec.structs.replace(r, features=r.features | {"age": 85.0}) for r in rows])
    words = ["monitor", "tiny", "--start", START.isoformat(), "--end", END.isoformat()]
    served.layout.verdicts.write_text("not a folder")

    assert isinstance(CliRunner().invoke(app, words).exception, Unwritable)
    assert receiver.titles == []

    served.layout.verdicts.unlink()
    receiver.status = 500
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0
    assert "not delivered yet: tiny version 1: quality (" in done.stderr
    assert "error=500" in done.stderr

    receiver.status = 200
    for _ in range(2):
        assert "not delivered" not in CliRunner().invoke(app, words).stderr
    assert receiver.titles == ["tiny version 1: quality"] * 2, "the broken receiver, and the whole"
    receiver.close()


def test_a_segment_that_is_no_category_is_told_before_anything_is_read(served: Workplace) -> None:
    done = CliRunner().invoke(app, ["monitor", "tiny", "--segment", "age"])

    assert isinstance(done.exception, NotFoundHere)
    assert "expected a category feature of 'tiny' version 1, got 'age'" in str(done.exception)
    assert done.exception.remedy == "one of region, owner, work"
    assert not served.layout.verdicts.is_dir()


def test_a_version_that_is_not_there_is_told(served: Workplace) -> None:
    with pytest.raises(NotRegistered, match="expected one of its versions"):
        judge(served, version=9)
    with pytest.raises(NotRegistered, match="expected one of tiny, got 'tny'"):
        run(
            served.store,
            served.layout,
            "tny",
            start=START,
            end=END,
            settings=SETTINGS,
            now=END,
        )


def test_a_place_that_cannot_be_written_is_told(served: Workplace) -> None:
    served.layout.reports.write_text("a file where a folder should be")
    with pytest.raises(Unwritable, match="expected a writable path"):
        judge(served)


def test_a_store_that_takes_no_artifact_loses_no_verdict(served: Workplace) -> None:
    runs = served.root / "mlruns"
    runs.rename(served.root / "elsewhere")
    runs.write_text("a file where a folder should be")
    try:
        with pytest.raises(PlatformError, match="expected to log"):
            judge(served)
    finally:
        runs.unlink()
        (served.root / "elsewhere").rename(runs)

    assert len(list((served.layout.verdicts / "tiny").glob("*.json"))) == 1


def reference_of(data: np.ndarray[Any, Any]) -> Reference:
    features: dict[str, NumberReference] = {
        f"x{i}": number_reference(data[:, i]) for i in range(data.shape[1])
    }
    return Reference(n_rows=len(data), n_predictions=0, features={**features}, predictions={})


def fires(reference: Reference, data: np.ndarray[Any, Any]) -> str:
    histograms, counts = WindowHistograms(reference), QualityCounts()
    batch = TrafficBatch(
        times=np.arange(len(data)),
        ids=pl.Series(range(len(data))),
        columns={f"x{i}": pl.Series(data[:, i]) for i in range(data.shape[1])},
    )
    histograms.add(batch)
    counts.add(batch)
    findings = findings_of(histograms, DriftThresholds(SETTINGS))
    quality = list(quality_findings(histograms, counts, reference, SETTINGS))
    return decide(histograms.rows, 0, findings, quality, SETTINGS)


@pytest.mark.parametrize("n", [500, 5000])
def test_ten_columns_without_drift_alarm_in_two_of_a_hundred_windows_at_most(n: int) -> None:
    rng = np.random.default_rng(1)
    reference = reference_of(rng.normal(size=(20_000, 10)))
    alarms = sum(fires(reference, rng.normal(size=(n, 10))) != "stable" for _ in range(150))

    assert alarms <= 3


@pytest.mark.parametrize(("n", "shift"), [(5000, 0.2), (500, 0.3)])
def test_a_shift_that_matters_is_seen(n: int, shift: float) -> None:
    rng = np.random.default_rng(2)
    reference = reference_of(rng.normal(size=(20_000, 5)))
    seen = 0
    for _ in range(40):
        data = rng.normal(size=(n, 5))
        data[:, 0] += shift
        seen += fires(reference, data) == "drift"

    assert seen >= 38


def test_five_percent_missing_are_a_fault_and_not_drift() -> None:
    rng = np.random.default_rng(3)
    reference = reference_of(rng.normal(size=(20_000, 5)))
    seen = 0
    for _ in range(40):
        data = rng.normal(size=(500, 5))
        data[rng.random(500) < 0.05, 0] = np.nan
        seen += fires(reference, data) == "quality"

    assert seen == 40


def test_the_verdict_document_is_plain_json(served: Workplace) -> None:
    verdict = judge(served)
    path = served.layout.verdicts / "tiny" / f"{verdict.verdict_id}.json"

    assert json.loads(path.read_bytes())["decision"] == "no_traffic"
