"""Labels are taken strictly, joined exactly, and judged only when they are due."""

import csv
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, roc_auc_score

from contracts.errors import InvalidData, InvalidDocument
from contracts.manifest import Manifest, Metric
from contracts.names import Layout
from contracts.traffic import TrafficRecord
from monitoring.labels import store
from monitoring.labels.compaction import compact_labels
from monitoring.labels.ingest import add_labels
from monitoring.labels.store import hash_ids, read_labels
from monitoring.performance.realized import realized_performance
from monitoring.traffic.compaction import compact_traffic
from monitoring.traffic.compaction_manifest import open_log_files, read_compaction_manifest
from monitoring.traffic.window import TimeWindow

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden" / "manifest.v1.json"
DAY = datetime(2026, 1, 31, tzinfo=UTC)
SPAN = TimeWindow("loan", None, DAY, DAY + timedelta(days=1))
LATER = DAY + timedelta(days=40)


def manifest(**changes: Any) -> Manifest:
    read = Manifest.read(GOLDEN.read_bytes())
    words: dict[str, Any] = {
        "name": "loan",
        "task": "binary",
        "classes": ("no", "yes"),
        "label_delay_s": 86_400.0,
        "metrics": {
            "roc_auc": Metric(value=0.80, low=0.79, high=0.81, greater_is_better=True),
            "accuracy": Metric(value=0.72, low=0.71, high=0.73, greater_is_better=True),
        },
    }
    return msgspec.structs.replace(read, **(words | changes))


def place(tmp_path: Path, n: int, *, flipped: float = 0.0, seed: int = 0) -> tuple[Layout, Any]:
    """Predictions of two versions and their labels; `flipped` answers come out otherwise."""
    rng = np.random.default_rng(seed)
    layout = Layout(tmp_path)
    scores = 1 / (1 + np.exp(-1.6 * rng.normal(size=n)))
    truths = rng.random(n) < np.where(rng.random(n) < flipped, 1 - scores, scores)
    folder = layout.traffic("loan") / "2026-01-31"
    folder.mkdir(parents=True)
    records = [
        TrafficRecord(
            prediction_id=f"id-{i}",
            time=f"2026-01-31T{i % 24:02d}:00:00.000000Z",
            model="loan",
            version=1 + (i % 5 == 4),
            variant="shadow" if i % 5 == 4 else "production",
            features={},
            prediction="yes" if s >= 0.5 else "no",
            score=float(s),
            scores={"no": float(1 - s), "yes": float(s)},
        )
        for i, s in enumerate(scores)
    ]
    path = folder / "a.jsonl"
    path.write_bytes(msgspec.json.Encoder().encode_lines(records))
    os.utime(path, (DAY.timestamp(), DAY.timestamp()))
    source = tmp_path / "truth.csv"
    with source.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["prediction_id", "truth", "time"])
        writer.writerows(
            [f"id-{i}", "yes" if t else "no", "2026-02-01T00:00:00+00:00"]
            for i, t in enumerate(truths)
        )
    add_labels(layout, manifest(), source, now=LATER)
    return layout, (scores, truths)


def judged(layout: Layout, **changes: Any) -> Any:
    words: dict[str, Any] = {"now": LATER, "alpha": 0.01}
    return realized_performance(layout, manifest(), 1, SPAN, **(words | changes))


def test_realised_performance_is_sklearns_on_the_rows_of_the_version(tmp_path: Path) -> None:
    layout, (scores, truths) = place(tmp_path, 3_000)
    found = judged(layout)
    mine = np.arange(3_000) % 5 != 4
    metrics = {m.metric: m for m in found.metrics}

    assert (found.status, found.labels, found.coverage) == ("judged", 2_400, 1.0)
    assert metrics["roc_auc"].value == pytest.approx(roc_auc_score(truths[mine], scores[mine]))
    assert metrics["accuracy"].value == pytest.approx(
        accuracy_score(truths[mine], scores[mine] >= 0.5)
    )
    assert not any(m.worse for m in found.metrics)
    assert [(g.version, g.variant, g.labels) for g in found.groups] == [
        (1, "production", 2_400),
        (2, "shadow", 600),
    ]


def test_the_numbers_are_the_same_after_compaction_of_both(tmp_path: Path) -> None:
    layout, _ = place(tmp_path, 1_000)
    before = judged(layout)
    compact_traffic(layout, "loan", now=LATER)
    for path in layout.labels("loan").glob("*.jsonl"):
        os.utime(path, (DAY.timestamp(), DAY.timestamp()))
    done = compact_labels(layout, "loan", now=LATER)

    assert done.rows == 1_000
    assert not list(layout.labels("loan").glob("*.jsonl"))
    assert judged(layout) == before


def test_labels_that_a_service_goes_on_writing_are_not_lost(tmp_path: Path) -> None:
    """A service holds its file open: compaction must not take it away from under it."""
    layout, _ = place(tmp_path, 500)
    folder = layout.labels("loan")
    line = b'{"prediction_id":"id-%d","truth":"no","time":"2026-03-01T00:00:00.000000Z"}\n'
    held = folder / "120000-1-ab.jsonl"
    with held.open("ab", buffering=0) as service:
        service.write(line % 1)
        for path in folder.glob("*.jsonl"):
            os.utime(path, (DAY.timestamp(), DAY.timestamp()))
        assert compact_labels(layout, "loan", now=LATER).removed_log_files == 1
        service.write(line % 2)

    assert read_labels(layout, "loan", ("no", "yes")).replaced == 2


def test_labels_go_with_the_traffic_that_they_are_of(tmp_path: Path) -> None:
    """Labels of 1 February, and one that came a month later."""
    layout, _ = place(tmp_path, 50)
    late = tmp_path / "late.jsonl"
    late.write_text('{"prediction_id": "id-3", "truth": "yes", "time": "2026-03-01T00:00:00Z"}\n')
    add_labels(layout, manifest(), late, now=LATER)
    for path in layout.labels("loan").glob("*.jsonl"):
        os.utime(path, (DAY.timestamp(), DAY.timestamp()))
    kept = compact_labels(layout, "loan", now=LATER, keep_days=39)
    gone = compact_labels(layout, "loan", now=LATER, keep_days=38)
    again = compact_labels(layout, "loan", now=LATER, keep_days=38)
    left = read_labels(layout, "loan", ("no", "yes"))
    files = sorted(p.name for p in layout.labels("loan").glob("*.parquet"))

    assert (kept.removed_rows, gone.removed_rows, again.removed_rows) == (0, 50, 0)
    assert left.targets.tolist() == [1.0]
    assert sorted(read_compaction_manifest(layout.labels("loan")).files) == files
    assert len(files) == 1


def test_labels_that_cannot_be_read_are_an_error_and_not_a_number(tmp_path: Path) -> None:
    layout, _ = place(tmp_path, 500)
    folder = layout.labels("loan")
    for path in folder.glob("*.jsonl"):
        os.utime(path, (DAY.timestamp(), DAY.timestamp()))
    compact_labels(layout, "loan", now=LATER)
    part = next(folder.glob("part-*"))
    part.write_bytes(part.read_bytes()[:-5])

    with pytest.raises(InvalidDocument, match="expected the labels that compaction wrote"):
        judged(layout)


def test_a_model_that_has_become_worse_is_told_and_one_that_has_not_is_not(
    tmp_path: Path,
) -> None:
    layout, _ = place(tmp_path, 3_000, flipped=0.3)

    assert {m.metric for m in judged(layout).metrics if m.worse} == {"roc_auc", "accuracy"}


def test_a_window_is_judged_when_its_labels_are_due_and_not_before(tmp_path: Path) -> None:
    layout, _ = place(tmp_path, 1_000)
    early = judged(layout, now=SPAN.end + timedelta(hours=23))
    on_time = judged(layout, now=SPAN.end + timedelta(hours=24))

    assert on_time.status == "judged"
    assert on_time.start == "2026-01-31T00:00:00.000000Z"
    # One hour is not due: the window that ended a delay ago is judged in its place.
    assert early.start == "2026-01-30T23:00:00.000000Z"
    assert early.labels < on_time.labels
    assert judged(layout, now=SPAN.end - timedelta(days=2)).status == "immature"


def test_the_last_label_wins_orphans_and_strangers_are_counted(tmp_path: Path) -> None:
    layout, _ = place(tmp_path, 1_000)
    rows = [
        {"prediction_id": "id-1", "truth": "yes", "time": "2026-02-01T09:00:00.000000Z"},
        {"prediction_id": "id-1", "truth": "no", "time": "2026-02-01T08:00:00.000000Z"},
        {"prediction_id": "nobody", "truth": "no", "time": "2026-02-01T08:00:00.000000Z"},
        {"prediction_id": "id-2", "truth": "perhaps", "time": "2026-02-01T08:00:00.000000Z"},
    ]
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    (layout.labels("loan") / "z.jsonl").write_bytes(lines + b'{"prediction_id": "to')
    found = judged(layout)
    read = read_labels(layout, "loan", ("no", "yes"))
    place_of_one = np.searchsorted(read.id_hashes, hash_ids(msgspec_series("id-1"))[0])

    assert (found.replaced, found.orphans, found.unusable, found.torn_lines) == (3, 1, 1, 1)
    assert found.labels == 799
    assert read.targets[place_of_one] == 1.0


def test_labels_that_are_compacted_while_they_are_read_are_neither_lost_nor_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, classes = Layout(tmp_path), ("no", "yes")
    source = tmp_path / "truth.jsonl"
    rows = [{"prediction_id": f"id-{i}", "truth": "yes"} for i in range(50)]
    source.write_bytes(msgspec.json.Encoder().encode_lines(rows))
    path = add_labels(layout, manifest(), source, now=LATER).path
    os.utime(path, (0, 0))

    def compacted_first(*given: Any) -> Any:
        assert compact_labels(layout, "loan", now=LATER).rows == 50
        return open_log_files(*given)

    monkeypatch.setattr(store, "open_log_files", compacted_first)
    read = read_labels(layout, "loan", classes)

    assert (len(read), read.replaced) == (50, 0)


def msgspec_series(word: str) -> Any:
    import polars as pl

    return pl.Series([word])


def test_without_labels_there_is_no_number(tmp_path: Path) -> None:
    layout, _ = place(tmp_path, 60)

    assert judged(layout).status == "too_few_labels"
    assert judged(Layout(tmp_path / "elsewhere")).status == "no_labels"


BAD = {
    "prediction_id,truth\nid-1,maybe\n": 'line 2: truth: expected one of no, yes, got "maybe"',
    "prediction_id,truth\n,yes\n": (
        'line 2: prediction_id: expected a prediction id of 1 to 128 characters, got ""'
    ),
    "id,truth\n1,yes\n": (
        "expected the columns prediction_id, truth and optionally time, got id, truth"
    ),
    "prediction_id,truth\nid-1,yes,3\n": (
        "line 2: expected an object with prediction_id, truth and optionally time"
    ),
    "prediction_id,truth,time\nid-1,yes,noon\n": "line 2: time: expected RFC 3339 with a zone",
    "prediction_id,truth\n": "expected at least one label, got none",
    "": "expected the columns prediction_id, truth and optionally time, got none",
}


@pytest.mark.parametrize(("text", "says"), BAD.items())
def test_a_wrong_file_is_refused_whole_with_the_place(tmp_path: Path, text: str, says: str) -> None:
    source = tmp_path / "labels.csv"
    source.write_text(text)
    with pytest.raises(InvalidData, match=says):
        add_labels(Layout(tmp_path), manifest(), source, now=LATER)

    assert not Layout(tmp_path).labels("loan").exists()


@given(st.binary(max_size=120), st.sampled_from(["csv", "jsonl"]))
def test_any_file_is_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, kind: str
) -> None:
    folder = tmp_path_factory.mktemp("labels")
    source = folder / f"labels.{kind}"
    source.write_bytes(data)
    with pytest.raises(InvalidData, match="expected"):
        add_labels(Layout(folder), manifest(), source, now=LATER)


def test_a_regression_takes_numbers_only(tmp_path: Path) -> None:
    source = tmp_path / "labels.jsonl"
    source.write_text('{"prediction_id": "a", "truth": 3}\n{"prediction_id": "b", "truth": 2.5}\n')
    value = manifest(task="regression", classes=())
    added = add_labels(Layout(tmp_path), value, source, now=LATER)
    read = read_labels(Layout(tmp_path), "loan", ())

    assert added.rows == 2
    assert sorted(read.targets) == [2.5, 3.0]
    source.write_text('{"prediction_id": "a", "truth": true}\n')
    with pytest.raises(InvalidData, match="truth: expected a number, got true"):
        add_labels(Layout(tmp_path), value, source, now=LATER)


@pytest.mark.parametrize(
    ("classes", "sent"),
    [
        (("1234567", "7654321"), [1234567, 7654321.0, "1234567"]),
        (("False", "True"), [False, True, "False"]),
        (("0.0", "1.0"), [0, 1, "0.0"]),
    ],
)
def test_truths_that_something_else_appended_are_read_as_their_class(
    tmp_path: Path, classes: tuple[str, ...], sent: list[object]
) -> None:
    """Numbers alone, and numbers and text in one file, before and after compaction."""
    folder = Layout(tmp_path).labels("loan")
    folder.mkdir(parents=True)
    for name, truths in (("a", sent[:2]), ("b", sent)):
        rows = [
            {"prediction_id": f"{name}{i}", "truth": t, "time": "2026-02-01T00:00:00.000000Z"}
            for i, t in enumerate(truths)
        ]
        path = folder / f"{name}.jsonl"
        path.write_bytes(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    before = read_labels(Layout(tmp_path), "loan", classes)
    compact_labels(Layout(tmp_path), "loan", now=LATER)
    after = read_labels(Layout(tmp_path), "loan", classes)

    assert sorted(before.targets.tolist()) == [0, 0, 0, 1, 1]
    assert before.unusable == 0
    assert after.targets.tolist() == before.targets.tolist()
