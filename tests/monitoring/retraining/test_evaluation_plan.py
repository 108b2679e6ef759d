"""An evaluation sees the fall that was reported, on rows that none before it has held."""

from dataclasses import replace as changed

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from contracts.retraining import Retraining, State
from contracts.times import parse_utc
from contracts.verdict import Performance, RealizedMetric
from monitoring.retraining.evaluation_plan import (
    MAX_EVALUATION_ROWS,
    EvaluationNeeds,
    ReportedFall,
    evaluation_needs,
    evaluation_start,
    reported_fall,
    rows_to_see,
)
from tests.monitoring.retraining.scenario import GOLDEN
from tests.monitoring.verdict_history import verdict

DONE = Retraining.read((GOLDEN / "retraining.v1.json").read_bytes())
DIGEST, ALARM = DONE.request.production_digest, DONE.request.episode
FALL = ReportedFall("accuracy", 0.1, 0.02, 400, "2026-01-31T00:00:00.000000Z")


def metric(name: str, value: float, baseline: float, *, worse: bool = True) -> RealizedMetric:
    return RealizedMetric(
        metric=name,
        value=value,
        low=value - 0.04,
        high=value + 0.04,
        baseline=baseline,
        baseline_low=baseline,
        baseline_high=baseline,
        greater_is_better=name != "brier",
        p_value=0.001,
        effect_threshold=0.02,
        worse=worse,
    )


def answered(n: int, state: State = "refused", rows: int = 360) -> list[Retraining]:
    request = replace(DONE.request, evaluation_rows=rows)
    return [replace(DONE, request=request, state=state)] * n


def test_the_fall_is_read_in_the_metric_of_the_gate_if_labels_show_it() -> None:
    performance = Performance(
        status="judged",
        mature_at="",
        start="2026-01-05T00:00:00.000000Z",
        end="2026-01-06T00:00:00.000000Z",
        labels=400,
        metrics=(metric("roc_auc", 0.7, 0.8), metric("brier", 0.3, 0.1)),
    )
    fell = verdict(0, performance=performance)
    of_gate = reported_fall(fell, "roc_auc", "2026-01-04T00:00:00Z")
    clearest = reported_fall(fell, "f1", "2026-01-04T00:00:00Z")

    assert of_gate is not None
    assert of_gate.metric == "roc_auc"
    assert of_gate.size == pytest.approx(0.1)
    assert of_gate.standard_error == pytest.approx(0.0204, abs=1e-4)
    assert of_gate.first_window_end == "2026-01-05T00:00:00.000000Z"
    assert clearest is not None
    assert clearest.metric == "brier"
    assert reported_fall(verdict(0), "roc_auc", "") is None


def test_rows_that_are_needed_show_half_of_the_fall_in_80_of_100_evaluations() -> None:
    """Against differences of two versions whose errors are drawn, half of them common."""
    fall = ReportedFall("mae", size=0.2, standard_error=0.1, labels=100)
    n, rng = rows_to_see(fall), np.random.default_rng(3)
    passed = 0
    for _ in range(400):
        differences = rng.normal(0.1, 1.0, n)
        error = differences.std(ddof=1) / np.sqrt(n)
        passed += differences.mean() / error > 1.875
    assert 0.74 < passed / 400 < 0.86


def test_what_a_window_of_faulty_labels_taught_is_examined_on_other_rows() -> None:
    needs = evaluation_needs(FALL, [], DIGEST, ALARM, 3)

    assert needs.not_before == parse_utc(FALL.first_window_end).timestamp() * 1e6
    assert needs.rows == rows_to_see(FALL)
    assert evaluation_needs(None, [], DIGEST, ALARM, 3) == EvaluationNeeds()


def test_a_refused_challenger_is_tried_again_on_rows_that_no_exam_has_held() -> None:
    needs = evaluation_needs(FALL, answered(1), DIGEST, ALARM, 3)
    end = parse_utc(DONE.request.evaluation_end).timestamp() * 1e6

    assert needs.not_before == end + 1
    assert needs.rows == max(rows_to_see(FALL), 360)
    of_another = evaluation_needs(FALL, answered(1), "another version", ALARM, 3)
    assert of_another.not_before < end
    for state in ("failed", "abandoned", "started"):
        unseen = evaluation_needs(FALL, answered(5, state), DIGEST, ALARM, 3)
        assert unseen == evaluation_needs(FALL, [], DIGEST, ALARM, 3)


def test_an_exam_that_saw_nothing_is_held_again_with_half_as_many_rows_more() -> None:
    small = changed(FALL, size=0.4)
    needs = evaluation_needs(small, answered(1, "waiting"), DIGEST, ALARM, 3)

    assert needs.rows == 540
    assert needs.not_before == evaluation_needs(small, [], DIGEST, ALARM, 3).not_before


def test_attempts_grow_rarer_and_never_end() -> None:
    small = changed(FALL, size=0.4)
    rows = [evaluation_needs(small, answered(n, rows=500), DIGEST, ALARM, 3).rows for n in range(9)]
    assert rows[1:] == [500, 500, 1_000, 2_000, 4_000, 8_000, 16_000, MAX_EVALUATION_ROWS]
    another_alarm = evaluation_needs(small, answered(8, rows=500), DIGEST, "later", 3)
    assert another_alarm.rows == rows_to_see(small)


@given(st.integers(1, 2_000), st.integers(0, 2_500), st.integers(0, 2_500), st.integers(1, 50))
def test_an_evaluation_is_the_newest_rows_and_none_that_may_not_be_in_it(
    n: int, first: int, needed: int, batch: int
) -> None:
    times = np.arange(n, dtype=np.int64) // batch
    start = evaluation_start(times, EvaluationNeeds(needed, first))

    assert 0 <= start <= n
    assert (times[start:] >= first).all()
    possible = int((times >= first).sum())
    assert n - start <= possible
    if needed <= possible:
        assert n - start >= min(needed, MAX_EVALUATION_ROWS)


def test_a_cut_between_batches_leaves_the_rows_that_are_needed() -> None:
    times = np.repeat(np.arange(4, dtype=np.int64), 1_000)

    assert evaluation_start(times, EvaluationNeeds(rows=1_400)) == 2_000


def test_drift_is_examined_again_on_a_hundred_new_rows() -> None:
    assert evaluation_needs(None, answered(1), DIGEST, "another alarm", 3).rows == 100
