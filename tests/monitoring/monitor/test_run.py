"""A window of traffic gets the right verdict, whatever is in the log."""

import json
import os
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from contracts.verdict import Verdict
from monitoring.baseline import find_baseline
from tests import tiny
from tests.conftest import Workplace
from tests.monitoring.monitor.scenario import (
    END,
    START,
    judge,
    record,
    served_rows,
    write,
)

# Evidently and what it imports warn of their own age while they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


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
    # The first hour of a version: it may be a season, until more of the week was seen.
    assert verdict.sentence.startswith("tiny version 1: learning the week: age (")
    assert "effect size over every row (Slipway)" in page
    assert f"{drifted['age'].effect_size:.6f}"[:6] in page


@pytest.mark.parametrize(
    ("n", "tail", "decision"),
    [
        (0, b"", "no_traffic"),
        (1, b"", "too_few_rows"),
        (20, b"\xff\xfe\n{}\n[]\n", "too_few_rows"),
        (0, b"garbage\n\n{\n", "unreadable"),
    ],
)
def test_a_window_that_cannot_be_judged_is_reported_as_such(
    served: Workplace, n: int, tail: bytes, decision: str
) -> None:
    write(served, [record(dict(tiny.GOOD), i) for i in range(n)], tail)
    verdict = judge(served)

    assert verdict.decision == decision
    assert verdict.findings == ()
    assert verdict.sentence in Path(verdict.report).read_text()


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


@pytest.mark.usefixtures("without_evidently")
def test_a_compacted_window_has_the_same_verdict_and_a_torn_file_is_reported(
    served: Workplace,
) -> None:
    from monitoring.traffic.compaction import compact_traffic

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


@pytest.mark.usefixtures("without_evidently")
def test_labels_that_show_a_worse_model_decide(served: Workplace) -> None:
    from monitoring.labels.ingest import add_labels

    records = served_rows(served, 400, 5)
    write(served, records)
    source = served.root / "truth.jsonl"
    # Concept drift: everyone about whom the model is sure does the opposite.
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


@pytest.mark.usefixtures("without_evidently")
def test_since_when_and_in_which_segment_is_on_the_page(served: Workplace) -> None:

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


def test_the_verdict_document_is_plain_json(served: Workplace) -> None:
    verdict = judge(served)
    path = served.layout.verdicts / "tiny" / f"{verdict.verdict_id}.json"

    assert json.loads(path.read_bytes())["decision"] == "no_traffic"
