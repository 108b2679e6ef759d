"""Real models behind a real `bentoml serve`, one for all tests that only ask it."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest

from contracts.names import Layout
from registry.promote import promote
from registry.pull import pull_all
from services.auth.keys import create_key
from services.metrics import Metrics
from tests import tiny
from tests.conftest import working_in
from tests.services.http_client import ask
from tests.slipway.conftest import free_port
from training.run import train_recipe

ROOT = Path(__file__).parents[2]
BENTOFILE = 'service: "services.predictor:Predictor"\n'


@dataclass(frozen=True)
class Service:
    """A running service: where it answers, and where its state lies."""

    url: str
    layout: Layout
    process: "subprocess.Popen[bytes]"
    log: Path


@dataclass(frozen=True)
class Followed:
    """A service that follows a registry of its own, with two versions of `tiny`."""

    service: Service
    client: mlflow.MlflowClient

    def point(self, version: int) -> None:
        """What a person does in `mlflow ui`."""
        self.client.set_registered_model_alias("tiny", "production", str(version))

    def answers(self) -> dict[str, Any]:
        status, answer, _ = ask(self.service, "/models/tiny/predict")
        assert status == 200, answer
        return dict(answer)

    def answers_with(self, version: int) -> bool:
        return bool(self.answers()["version"] == version)


@pytest.fixture(scope="session")
def models(fresh_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `var/` with three promoted and pulled models."""
    root = tmp_path_factory.mktemp("models")
    shutil.copy(fresh_database, root / "mlflow.db")
    with working_in(root) as workplace:
        for recipe in (tiny.binary(), tiny.multiclass(), tiny.regression(), tiny.pair()):
            train_recipe(recipe, workplace.store)
            promote(workplace.store, recipe.name, actor="ada")
        pull_all(workplace.store, workplace.layout)
    return root / "var"


@pytest.fixture(scope="session")
def metrics() -> Metrics:
    """The metrics of this process: prometheus_client knows each name once."""
    return Metrics()


@contextmanager
def serving(folder: Path, models: Path | None, **settings: str) -> Iterator[Service]:
    """`bentoml serve` in `folder` with a copy of the models, until the block ends."""
    process, url, log = start(folder, models, **settings)
    try:
        try:
            await_ready(url, process, log)
        except AssertionError:
            # BentoML picks ports for its own processes, and another process may bind one first.
            if "Address already in use" not in log.read_text():
                raise
            process, url, log = start(folder, None, **settings)
            await_ready(url, process, log)
        yield Service(url, Layout(folder / "var"), process, log)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(30)


def start(
    folder: Path, models: Path | None, bentofile: str = BENTOFILE, **settings: str
) -> tuple["subprocess.Popen[bytes]", str, Path]:
    (folder / "bentofile.yaml").write_text(bentofile)
    if models is not None:
        shutil.copytree(models, folder / "var")
    port = free_port()
    log = folder / "serve.log"
    environ = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "bentoml", "serve", "--port", str(port)],
            cwd=folder,
            env={
                **environ,
                "PYTHONPATH": str(ROOT),
                "SLIPWAY_SERVICE_PULL": "false",
                # Idle cores are rare where tests run.
                "SLIPWAY_SERVICE_JOBS_NICENESS": "0",
                "BENTOML_HOME": str(folder / "bentoml"),
                **settings,
            },
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
        )
    return process, f"http://127.0.0.1:{port}", log


def await_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(400):
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    pytest.fail(log.read_text())


@pytest.fixture(scope="session")
def service(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("service"), models) as running:
        yield running


@dataclass(frozen=True)
class Guarded:
    """A service that requires a key, and that pages of one other origin may ask."""

    service: Service
    key: str
    origin: str


@pytest.fixture(scope="session")
def guarded(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    origin = "https://shop.example"
    _, key = create_key(folder / "keys.json", "shop", ("predict", "labels"))
    cors = (
        "services.predictor.http.cors.enabled=true "
        f"services.predictor.http.cors.access_control_allow_origins[0]={origin}"
    )
    settings = {
        "SLIPWAY_SERVICE_KEYS": "required",
        "SLIPWAY_SERVICE_KEYS_FILE": str(folder / "keys.json"),
        "BENTOML_CONFIG_OPTIONS": cors,
    }
    with serving(folder, models, **settings) as running:
        yield Guarded(running, key, origin)


@pytest.fixture(scope="session")
def registry(models: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tracking URI under which `tiny` has a second version, which answers differently."""
    folder = tmp_path_factory.mktemp("registry")
    shutil.copy(models.parent / "mlflow.db", folder / "mlflow.db")
    with working_in(folder) as workplace:
        train_recipe(tiny.binary(threshold=0.001), workplace.store)
    return f"sqlite:///{folder}/mlflow.db"


@contextmanager
def following(folder: Path, models: Path, registry: str, **settings: str) -> Iterator[Followed]:
    """A service that follows a copy of the registry."""
    copy = folder / "mlflow.db"
    shutil.copy(registry.removeprefix("sqlite:///"), copy)
    uri = f"sqlite:///{copy}"
    with serving(
        folder,
        models,
        MLFLOW_TRACKING_URI=uri,
        SLIPWAY_SERVICE_PULL="true",
        SLIPWAY_REGISTRY_POLL_S="0.3",
        **settings,
    ) as service:
        yield Followed(service, mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri))


@pytest.fixture
def followed(models: Path, registry: str, tmp_path: Path) -> Iterator[Followed]:
    with following(tmp_path, models, registry) as running:
        yield running


@dataclass(frozen=True)
class Redis:
    """A Redis of this test's own."""

    url: str
    process: "subprocess.Popen[bytes]"

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("redis-server is not installed: .ci/run does")
    port = free_port()
    command = [
        server,
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
        str(tmp_path),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield Redis(f"redis://127.0.0.1:{port}/0", process)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(30)
