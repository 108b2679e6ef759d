"""A retraining trains a challenger on recent labelled traffic, and the gate decides on it."""

from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from contracts.decision_rule import Scores
from contracts.errors import EvaluationTooSmall, GateRefused, NotJustified, PlatformError
from contracts.retraining import Retraining, RetrainingRequest, RetrainingWait
from contracts.schema import Value
from monitoring.baseline import find_baseline
from monitoring.retraining.process import Trained
from monitoring.retraining.records import read_retrainings
from registry.history import history
from registry.lineage import lineage
from registry.production import reconcile
from tests import tiny
from tests.conftest import Workplace
from tests.monitoring.retraining.scenario import (
    HOUR,
    START,
    judge_hour,
    log_hour,
    manifest_of,
    promote_through_gate,
    retrain_tiny,
    train_in_process,
)
from tests.monitoring.scenarios import turned
from training.dataset import plain_rows
from training.metrics import METRICS
from training.onnx_session import onnx_scores


def test_a_world_that_turned_is_learned_and_promoted_and_names_its_verdict(
    served: Workplace,
) -> None:
    log_hour(served, turned(1_200, 5), START)
    verdict = judge_hour(served, START)
    with pytest.raises(NotJustified, match="no exam has held, to see half of the fall of"):
        retrain_tiny(served, verdict.verdict_id)
    waiting = served.layout.retrainings("tiny") / "waiting.json"
    wait = RetrainingWait.read(waiting.read_bytes())
    log_hour(served, turned(600, 6), START + HOUR)
    done = retrain_tiny(served, verdict.verdict_id, promote=partial(promote_through_gate, served))
    made = manifest_of(served, 2).retrained
    assert made is not None
    fresh = turned(2_000, 77)
    rows = plain_rows(fresh, tiny.SCHEMA)
    auc = METRICS["binary"]["roc_auc"].value
    truth = (fresh.paid == "yes").to_numpy(int)
    before, after = (auc(truth, _scores(served, v, rows), 0.6) for v in (1, 3))

    assert verdict.decision == "performance"
    # The hour that showed the fall is no evidence for a challenger that learned it.
    assert (wait.rows, wait.rows_since) == (0, f"{START + HOUR:%Y-%m-%dT%H:%M:%S.%f}Z")
    assert wait.rows_needed >= 100
    assert not waiting.exists()
    assert done.request.evaluation_rows <= 600
    assert (done.state, done.version, done.request.reason) == ("promoted", 2, "performance")
    # Version 2 was examined; version 3 is of its kind, and has learned the exam's rows as well.
    assert (done.refit_version, reconcile(served.store, "tiny")) == (3, 3)
    check_refit(served, done, made.old_share)
    assert before < 0.5
    assert after > 0.75
    # The old world is wrong now, and the rows of choice have said so.
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


def check_refit(served: Workplace, done: Retraining, old_share: float) -> None:
    """Whether version 3 is version 2's choice of rows fitted on all of them, and says so."""
    refit = manifest_of(served, 3)
    assert refit.retrained is not None
    assert (refit.retrained.examined_version, refit.retrained.old_share) == (2, old_share)
    # All but copies: both hours, the exam included.
    assert 1_790 <= refit.retrained.rows_recent <= 1_800
    assert refit.retrained.learned_until > done.request.evaluation_end
    examined = {name: m.value for name, m in manifest_of(served, 2).metrics.items()}
    assert {name: m.value for name, m in refit.metrics.items()} == pytest.approx(examined, abs=1e-4)
    assert refit.importance == manifest_of(served, 2).importance
    assert refit.importance_std == manifest_of(served, 2).importance_std
    assert refit.certificate.passed
    assert served.store.versions.get("tiny", 3).tags["slipway.examined"] == "2"
    assert "version 2 fitted on all rows" in history(served.store, "tiny")[-1].why


def _scores(place: Workplace, version: int, rows: list[dict[str, Value]]) -> Scores:
    directory = find_baseline(place.store, place.layout, "tiny", version).directory
    model = (directory / "model.onnx").read_bytes()
    return onnx_scores(model, tiny.SCHEMA.matrix(rows)).astype(float)


def test_where_the_world_is_as_it_was_old_rows_stay_and_the_gate_refuses(
    served: Workplace,
) -> None:
    log_hour(served, tiny.people(1_200, 6), START)
    with pytest.raises(
        GateRefused, match=r"roc_auc: \S+ is not significantly better than production's"
    ):
        retrain_tiny(
            served, "the spring sale is over", promote=partial(promote_through_gate, served)
        )
    (done,) = read_retrainings(served.layout, "tiny")
    made = manifest_of(served, 2).retrained

    assert (done.state, done.version, done.request.reason) == ("refused", 2, "person")
    assert "roc_auc" in done.sentence
    assert reconcile(served.store, "tiny") == 1
    assert made is not None
    assert made.old_share == 1.0


def test_an_exam_that_cannot_see_what_it_must_decides_nothing_and_is_no_attempt(
    served: Workplace,
) -> None:
    """The challenger would pass; what must be seen is far below what these rows can show."""
    log_hour(served, turned(1_200, 5), START)

    def train(path: Path, timeout_s: float, lock: int) -> Trained:
        request = RetrainingRequest.read(path.read_bytes())
        path.write_bytes(replace(request, metric="roc_auc", sought=0.001).write_pretty())
        return train_in_process(served, path, timeout_s, lock)

    promoting = partial(promote_through_gate, served)
    with pytest.raises(EvaluationTooSmall, match="nothing is decided, and no attempt is counted"):
        retrain_tiny(served, "the world turned", train=train, promote=promoting)
    (done,) = read_retrainings(served.layout, "tiny")

    assert (done.state, done.version) == ("waiting", 2)
    assert reconcile(served.store, "tiny") == 1
    assert not [tag for tag in served.store.models.get("tiny").tags if "slipway.exam" in tag]


def test_where_the_fit_on_all_rows_fails_the_examined_version_stays(served: Workplace) -> None:
    log_hour(served, turned(1_200, 5), START)

    def train(path: Path, timeout_s: float, lock: int) -> Trained:
        if path.name == "refit.json":
            raise PlatformError("no memory was left")
        return train_in_process(served, path, timeout_s, lock)

    promoting = partial(promote_through_gate, served)
    done = retrain_tiny(served, "the world turned", train=train, promote=promoting)

    assert (done.state, done.version, done.refit_version) == ("promoted", 2, None)
    assert done.refit == "version 2 stays in production: no memory was left"
    assert reconcile(served.store, "tiny") == 2


def test_where_the_request_of_that_fit_cannot_be_written_the_version_stays(
    served: Workplace,
) -> None:
    log_hour(served, turned(1_200, 5), START)

    def train(path: Path, timeout_s: float, lock: int) -> Trained:
        path.with_name("refit.json").mkdir()
        return train_in_process(served, path, timeout_s, lock)

    promoting = partial(promote_through_gate, served)
    done = retrain_tiny(served, "the world turned", train=train, promote=promoting)

    assert (done.state, done.version, done.refit_version) == ("promoted", 2, None)
    assert "refit.json: expected a writable path" in done.refit
