"""Which rows a retraining learns, and on which it is evaluated."""

import shutil
from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from contracts.errors import InvalidDocument, NotJustified
from contracts.retraining import Retraining, RetrainingRequest
from monitoring.baseline import find_baseline
from monitoring.retraining.dataset import evaluation_series
from monitoring.retraining.process import Trained
from monitoring.retraining.records import read_retrainings
from tests.conftest import Workplace
from tests.monitoring.retraining.scenario import (
    GOLDEN,
    HOUR,
    NOW,
    RECIPE,
    START,
    log_hour,
    promote_through_gate,
    retrain_tiny,
)
from tests.monitoring.scenarios import turned
from training.evaluation.compare import compare_versions
from training.retraining.job import retrain_recipe
from training.run import train_recipe


def test_after_a_retraining_both_kinds_of_challengers_find_an_exam(served: Workplace) -> None:
    """A version of the recipe's own rows, and one of newer traffic; attempts are counted."""
    log_hour(served, turned(1_200, 5), START)
    first = retrain_tiny(served, "the world turned", promote=partial(promote_through_gate, served))
    train_recipe(RECIPE, served.store)
    against = [
        compare_versions(served.store, served.layout, RECIPE, ours, 3).evaluation for ours in (4, 1)
    ]
    with pytest.raises(NotJustified, match="got 0"):
        retrain_tiny(served, "once more", now=NOW + timedelta(minutes=1))
    log_hour(served, turned(360, 7), START + HOUR)
    second = retrain_tiny(served, "once more", now=NOW + timedelta(minutes=1))
    again = compare_versions(served.store, served.layout, RECIPE, 5, 3).evaluation

    # Version 3 has learned the exam of version 2, which sits it again in its place.
    assert (first.version, first.refit_version) == (2, 3)
    assert [exam and (exam.rows, exam.attempt) for exam in against] == [(360, 1), (360, 2)]
    assert all(exam and exam.production > 0.75 and exam.challenger < 0.5 for exam in against)
    assert second.request.recent_start > first.request.evaluation_end
    assert again is not None
    assert again.rows == second.request.evaluation_rows == 108


def test_overlapping_exams_against_one_production_are_one_series() -> None:
    request = RetrainingRequest.read((GOLDEN / "order.v1.json").read_bytes())
    done = Retraining.read((GOLDEN / "retraining.v1.json").read_bytes())
    before = [replace(done, request=request)]
    inside, after = request.evaluation_end, "2026-03-01T00:00:00.000000Z"
    digest = request.production_digest

    assert evaluation_series(before, digest, inside) == request.evaluation_series
    assert evaluation_series(before, digest, after) == f"{digest[:12]}-{after}"
    assert evaluation_series(before, "another", inside) == f"another-{inside}"


def test_predictions_whose_labels_are_not_due_are_left_out(
    served: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels that come early are not like those that come late."""
    log_hour(served, turned(1_000, 5), START)
    real = find_baseline(served.store, served.layout, "tiny", 1)
    slow = replace(real.manifest, label_delay_s=2.5 * 3600)
    baseline = type(real)(**(vars(real) | {"manifest": slow}))
    monkeypatch.setattr("monitoring.retraining.proposal.find_baseline", lambda *_: baseline)
    done = retrain_tiny(served, "the world turned")

    assert done.request.rows == 500
    assert done.request.left_out == {"not due yet": 500}
    with pytest.raises(NotJustified, match=r"got 0 \(1,000 not due yet\)"):
        retrain_tiny(served, "the world turned", now=START + HOUR)


def test_rows_that_were_changed_after_the_order_are_refused(served: Workplace) -> None:
    log_hour(served, turned(1_200, 5), START)

    def spoilt(request: Path, _timeout_s: float, _lock: int) -> Trained:
        rows = request.with_name("labelled.parquet")
        rows.write_bytes(rows.read_bytes()[:-1])
        retrain_recipe(RECIPE, request, served.store)
        raise AssertionError

    with pytest.raises(
        InvalidDocument, match=r"labelled.parquet: expected the rows of the request"
    ):
        retrain_tiny(served, "the world turned", train=spoilt)


def test_a_batch_of_one_moment_is_cut_through_and_others_are_not(served: Workplace) -> None:
    log_hour(served, turned(1_200, 5), START)
    path = next(served.layout.traffic("tiny").glob("*/*.jsonl"))
    records = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
    times = [record["time"] for record in records]
    requests = []
    for size in (1_200, 100):
        for i, record in enumerate(records):
            record["time"] = times[i - i % size]
        path.write_bytes(msgspec.json.Encoder().encode_lines(records))
        with pytest.raises(KeyboardInterrupt):
            retrain_tiny(served, "the world turned", train=_interrupted)
        requests.append(read_retrainings(served.layout, "tiny")[-1].request)
        shutil.rmtree(served.layout.retrainings("tiny"))

    assert [request.evaluation_rows for request in requests] == [360, 400]


def _interrupted(*_: object) -> Trained:
    raise KeyboardInterrupt
