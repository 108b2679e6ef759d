"""One process at a time retrains a model, and what became of a dead one is known."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from contracts.errors import InvalidData, NotJustified
from contracts.names import Layout
from monitoring.retraining.process import Trained
from monitoring.retraining.records import read_retrainings, retraining_lock
from tests.conftest import Workplace
from tests.monitoring.retraining.scenario import (
    HOUR,
    NOW,
    START,
    judge_hour,
    log_hour,
    retrain_tiny,
    train_in_process,
)
from tests.monitoring.scenarios import turned

HOLD = """
import sys, time
from contracts.names import Layout
from pathlib import Path
from monitoring.retraining.records import retraining_lock
with retraining_lock(Layout(Path(sys.argv[1])), "tiny"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_process_retrains_a_model_and_a_dead_ones_lock_is_taken_over(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(
                NotJustified, match=rf"another retraining of 'tiny' is running \(.*:{other.pid}\)"
            ),
            retraining_lock(layout, "tiny"),
        ):
            pass
        with retraining_lock(layout, "another"):
            pass
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    with retraining_lock(layout, "tiny"):
        pass


def test_a_training_process_keeps_the_lock_of_a_starter_that_was_killed(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with retraining_lock(layout, "tiny") as lock:
        command = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=(lock,))
        assert child.stdout is not None
        child.stdout.readline()
    with child:
        with pytest.raises(NotJustified), retraining_lock(layout, "tiny"):
            pass
        child.kill()
    with retraining_lock(layout, "tiny"):
        pass


def test_a_retraining_whose_process_died_is_called_abandoned_and_counts(served: Workplace) -> None:
    log_hour(served, turned(1_200, 5), START)
    log_hour(served, turned(600, 6), START + HOUR)
    verdict = judge_hour(served, START)

    def killed(*_: object) -> Trained:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retrain_tiny(served, verdict.verdict_id, train=killed)
    (before,) = read_retrainings(served.layout, "tiny")
    with pytest.raises(NotJustified, match="the next is allowed from"):
        retrain_tiny(served, verdict.verdict_id, now=NOW + timedelta(seconds=9))
    (after,) = read_retrainings(served.layout, "tiny")

    assert (before.state, after.state) == ("started", "abandoned")


def test_a_version_that_came_of_it_all_the_same_is_named(served: Workplace) -> None:
    """Its starter was killed while the training process went on and registered a version."""
    log_hour(served, turned(1_200, 5), START)

    def killed(request: Path, timeout_s: float, lock: int) -> Trained:
        train_in_process(served, request, timeout_s, lock)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retrain_tiny(served, "the world turned", train=killed)
    with pytest.raises(InvalidData):
        retrain_tiny(served, "")
    (after,) = read_retrainings(served.layout, "tiny")

    assert (after.state, after.version) == ("trained", 2)
    assert after.sentence.endswith("slipway promote tiny --version 2")
    assert after.run_id == served.store.versions.get("tiny", 2).run_id
