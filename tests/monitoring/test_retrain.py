"""A retraining is ordered for a reason, on rows that nobody saw, and by one process at a time."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from contracts.decision_rule import Scores
from contracts.errors import (
    GateRefused,
    InvalidData,
    InvalidDocument,
    NotFoundHere,
    NotJustified,
    PlatformError,
)
from contracts.manifest import Manifest
from contracts.names import Layout
from contracts.retraining import Retraining, RetrainingRequest
from contracts.schema import Value
from contracts.traffic import TrafficRecord
from contracts.verdict import Verdict
from monitoring.baseline import find_baseline
from monitoring.monitor import count
from monitoring.monitor import judge as judge_window
from monitoring.retraining import records as retrainings
from monitoring.retraining.job import retrain
from monitoring.retraining.process import Trained, run_training
from monitoring.retraining.trigger import judged
from monitoring.settings import MonitoringSettings
from monitoring.traffic.window import TimeWindow
from registry.lineage import lineage
from registry.production import reconcile
from registry.promote import Promotion, promote
from registry.pull import pull
from tests import tiny
from tests.conftest import Workplace, working_in
from tests.monitoring.scenarios import turned
from training.dataset import rows_of
from training.evaluation.compare import compare_versions
from training.metrics import METRICS
from training.onnx_session import onnx_scores
from training.retraining.job import retrain_recipe
from training.run import train_recipe

HOUR = timedelta(hours=1)
TODAY = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
START = TODAY + timedelta(days=1)
"""After the version was trained, whenever this is run."""
NOW = START + 3 * HOUR
SETTINGS = MonitoringSettings()
RECIPE = tiny.binary(load=lambda: tiny.people(2_000))
GOLDEN = Path(__file__).parents[1] / "contracts" / "golden"


@pytest.fixture(scope="module")
def promoted(fresh_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place where `tiny` is in production and served; copied for each test."""
    root = tmp_path_factory.mktemp("promoted")
    shutil.copy(fresh_database, root / "mlflow.db")
    with working_in(root) as place:
        train_recipe(RECIPE, place.store)
        promote(place.store, "tiny", actor="ada")
        pull(place.store, place.layout, "tiny")
    return root


@pytest.fixture
def served(promoted: Path, tmp_path: Path) -> Iterator[Workplace]:
    root = tmp_path / "copy"
    shutil.copytree(promoted, root)
    with working_in(root) as place:
        yield place


def live(place: Workplace, world: pd.DataFrame, start: datetime, *, version: int = 1) -> list[str]:
    """Traffic of an hour, answered by the model itself, and its labels; gives the ids."""
    rows = rows_of(world, tiny.SCHEMA)
    model = (place.layout.model("tiny", version) / "model.onnx").read_bytes()
    scores = onnx_scores(model, tiny.SCHEMA.matrix(rows)).astype(float)
    ids = [f"{start:%d%H}-{version}-{i}" for i in range(len(rows))]
    step = HOUR / len(rows)
    records = [
        TrafficRecord(
            prediction_id=name,
            time=f"{start + i * step:%Y-%m-%dT%H:%M:%S.%f}Z",
            model="tiny",
            version=version,
            features=row,
            prediction="yes" if s[1] >= 0.6 else "no",
            score=float(s[1]),
            scores={"no": float(s[0]), "yes": float(s[1])},
        )
        for i, (name, row, s) in enumerate(zip(ids, rows, scores, strict=True))
    ]
    folder = place.layout.traffic("tiny") / f"{start:%Y-%m-%d}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{start:%H%M%S}-{version}.jsonl").write_bytes(
        msgspec.json.Encoder().encode_lines(records)
    )
    labels = place.layout.labels("tiny")
    labels.mkdir(parents=True, exist_ok=True)
    truths = [
        {"prediction_id": name, "truth": truth, "time": f"{start + HOUR:%Y-%m-%dT%H:%M:%S.%f}Z"}
        for name, truth in zip(ids, world.paid, strict=True)
    ]
    (labels / f"{start:%d%H%M%S}-{version}.jsonl").write_text("\n".join(map(json.dumps, truths)))
    return ids


def verdict_on(place: Workplace, start: datetime) -> Verdict:
    """The verdict on an hour, kept where verdicts lie; nothing is drawn."""
    baseline = find_baseline(place.store, place.layout, "tiny", None)
    span = TimeWindow("tiny", baseline.version, start, start + HOUR)
    counted = count(place.layout, baseline, span, SETTINGS)
    verdict = judge_window(place.layout, baseline, span, counted, SETTINGS, start + HOUR, [])
    path = place.layout.verdicts / "tiny" / f"{verdict.verdict_id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(verdict.write_pretty())
    return verdict


def in_process(place: Workplace, order: Path, _timeout_s: float, _lock: int) -> Trained:
    """Training without a process of its own: `tiny` lies in no folder of recipes."""
    made = retrain_recipe(RECIPE, order, place.store)
    return Trained(made.version, made.run_id)


def anew(place: Workplace, because: str, **changes: Any) -> Retraining:
    words: dict[str, Any] = {
        "because": because,
        "settings": SETTINGS,
        "now": NOW,
        "actor": "ada",
        "train": partial(in_process, place),
    }
    return retrain(place.store, place.layout, "tiny", **(words | changes))


def through_the_gate(place: Workplace, version: int, because: str) -> Promotion:
    return promote(
        place.store,
        "tiny",
        version,
        actor="monitor",
        because=because,
        compare=lambda ours, theirs: compare_versions(
            place.store, place.layout, RECIPE, ours, theirs
        ),
    )


def manifest_at(place: Workplace, version: int) -> Manifest:
    return find_baseline(place.store, place.layout, "tiny", version).manifest


def test_a_world_that_turned_is_learned_and_promoted_and_names_its_verdict(
    served: Workplace,
) -> None:
    live(served, turned(1_200, 5), START)
    verdict = verdict_on(served, START)
    done = anew(served, verdict.verdict_id, promote=partial(through_the_gate, served))
    made = manifest_at(served, 2).retrained
    fresh = turned(2_000, 77)
    rows = rows_of(fresh, tiny.SCHEMA)
    auc = METRICS["binary"]["roc_auc"].value
    truth = (fresh.paid == "yes").to_numpy(int)
    before, after = (auc(truth, _scores(served, v, rows), 0.6) for v in (1, 2))

    assert verdict.decision == "performance"
    assert (done.state, done.version, done.request.reason) == ("promoted", 2, "performance")
    assert reconcile(served.store, "tiny") == 2
    assert before < 0.5
    assert after > 0.75
    # The old world is wrong now, and the rows of choice have said so.
    assert made is not None
    assert made.old_share < 0.2
    assert made.verdict_id == verdict.verdict_id
    tags = served.store.versions.get("tiny", 2).tags
    assert tags["slipway.verdict"] == verdict.verdict_id
    assert (
        served.store.runs.get(done.run_id).tags["slipway.retraining"] == done.request.retraining_id
    )
    assert lineage(served.store, "tiny", 2).verdict_id == verdict.verdict_id
    kept = served.layout.retrainings("tiny") / done.request.retraining_id / "retraining.json"
    assert Retraining.read(kept.read_bytes()) == done
    assert sorted(served.store.artifacts.paths(done.run_id, "retraining")) == [
        "retraining/labelled.parquet",
        "retraining/order.json",
    ]


def _scores(place: Workplace, version: int, rows: list[dict[str, Value]]) -> Scores:
    directory = find_baseline(place.store, place.layout, "tiny", version).directory
    model = (directory / "model.onnx").read_bytes()
    return onnx_scores(model, tiny.SCHEMA.matrix(rows)).astype(float)


def test_where_the_world_is_as_it_was_old_rows_stay_and_the_gate_refuses(
    served: Workplace,
) -> None:
    live(served, tiny.people(1_200, 6), START)
    with pytest.raises(GateRefused, match="roc_auc: expected significantly better"):
        anew(served, "the spring sale is over", promote=partial(through_the_gate, served))
    (done,) = retrainings.past(served.layout, "tiny")
    made = manifest_at(served, 2).retrained

    assert (done.state, done.version, done.request.reason) == ("refused", 2, "person")
    assert "roc_auc" in done.sentence
    assert reconcile(served.store, "tiny") == 1
    assert made is not None
    assert made.old_share == 1.0


def test_after_a_retraining_both_kinds_of_challengers_find_an_exam(served: Workplace) -> None:
    """A version of the recipe's own rows, and one of newer traffic; attempts are counted."""
    live(served, turned(1_200, 5), START)
    first = anew(served, "the world turned", promote=partial(through_the_gate, served))
    train_recipe(RECIPE, served.store)
    against = [
        compare_versions(served.store, served.layout, RECIPE, ours, 2).exam for ours in (3, 1)
    ]
    second = anew(served, "once more", now=NOW + timedelta(minutes=1))
    again = compare_versions(served.store, served.layout, RECIPE, 4, 2).exam

    assert first.version == 2
    assert [exam and (exam.rows, exam.attempt) for exam in against] == [(360, 1), (360, 2)]
    assert all(exam and exam.production > 0.75 and exam.challenger < 0.5 for exam in against)
    # Nothing new has come since: the rows that version 2 held out are all that is new.
    assert second.request.recent_start == first.request.evaluation_start
    assert again is not None
    assert again.rows == second.request.evaluation_rows == 108


def test_overlapping_exams_against_one_production_are_one_series() -> None:
    order = RetrainingRequest.read((GOLDEN / "order.v1.json").read_bytes())
    done = Retraining.read((GOLDEN / "retraining.v1.json").read_bytes())
    before = [replace(done, request=order)]
    inside, after = order.evaluation_end, "2026-03-01T00:00:00.000000Z"
    digest = order.production_digest

    assert retrainings.exam_of(before, digest, inside) == order.evaluation_series
    assert retrainings.exam_of(before, digest, after) == f"{digest[:12]}-{after}"
    assert retrainings.exam_of(before, "another", inside) == f"another-{inside}"


@pytest.mark.parametrize("decision", ["stable", "quality", "no_traffic", "too_few_rows"])
def test_only_what_is_worse_or_drifted_calls_for_a_retraining(decision: str) -> None:
    verdict = replace(
        Verdict.read((GOLDEN / "verdict.v1.json").read_bytes()),
        decision=decision,
    )
    found = judged(verdict, [], {}, 0.1)

    assert found.cause is None
    assert f"got {decision!r}" in found.objection


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 1))
def test_drift_calls_for_it_where_drifted_columns_carry_enough(
    drifted: float, other: float, least: float
) -> None:
    verdict = Verdict.read((GOLDEN / "verdict.v1.json").read_bytes())
    one = verdict.findings[0]
    verdict = replace(
        verdict,
        decision="drift",
        findings=(
            replace(one, column="a", drifted=True, since="2026-01-01T00:00:00Z"),
            replace(one, column="b", drifted=False),
            replace(one, column="score", drifted=True),
        ),
    )
    found = judged(verdict, [], {"a": drifted, "b": other}, least)

    assert (found.cause is not None) == (drifted >= least)
    assert found.cause is None or found.cause.since == "2026-01-01T00:00:00Z"


def test_it_is_refused_with_numbers_and_done_with_force(served: Workplace) -> None:
    live(served, tiny.people(240, 6), START)
    stable = verdict_on(served, START)
    with pytest.raises(NotJustified) as refused:
        anew(served, stable.verdict_id)
    done = anew(served, stable.verdict_id, force=True)

    assert "got 'stable'" in refused.value.what
    assert "expected at least 300 predictions with a label" in refused.value.what
    assert "got 240" in refused.value.what
    assert "--force" in refused.value.remedy
    assert (done.state, done.request.reason) == ("trained", "forced")
    assert len(done.request.objections) == 2
    assert done.sentence.endswith("slipway promote tiny --version 2")
    assert reconcile(served.store, "tiny") == 1


def test_predictions_whose_labels_are_not_due_are_left_out(
    served: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels that come early are not like those that come late."""
    live(served, turned(1_000, 5), START)
    real = find_baseline(served.store, served.layout, "tiny", 1)
    slow = replace(real.manifest, label_delay_s=2.5 * 3600)
    baseline = type(real)(**(vars(real) | {"manifest": slow}))
    monkeypatch.setattr("monitoring.retraining.job.find_baseline", lambda *_: baseline)
    done = anew(served, "the world turned")

    assert done.request.rows == 500
    assert done.request.left_out == {"not due yet": 500}
    with pytest.raises(NotJustified, match=r"got 0 \(1,000 not due yet\)"):
        anew(served, "the world turned", now=START + HOUR)


def test_a_verdict_on_another_version_calls_for_nothing(served: Workplace) -> None:
    live(served, turned(1_200, 5), START)
    verdict = verdict_on(served, START)
    anew(served, verdict.verdict_id, promote=partial(through_the_gate, served))
    with pytest.raises(NotJustified, match="on version 2, which is in production, got one on ver"):
        anew(served, verdict.verdict_id, now=NOW + timedelta(days=1))


@pytest.mark.parametrize(
    ("because", "error", "says"),
    [
        ("", InvalidData, "or a reason in words, got ''"),
        ("drift", InvalidData, "expected a verdict's id or path, 'schedule'"),
        ("tiny-1-20260131T120000.000Z-20260131T130000.000Z", NotFoundHere, "the id of a verdict"),
        ("no/such/verdict.json", InvalidDocument, "no/such/verdict.json: expected a verdict"),
        (str(GOLDEN / "verdict.v1.json"), InvalidDocument, "expected a verdict on 'tiny'"),
        (str(GOLDEN / "pointer.v1.json"), InvalidDocument, "expected a verdict document"),
    ],
)
def test_a_reason_that_is_none_is_told(
    served: Workplace, because: str, error: type[PlatformError], says: str
) -> None:
    with pytest.raises(error) as told:
        anew(served, because)

    assert says in told.value.what
    assert not retrainings.past(served.layout, "tiny")


def test_the_next_comes_after_a_pause_and_an_alarm_is_answered_three_times_at_most() -> None:
    done = Retraining.read((GOLDEN / "retraining.v1.json").read_bytes())
    made = datetime.fromisoformat(done.request.made_at)
    version, episode = done.request.production_version, done.request.episode

    assert not retrainings.too_soon([], 60, now=made)
    assert "pause of 60 s" in retrainings.too_soon([done], 60, now=made + timedelta(seconds=59))
    assert not retrainings.too_soon([done], 60, now=made + timedelta(seconds=60))
    assert not retrainings.too_often([done] * 2, episode, version, 3)
    assert "got 3 already" in retrainings.too_often([done] * 3, episode, version, 3)
    assert not retrainings.too_often([done] * 3, episode, version + 1, 3)
    assert not retrainings.too_often([done] * 3, "another", version, 3)


HOLD = """
import sys, time
from contracts.names import Layout
from pathlib import Path
from monitoring.retraining.records import only_one
with only_one(Layout(Path(sys.argv[1])), "tiny"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_process_retrains_a_model_and_a_dead_ones_lock_is_taken_over(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    words = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(NotJustified, match=f"got one by .*:{other.pid}"),
            retrainings.only_one(layout, "tiny"),
        ):
            pass
        with retrainings.only_one(layout, "another"):
            pass
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    with retrainings.only_one(layout, "tiny"):
        pass


def test_a_training_process_keeps_the_lock_of_a_starter_that_was_killed(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with retrainings.only_one(layout, "tiny") as lock:
        words = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]
        child = subprocess.Popen(words, stdout=subprocess.PIPE, pass_fds=(lock,))
        assert child.stdout is not None
        child.stdout.readline()
    with child:
        with pytest.raises(NotJustified), retrainings.only_one(layout, "tiny"):
            pass
        child.kill()
    with retrainings.only_one(layout, "tiny"):
        pass


def test_a_retraining_whose_process_died_is_called_abandoned_and_counts(served: Workplace) -> None:
    live(served, turned(1_200, 5), START)
    verdict = verdict_on(served, START)

    def killed(*_: object) -> Trained:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        anew(served, verdict.verdict_id, train=killed)
    (before,) = retrainings.past(served.layout, "tiny")
    with pytest.raises(NotJustified, match="expected a pause"):
        anew(served, verdict.verdict_id, now=NOW + timedelta(seconds=9))
    (after,) = retrainings.past(served.layout, "tiny")

    assert (before.state, after.state) == ("started", "abandoned")


def test_a_version_that_came_of_it_all_the_same_is_named(served: Workplace) -> None:
    """Its starter was killed while the training process went on and registered a version."""
    live(served, turned(1_200, 5), START)

    def killed(order: Path, timeout_s: float, lock: int) -> Trained:
        in_process(served, order, timeout_s, lock)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        anew(served, "the world turned", train=killed)
    with pytest.raises(InvalidData):
        anew(served, "")
    (after,) = retrainings.past(served.layout, "tiny")

    assert (after.state, after.version) == ("trained", 2)
    assert after.sentence.endswith("slipway promote tiny --version 2")
    assert after.run_id == served.store.versions.get("tiny", 2).run_id


def test_training_that_fails_is_told_with_its_last_words_and_recorded(served: Workplace) -> None:
    """The real process, which knows no recipe of this name."""
    live(served, turned(1_200, 5), START)
    with pytest.raises(PlatformError, match=r"exit code 1: error: recipe: expected one of"):
        anew(served, "the world turned", train=run_training)
    (done,) = retrainings.past(served.layout, "tiny")

    assert done.state == "failed"
    with pytest.raises(PlatformError, match=r"to end within 0\.01 s"):
        anew(
            served,
            "the world turned",
            now=NOW + timedelta(days=1),
            train=lambda order, _, lock: run_training(order, 0.01, lock),
        )


def test_rows_that_were_changed_after_the_order_are_refused(served: Workplace) -> None:
    live(served, turned(1_200, 5), START)

    def spoilt(order: Path, _timeout_s: float, _lock: int) -> Trained:
        rows = order.with_name("labelled.parquet")
        rows.write_bytes(rows.read_bytes()[:-1])
        retrain_recipe(RECIPE, order, served.store)
        raise AssertionError

    with pytest.raises(
        InvalidDocument, match=r"labelled.parquet: expected the rows of the request"
    ):
        anew(served, "the world turned", train=spoilt)


def test_a_batch_of_one_moment_is_cut_through_and_others_are_not(served: Workplace) -> None:
    live(served, turned(1_200, 5), START)
    path = next(served.layout.traffic("tiny").glob("*/*.jsonl"))
    records = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
    times = [record["time"] for record in records]
    orders = []
    for size in (1_200, 100):
        for i, record in enumerate(records):
            record["time"] = times[i - i % size]
        path.write_bytes(msgspec.json.Encoder().encode_lines(records))
        with pytest.raises(KeyboardInterrupt):
            anew(served, "the world turned", train=_interrupted)
        orders.append(retrainings.past(served.layout, "tiny")[-1].request)
        shutil.rmtree(served.layout.retrainings("tiny"))

    assert [order.evaluation_rows for order in orders] == [360, 400]


def _interrupted(*_: object) -> Trained:
    raise KeyboardInterrupt
