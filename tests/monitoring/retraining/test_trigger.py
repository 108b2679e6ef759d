"""Which verdicts call for a retraining, and the objections to one."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from contracts.retraining import Retraining
from contracts.verdict import Condition, Verdict
from monitoring.retraining.trigger import evaluate_trigger, too_soon
from tests.monitoring.retraining.scenario import GOLDEN
from tests.monitoring.verdict_history import with_conditions


@pytest.mark.parametrize("decision", ["stable", "quality", "no_traffic", "too_few_rows"])
def test_only_what_is_worse_or_drifted_calls_for_a_retraining(decision: str) -> None:
    golden = Verdict.read((GOLDEN / "verdict.v1.json").read_bytes())
    verdict = with_conditions(replace(golden, decision=decision, findings=(), performance=None))
    found = evaluate_trigger(verdict, [], {}, 0.1)

    assert found.trigger is None
    assert f"got {decision!r}" in found.objection


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 1))
def test_drift_calls_for_it_where_drifted_columns_carry_enough(
    drifted: float, other: float, least: float
) -> None:
    verdict = Verdict.read((GOLDEN / "verdict.v1.json").read_bytes())
    one = verdict.findings[0]
    verdict = replace(
        verdict,
        conditions=(Condition(kind="drift", state="alarming", confirmed=True),),
        decision="drift",
        findings=(
            replace(one, column="a", drifted=True, since="2026-01-01T00:00:00Z"),
            replace(one, column="b", drifted=False),
            replace(one, column="score", drifted=True),
        ),
    )
    found = evaluate_trigger(verdict, [], {"a": drifted, "b": other}, least)

    assert (found.trigger is not None) == (drifted >= least)
    assert found.trigger is None or found.trigger.since == "2026-01-01T00:00:00Z"


def test_the_next_comes_after_a_pause() -> None:
    done = Retraining.read((GOLDEN / "retraining.v1.json").read_bytes())
    made = datetime.fromisoformat(done.request.made_at)

    assert not too_soon([], 60, now=made)
    assert "(pause: 60 s)" in too_soon([done], 60, now=made + timedelta(seconds=59))
    assert not too_soon([done], 60, now=made + timedelta(seconds=60))
