"""A run that is killed and started again: everything is there, and nothing twice.

`python -m benchmarks.batch.kills` does it twenty times at random moments.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import tiny
from tests.services.batch.scoring import predictions, score

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
FILES = 9
ROWS = 4000
KILLS = 3


def test_a_killed_run_goes_on_and_ends_with_the_same_output(models: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for i in range(FILES):
        people = tiny.people(ROWS, seed=i).drop(columns=["paid", "value"])
        people.to_csv(tmp_path / "in" / f"{i}.csv", index=False)
    out = tmp_path / "out"
    for n_finished in range(1, KILLS + 1):
        kill_after(n_finished, models, tmp_path)
        assert not (out / "predictions" / f"{FILES - 1}.csv.parquet").exists()
    score(models, "tiny", tmp_path / "in", out)
    score(models, "tiny", tmp_path / "in", tmp_path / "whole")

    found = predictions(out)
    assert found.equals(predictions(tmp_path / "whole"))
    assert len(set(found["prediction_id"].to_pylist())) == FILES * ROWS
    assert not list(out.rglob(".incoming*"))


def kill_after(n_finished: int, models: Path, folder: Path) -> None:
    """Start the run, and kill it as soon as another file is finished."""
    command = [sys.executable, "-m", "tests.services.batch.score_program"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [*command, str(models), "tiny", str(folder / "in"), str(folder / "out")],
        cwd=ROOT,
        env=environ,
    ) as process:
        until = time.monotonic() + 120
        while len(list((folder / "out").glob("files/*.json"))) < n_finished:
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
