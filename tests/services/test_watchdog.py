"""A worker in which a model call stands still is replaced by another."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.serving.repository import ModelRepository
from services.serving.watchdog import (
    PATIENCE,
    models_without_process,
    standing_models,
    start_watchdog,
)
from tests.services.conftest import ROOT, Service, await_ready, start
from tests.services.http_client import ask, changed

STANDING = '''
"""The service, in which ONNX Runtime never returns for one age."""

import time

from services.onnx_session import Session

run = Session.run


def stand(self, matrix):
    if (matrix == 88).any():
        time.sleep(3600)
    return run(self, matrix)


Session.run = stand

from services.predictor import Predictor
'''


def repository(**running_since: float | None) -> ModelRepository:
    versions = {
        (name, "production"): SimpleNamespace(running_since=since)
        for name, since in running_since.items()
    }
    return cast("ModelRepository", SimpleNamespace(versions=versions))


def test_only_models_whose_call_runs_for_too_long_stand_still() -> None:
    now = time.monotonic()

    assert standing_models(repository(idle=None, busy=now - 1, stuck=now - 9), 5.0) == ["stuck"]


def test_a_model_lacks_processes_if_any_of_its_versions_does() -> None:
    def endpoint(n_alive: int | None) -> Any:
        pool = None if n_alive is None else SimpleNamespace(n_alive=n_alive)
        return SimpleNamespace(served=SimpleNamespace(pool=pool))

    versions = {
        ("a", "production"): endpoint(0),
        ("a", "challenger"): endpoint(1),
        ("b", "production"): endpoint(1),
        ("b", "challenger"): endpoint(0),
        ("c", "production"): endpoint(1),
        ("c", "challenger"): endpoint(None),
    }
    held = cast("ModelRepository", SimpleNamespace(versions=versions))

    assert models_without_process(held) == ["a", "b"]


def test_the_watchdog_gives_up_after_some_deadlines_and_not_before() -> None:
    ended: list[int] = []
    deadline_s = 0.2
    started = time.monotonic()
    start_watchdog(repository(stuck=started), deadline_s, ended.append)
    while not ended:
        assert time.monotonic() < started + 30
        time.sleep(0.01)

    assert time.monotonic() - started > PATIENCE * deadline_s


@pytest.mark.slow
def test_a_worker_that_stands_still_is_replaced(models: Path, tmp_path: Path) -> None:
    (tmp_path / "standing.py").write_text(STANDING)
    process, url, log = start(
        tmp_path,
        models,
        bentofile='service: "standing:Predictor"\n',
        PYTHONPATH=f"{ROOT}:{tmp_path}",
        SLIPWAY_SERVICE_DEADLINE_S="1",
    )
    try:
        await_ready(url, process, log)
        service = Service(url, cast("Any", None), process, log)
        with pytest.raises(OSError):  # noqa: PT011 - reset or closed, as it happens
            ask(service, "/models/tiny/predict", changed(age=88))
        await_ready(url, process, log)
        status, _, _ = ask(service, "/models/tiny/predict")
    finally:
        process.terminate()
        process.wait(30)

    assert status == 200
    assert "tiny: a model call stands still for more than 2 s" in log.read_text()
