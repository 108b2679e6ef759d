"""Scoring processes answer like the fitted pipeline, and are replaced when they fail to answer."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from contracts.errors import CorruptModel
from contracts.scoring import LoadModel
from services.faults import ModelUnavailable
from services.scoring_process.pool import ScoringPool
from services.scoring_process.process import ModelFailed, ScoringLimits
from tests import tiny
from tests.own_code import DIES, FAILS, HANGS, LEAKS, TRAPS, own_code
from training.dataset import plain_rows, split
from training.pipeline import fitted_pipeline, scores_of
from training.sklearn_form import load_of, sklearn_form

pytestmark = pytest.mark.slow
MB = 1024**2
LIMITS = ScoringLimits(deadline_s=4.0, growth_bytes=150 * MB)


def trapped() -> Any:
    from training.features.trap import trap  # type: ignore[import-not-found]  # made by the fixture

    return make_pipeline(FunctionTransformer(trap), tiny.linear())


@pytest.fixture(scope="module")
def recipe() -> Any:
    return tiny.binary(estimator=trapped)


@pytest.fixture(scope="module")
def fitted(recipe: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    table = tiny.people(1200)
    table = table[~table.age.isin([FAILS, DIES, HANGS, LEAKS])]
    with own_code(tmp_path_factory.mktemp("code"), trap=TRAPS):
        parts = split(recipe, table.reset_index(drop=True), 0)
        yield fitted_pipeline(recipe, parts.train, parts.train_target, 0), parts.holdout


@pytest.fixture(scope="module")
def load(recipe: Any, fitted: Any, tmp_path_factory: pytest.TempPathFactory) -> LoadModel:
    folder = tmp_path_factory.mktemp("model")
    form = sklearn_form(fitted[0], recipe)
    for name, data in form.files.items():
        (folder / name).write_bytes(data)
    return load_of(form, recipe, folder)


@pytest.fixture(scope="module")
def pool(load: LoadModel) -> Iterator[ScoringPool]:
    pool = ScoringPool("trapped", load, LIMITS)
    yield pool
    pool.close()


def row(**features: Any) -> bytes:
    return json.dumps(tiny.GOOD | features).encode()


def pid_of(pool: ScoringPool) -> int:
    (process,) = pool._alive
    return process.pid


def scored_again(pool: ScoringPool) -> Any:
    """The scores of a good row, as soon as a new process is there."""
    until = time.monotonic() + 60
    while True:
        try:
            return pool.run([row()])
        except ModelUnavailable:
            assert time.monotonic() < until


def test_scores_are_those_of_the_fitted_pipeline_to_the_bit(
    pool: ScoringPool, fitted: Any, recipe: Any
) -> None:
    pipeline, holdout = fitted
    rows = plain_rows(holdout, recipe.schema)
    scores = pool.run([msgspec.json.encode(each) for each in rows])

    assert len(rows) > 200
    np.testing.assert_array_equal(scores, scores_of(pipeline, holdout, recipe))


def test_an_error_of_the_model_is_its_answer_and_the_process_lives_on(pool: ScoringPool) -> None:
    before = pid_of(pool)
    with pytest.raises(ModelFailed, match="RuntimeError: expected another age"):
        pool.run([row(), row(age=FAILS)])

    assert pool.run([row()]).shape == (1, 2)
    assert pid_of(pool) == before


def test_a_process_that_is_killed_is_replaced(pool: ScoringPool) -> None:
    expected, before = pool.run([row()]), pid_of(pool)
    os.kill(before, signal.SIGKILL)
    with pytest.raises(ModelUnavailable, match="it ended") as caught:
        pool.run([row()])

    assert caught.value.may_retry
    np.testing.assert_array_equal(scored_again(pool), expected)
    assert pid_of(pool) != before
    assert pool.ends["died"] == 1


def test_a_model_that_sleeps_for_ever_is_ended_at_the_deadline(pool: ScoringPool) -> None:
    scored_again(pool)
    before, began = pid_of(pool), time.monotonic()
    with pytest.raises(ModelUnavailable, match="within the deadline") as caught:
        pool.run([row(age=HANGS)])

    assert 4 <= time.monotonic() - began < 20
    assert not caught.value.may_retry
    assert has_ended(before)
    assert scored_again(pool).shape == (1, 2)


def test_a_model_that_leaks_is_replaced(pool: ScoringPool) -> None:
    scored_again(pool)
    before = pid_of(pool)
    assert pool.run([row(age=LEAKS)]).shape == (1, 2)
    until = time.monotonic() + 60
    while not has_ended(before):
        assert pool.run([row()]).shape == (1, 2), "the old process answers until there is another"
        assert time.monotonic() < until
        time.sleep(0.05)

    assert pool.ends["memory"] == 1


def test_several_processes_score_at_the_same_time_and_end_with_their_pool(load: LoadModel) -> None:
    pool = ScoringPool("trapped", load, replace(LIMITS, n_processes=2, deadline_s=60.0))
    pids = [process.pid for process in pool._alive]
    hanging = threading.Thread(target=lambda: _ignore(pool, row(age=HANGS)))
    hanging.start()
    answers = [pool.run([row()]).shape for _ in range(5)]

    assert hanging.is_alive()
    assert answers == [(1, 2)] * 5
    pool.close()
    hanging.join(30)
    assert all(map(has_ended, pids))


def _ignore(pool: ScoringPool, body: bytes) -> None:
    with pytest.raises(ModelUnavailable):
        pool.run([body])


def has_ended(pid: int) -> bool:
    """Whether a process has ended, if its parent has asked for its exit code or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


WORKER = """
import os, sys, threading, time, msgspec
from contracts.scoring import LoadModel
from services.scoring_process.pool import ScoringPool
from services.scoring_process.process import ScoringLimits

load = msgspec.json.decode(sys.argv[1], type=LoadModel)
pool = ScoringPool("trapped", load, ScoringLimits(deadline_s=60.0))
threading.Thread(target=pool.run, args=([sys.argv[2].encode()],), daemon=True).start()
time.sleep(0.5)
print(*(process.pid for process in pool._alive), flush=True)
time.sleep(60)
"""


def test_a_process_ends_with_its_worker_even_while_the_model_hangs(load: LoadModel) -> None:
    arguments = [msgspec.json.encode(load).decode(), row(age=HANGS).decode()]
    command = [sys.executable, "-c", WORKER, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        pid = int(worker.stdout.readline())
        worker.kill()
    until = time.monotonic() + 20
    while not has_ended(pid):
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda d: (d / "pipeline.skops").unlink(), "pipeline.skops: expected a file, got No such"),
        (lambda d: (d / "pipeline.skops").write_bytes(b"x"), "pipeline.skops: expected sha256"),
        (lambda d: (d / "features.trap.py").write_text("x = 1"), "trap.py: expected sha256"),
    ],
)
def test_a_damaged_model_is_not_loaded(
    load: LoadModel, tmp_path: Path, damage: Callable[[Path], object], reason: str
) -> None:
    for name in load.files:
        (tmp_path / name).write_bytes(Path(load.directory, name).read_bytes())
    damage(tmp_path)
    with pytest.raises(CorruptModel, match=reason):
        ScoringPool("damaged", msgspec.structs.replace(load, directory=str(tmp_path)), LIMITS)


def test_a_library_that_is_missing_is_named_with_the_remedy(load: LoadModel) -> None:
    needy = msgspec.structs.replace(load, requirements={"scikit-learn-nova": "9.9"})
    with pytest.raises(CorruptModel, match=r"scikit-learn-nova 9\.9.*got nothing") as caught:
        ScoringPool("needy", needy, LIMITS)

    assert "requirements/serving-sklearn.txt" in str(caught.value)


def test_a_type_that_nobody_trusts_is_not_loaded(
    load: LoadModel, tmp_path: Path, fitted: Any
) -> None:
    """Its own code is not named in the manifest."""
    (tmp_path / "pipeline.skops").write_bytes(Path(load.directory, "pipeline.skops").read_bytes())
    files = {"pipeline.skops": load.files["pipeline.skops"]}
    foreign = msgspec.structs.replace(load, directory=str(tmp_path), files=files)
    del fitted
    with pytest.raises(
        CorruptModel, match=r"types that Slipway trusts, got training\.features\.tr"
    ):
        ScoringPool("foreign", foreign, LIMITS)
