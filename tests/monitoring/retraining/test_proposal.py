"""What a given reason for a retraining comes to."""

from datetime import timedelta
from functools import partial

import pytest

from contracts.errors import InvalidData, InvalidDocument, NotFoundHere, NotJustified, PlatformError
from monitoring.retraining.records import read_retrainings
from registry.production import reconcile
from tests import tiny
from tests.conftest import Workplace
from tests.monitoring.retraining.scenario import (
    GOLDEN,
    HOUR,
    NOW,
    START,
    judge_hour,
    log_hour,
    promote_through_gate,
    retrain_tiny,
)
from tests.monitoring.scenarios import turned


def test_it_is_refused_with_numbers_and_done_with_force(served: Workplace) -> None:
    log_hour(served, tiny.people(240, 6), START)
    stable = judge_hour(served, START)
    with pytest.raises(NotJustified) as refused:
        retrain_tiny(served, stable.verdict_id)
    done = retrain_tiny(served, stable.verdict_id, force=True)

    assert "got 'stable'" in refused.value.what
    assert "expected at least 300 predictions with a label" in refused.value.what
    assert "got 240" in refused.value.what
    assert "--force" in refused.value.remedy
    assert (done.state, done.request.reason) == ("trained", "forced")
    assert len(done.request.objections) == 2
    assert done.sentence.endswith("slipway promote tiny --version 2")
    assert reconcile(served.store, "tiny") == 1


def test_a_verdict_on_another_version_calls_for_nothing(served: Workplace) -> None:
    log_hour(served, turned(1_200, 5), START)
    log_hour(served, turned(600, 6), START + HOUR)
    verdict = judge_hour(served, START)
    retrain_tiny(served, verdict.verdict_id, promote=partial(promote_through_gate, served))
    with pytest.raises(NotJustified, match="on version 3, which is in production, got one on ver"):
        retrain_tiny(served, verdict.verdict_id, now=NOW + timedelta(days=1))


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
def test_a_reason_that_means_nothing_is_refused(
    served: Workplace, because: str, error: type[PlatformError], says: str
) -> None:
    with pytest.raises(error) as refused:
        retrain_tiny(served, because)

    assert says in refused.value.what
    assert not read_retrainings(served.layout, "tiny")
