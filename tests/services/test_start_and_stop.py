"""What happens when a worker dies, when the service stops, and when it cannot start."""

import http.client
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import msgspec
import pytest

from contracts.traffic import TrafficRecord
from tests.services.conftest import Service, serving, start
from tests.services.http_client import ask, eventually, metric

pytestmark = pytest.mark.slow
LOAD_FAILED = 'slipway_model_load_failed{model="tiny",variant="production",version="1"}'


def records(service: Service, name: str = "tiny") -> tuple[set[str], int]:
    """Prediction ids in the log, and lines that are no record."""
    ids, torn = set(), 0
    for path in service.layout.traffic(name).glob("*/*.jsonl"):
        for line in path.read_bytes().split(b"\n"):
            if not line:
                continue
            try:
                ids.add(msgspec.json.decode(line, type=TrafficRecord).prediction_id)
            except msgspec.DecodeError:
                torn += 1
    return ids, torn


def two_workers_of(service: Service) -> list[int]:
    """The workers, once a killed one is replaced."""
    for _ in range(200):
        if len(workers_of(service)) == 2:
            return workers_of(service)
        time.sleep(0.1)
    pytest.fail("a killed worker was not replaced")


def workers_of(service: Service) -> list[int]:
    listed = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text()
    lines = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in listed.split()}
    return [pid for pid, line in lines.items() if b"worker" in line]


def test_a_killed_worker_loses_no_acknowledged_prediction(models: Path, tmp_path: Path) -> None:
    acknowledged: set[str] = set()
    stop = threading.Event()

    def client(service: Service) -> None:
        while not stop.is_set():
            try:
                status, answer, _ = ask(service, "/models/tiny/predict")
            except (OSError, http.client.HTTPException):
                continue
            if status == 200:
                acknowledged.add(answer["prediction_id"])

    with serving(tmp_path, models, SLIPWAY_SERVICE_WORKERS="2") as service:
        threads = [threading.Thread(target=client, args=(service,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            time.sleep(1.5)
            os.kill(two_workers_of(service)[0], signal.SIGKILL)
        two_workers_of(service)
        stop.set()
        for thread in threads:
            thread.join()
        logged, torn = records(service)

    assert len(acknowledged) > 500
    assert acknowledged <= logged
    assert torn <= 3


def test_a_stop_is_graceful(models: Path, tmp_path: Path) -> None:
    with serving(tmp_path, models) as service:
        answer = ask(service, "/models/tiny/predict")[1]
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(30) == 0
        assert answer["prediction_id"] in records(service)[0]


def refusal(folder: Path, models: Path | None, **settings: str) -> tuple[int, str]:
    process, _, log = start(folder, models, **settings)
    return process.wait(60), log.read_text()


def test_without_a_model_the_start_says_what_to_do(tmp_path: Path) -> None:
    code, log = refusal(tmp_path, None)

    assert code == 4
    assert "expected the pointer of a model, got none" in log
    assert "help: slipway train --all" in log
    assert "Traceback" not in log


def test_the_pull_reports_that_nothing_is_in_production(tmp_path: Path) -> None:
    code, log = refusal(tmp_path, None, SLIPWAY_SERVICE_PULL="true")

    assert code != 0
    assert "expected a model with the alias 'production', got none" in log
    assert "Traceback" not in log


def test_an_unreachable_registry_serves_what_was_pulled(models: Path, tmp_path: Path) -> None:
    with serving(
        tmp_path, models, SLIPWAY_SERVICE_PULL="true", MLFLOW_TRACKING_URI="http://127.0.0.1:9"
    ) as service:
        assert ask(service, "/models/tiny/predict")[0] == 200
        assert "serving the models that were pulled before" in service.log.read_text()


def damage(var: Path, name: str) -> None:
    path = var / "models" / name / "1" / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"x")


def test_models_that_cannot_be_loaded_are_reported_and_keep_no_other_from_serving(
    models: Path, tmp_path: Path
) -> None:
    """One is damaged, one has a pointer that cannot be read; a repair needs no restart."""
    var = tmp_path / "var"
    shutil.copytree(models, var)
    damage(var, "tiny")
    pointer = var / "models/tinyvalue/production.json"
    pointer_text = pointer.read_bytes()
    pointer.write_text("nonsense")
    with serving(tmp_path, None, SLIPWAY_SERVICE_FOLLOW="on") as service:
        assert ask(service, "/models/tiny3/predict")[0] == 200
        status, answer, _ = ask(service, "/models/tiny/predict")
        assert (status, answer["error"]["code"]) == (404, "unknown_model")
        assert "GET /models says why it is not served" in answer["error"]["message"]
        listed = ask(service, "/models", None, "GET")[1]
        assert {model["name"] for model in listed["models"]} == {"tiny3", "tinypair"}
        refused = {each["name"]: each for each in listed["refused"]}
        assert refused.keys() == {"tiny", "tinyvalue"}
        assert "model.onnx: expected sha256" in refused["tiny"]["reason"]
        assert "expected a pointer document" in refused["tinyvalue"]["reason"]
        assert metric(service, LOAD_FAILED) == 1
        log = service.log.read_text()
        assert "refused tiny version 1: " in log
        assert "refused tinyvalue: " in log

        pointer.write_bytes(pointer_text)
        shutil.rmtree(var / "models/tiny/1")
        shutil.copytree(models / "models/tiny/1", var / "models/tiny/1")
        eventually(lambda: ask(service, "/models/tiny/predict")[0] == 200, service.log)
        eventually(lambda: ask(service, "/models/tinyvalue/predict")[0] == 200, service.log)
        assert ask(service, "/models", None, "GET")[1]["refused"] == []
        assert metric(service, LOAD_FAILED) == 0


def test_if_no_model_can_be_served_the_start_fails_with_every_reason(
    models: Path, tmp_path: Path
) -> None:
    var = tmp_path / "var"
    shutil.copytree(models, var)
    for name in ("tiny", "tiny3", "tinypair"):
        damage(var, name)
    (var / "models/tinyvalue/production.json").write_text("nonsense")
    code, log = refusal(tmp_path, None)

    assert code == 6
    assert "expected a model that can be served, got none" in log
    for name in ("tiny", "tiny3", "tinypair"):
        assert f"{name} version 1: " in log
    assert "tinyvalue/production.json: expected a pointer document" in log
    assert "Traceback" not in log


def test_a_var_that_cannot_be_written_stops_the_start(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models, tmp_path / "var")
    (tmp_path / "var/traffic").write_text("a file where a folder should be")
    code, log = refusal(tmp_path, None)

    assert code != 0
    assert "expected a folder to write traffic to" in log
    assert "Traceback" not in log


def test_a_misspelt_setting_stops_the_start(models: Path, tmp_path: Path) -> None:
    code, log = refusal(tmp_path, models, SLIPWAY_SERVICE_WORKER="2")

    assert code != 0
    assert "did you mean SLIPWAY_SERVICE_WORKERS?" in log


def test_workers_end_when_bentoml_serve_was_killed(models: Path, tmp_path: Path) -> None:
    with serving(tmp_path, models, SLIPWAY_SERVICE_WORKERS="2") as service:
        workers = two_workers_of(service)
        service.process.kill()
        service.process.wait(30)
        for _ in range(900):
            left = [pid for pid in workers if is_alive(pid)]
            if not left:
                break
            time.sleep(0.1)
        assert left == []


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended may wait to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
