"""Services under one BENTOML_HOME keep their metrics apart."""

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from services.bento import metrics_folder
from services.bento.metrics_folder import remove_gauges_of_dead_workers
from services.bento.metrics_page import prepare_metrics_page, without_ended_series
from tests.services.conftest import serving
from tests.services.http_client import GOOD, ask, eventually, metric

PREDICTIONS = 'slipway_requests_total{model="tiny",status="200"}'


def test_a_new_worker_removes_the_gauges_of_dead_ones(tmp_path: Path) -> None:
    dead = gone_process()
    kept = [f"counter_{dead}.db", f"histogram_{dead}.db", f"gauge_livemax_{os.getpid()}.db"]
    for name in (*kept, f"gauge_livemax_{dead}.db", f"gauge_livesum_{dead}.db"):
        (tmp_path / name).touch()
    remove_gauges_of_dead_workers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(kept)


def gone_process() -> str:
    code = "import os; print(os.getpid())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.slow
def test_a_worker_that_is_killed_leaves_no_version_in_the_metrics(
    models: Path, tmp_path: Path
) -> None:
    """One version is served afterwards, and only by the process that lives."""
    with serving(tmp_path, models) as service:
        folder = next((tmp_path / "bentoml/prometheus_multiproc_dir").iterdir())
        (before,) = workers_with_gauges(folder)
        os.kill(before, signal.SIGKILL)
        eventually(lambda: workers_with_gauges(folder) not in ([before], []), service.log)
        assert before not in workers_with_gauges(folder)


def workers_with_gauges(folder: Path) -> list[int]:
    return [int(path.stem.rpartition("_")[2]) for path in folder.glob("gauge_livemax_*.db")]


@pytest.mark.slow
def test_a_service_that_starts_leaves_the_metrics_of_others(models: Path, tmp_path: Path) -> None:
    dead = gone_process()
    left = tmp_path / "bentoml/prometheus_multiproc_dir" / dead / "counter_1.db"
    left.parent.mkdir(parents=True)
    left.touch()
    home = {"BENTOML_HOME": str(tmp_path / "bentoml")}
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    with serving(tmp_path / "one", models, **home) as one:
        assert not left.parent.exists()
        ask(one, "/models/tiny/predict", GOOD)
        with serving(tmp_path / "other", models, **home) as other:
            for _ in range(2):
                ask(other, "/models/tiny/predict", GOOD)
            ask(one, "/models/tiny/predict", GOOD)
            assert metric(one, PREDICTIONS) == 2
            assert metric(other, PREDICTIONS) == 2


def test_series_that_ended_are_not_on_the_page() -> None:
    kept = [
        b"# HELP slipway_model_info 1 for each version that is served",
        b'slipway_model_info{model="loan",version="2"} 1.0',
        b'slipway_queue_rows{model="loan",variant="production"} 0.0',
        b'slipway_requests_total{model="} 0.0",status="200"} 7.0',
    ]
    ended = [
        b'slipway_model_info{model="loan",version="1"} 0.0',
        b'slipway_model_load_failed{model="loan",variant="production",version="1"} 0.0',
        b'slipway_refused_versions{model="loan"} 0.0',
    ]
    page = b"".join(line + b"\n" for line in kept + ended)
    assert without_ended_series(page) == b"".join(line + b"\n" for line in kept)


def test_without_bentomls_metrics_ended_series_stay(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, CONTAINERS, None)
    with caplog.at_level(logging.WARNING, logger="bentoml.slipway"):
        prepare_metrics_page(bytes)
    assert ["ended series stay" in r.message for r in caplog.records] == [True]


CONTAINERS = "bentoml._internal.configuration.containers"


@pytest.mark.parametrize("container", [None, object()], ids=["no module", "another container"])
def test_without_bentomls_container_the_shared_folder_is_used(
    container: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What happens when BentoML moves or changes its container: one warning, no error."""
    if container is None:
        monkeypatch.setitem(sys.modules, CONTAINERS, None)
    else:
        monkeypatch.setattr(metrics_folder, "_container", lambda: container)
    with caplog.at_level(logging.WARNING, logger="bentoml.slipway"):
        metrics_folder.use_own_metrics_folder()
        metrics_folder.remove_dead_metrics_folders()

    assert ["BentoML's container has moved" in r.message for r in caplog.records] == [True]
