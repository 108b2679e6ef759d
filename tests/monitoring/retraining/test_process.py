"""Training that fails in its process is reported and recorded."""

from datetime import timedelta

import pytest

from contracts.errors import PlatformError
from monitoring.retraining.process import run_training
from monitoring.retraining.records import read_retrainings
from tests.conftest import Workplace
from tests.monitoring.retraining.scenario import NOW, START, log_hour, retrain_tiny
from tests.monitoring.scenarios import turned


def test_training_that_fails_is_reported_with_its_error_and_recorded(served: Workplace) -> None:
    """The real process, which knows no recipe of this name."""
    log_hour(served, turned(1_200, 5), START)
    with pytest.raises(PlatformError, match=r"exit code 1: recipe: expected one of"):
        retrain_tiny(served, "the world turned", train=run_training)
    (done,) = read_retrainings(served.layout, "tiny")

    assert done.state == "failed"
    with pytest.raises(PlatformError, match=r"did not end within 0\.01 s"):
        retrain_tiny(
            served,
            "the world turned",
            now=NOW + timedelta(days=1),
            train=lambda request, _, lock: run_training(request, 0.01, lock),
        )
