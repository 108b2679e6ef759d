"""A retraining trains a challenger on recent labelled traffic, and the gate decides on it."""

from functools import partial

import pytest

from contracts.decision_rule import Scores
from contracts.errors import GateRefused
from contracts.retraining import Retraining
from contracts.schema import Value
from monitoring.baseline import find_baseline
from monitoring.retraining.records import read_retrainings
from registry.lineage import lineage
from registry.production import reconcile
from tests import tiny
from tests.conftest import Workplace
from tests.monitoring.retraining.scenario import (
    START,
    judge_hour,
    log_hour,
    manifest_of,
    promote_through_gate,
    retrain_tiny,
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
    done = retrain_tiny(served, verdict.verdict_id, promote=partial(promote_through_gate, served))
    made = manifest_of(served, 2).retrained
    fresh = turned(2_000, 77)
    rows = plain_rows(fresh, tiny.SCHEMA)
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
    log_hour(served, tiny.people(1_200, 6), START)
    with pytest.raises(GateRefused, match="roc_auc: expected significantly better"):
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
