"""A service follows Production: by alias, under load, and never to a version that is broken."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import msgspec
import pytest

from contracts.names import Layout
from contracts.schema import number
from registry.promote import promote
from registry.settings import RegistrySettings
from registry.store import Store
from tests import tiny
from tests.conftest import working_in
from tests.registry.test_http import Server, wait_for
from tests.services.conftest import Followed, serving
from tests.services.http_client import GOOD, ask, eventually
from tests.slipway.conftest import free_port
from training.run import train_recipe

pytestmark = pytest.mark.slow


def test_an_alias_that_moves_is_followed_under_load_without_a_failure(followed: Followed) -> None:
    log = followed.service.log
    one = followed.answers()["prediction"]
    seen: list[tuple[int, str]] = []
    failures: list[Any] = []
    stop = threading.Event()

    def client() -> None:
        while not stop.is_set():
            try:
                answer = followed.answers()
            except (AssertionError, OSError) as err:
                failures.append(err)
                return
            seen.append((answer["version"], answer["prediction"]))

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    for version in (2, 1, 2, 1, 2):
        followed.point(version)
        eventually(partial(followed.answers_with, version), log)
    stop.set()
    for thread in threads:
        thread.join()
    two = followed.answers()["prediction"]

    assert not failures
    assert {version for version, _ in seen} == {1, 2}
    assert (one, two) == ("no", "yes")
    # No answer has the number of one version and the prediction of the other.
    assert set(seen) == {(1, one), (2, two)}
    assert ask(followed.service, "/models/tiny", None, "GET")[1]["version"] == 2
    assert ask(followed.service, "/v2/models/tiny/versions/2", None, "GET")[0] == 200
    assert ask(followed.service, "/v2/models/tiny/versions/1", None, "GET")[0] == 404
    metrics = ask(followed.service, "/metrics", None, "GET")[1]
    info = [line for line in metrics.splitlines() if line.startswith("slipway_model_info{")]
    (line,) = [line for line in info if 'model="tiny"' in line]
    assert 'version="2"' in line, "a version that is no longer served is not listed"


def test_the_documents_follow_a_promotion_without_a_restart(
    followed: Followed, tmp_path: Path
) -> None:
    """A version with another description and range: the docs page and clients see it."""
    schema = msgspec.structs.replace(
        tiny.SCHEMA,
        features=tuple(
            number("age", 18, 120, unit="years") if feature.name == "age" else feature
            for feature in tiny.SCHEMA.features
        ),
    )
    with working_in(tmp_path) as workplace:
        recipe = tiny.binary(schema=schema, description="Pays the loan back")
        version = int(train_recipe(recipe, workplace.store).version)

    def documents() -> tuple[str, list[float]]:
        _, openapi, _ = ask(followed.service, "/docs.json", None, "GET")
        _, client, _ = ask(followed.service, "/schema.json", None, "GET")
        routes = {route["route"]: route["input"]["properties"] for route in client["routes"]}
        age = openapi["components"]["schemas"]["TinyRow"]["properties"]["age"]
        limits = [age["maximum"], routes["/models/tiny/predict"]["age"]["maximum"]]
        return openapi["info"]["description"], limits

    description, limits = documents()
    assert "| tiny | 1 |" in description
    assert limits == [100, 100]
    followed.point(version)
    eventually(partial(followed.answers_with, version), followed.service.log)
    description, limits = documents()
    assert f"| tiny | {version} | Pays the loan back |" in description
    assert limits == [120, 120]
    assert ask(followed.service, "/", None, "GET")[0] == 200


def test_a_registry_that_hangs_is_not_felt_and_its_return_is_noticed(
    models: Path, registry: str, tmp_path: Path
) -> None:
    copy = tmp_path / "server.db"
    shutil.copy(registry.removeprefix("sqlite:///"), copy)
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{copy}", "--no-serve-artifacts"]
    with (tmp_path / "server.log").open("wb") as sink:
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=sink, stderr=sink, start_new_session=True
        )
    server = Server(tmp_path, f"http://127.0.0.1:{port}", process)
    settings = {
        "MLFLOW_TRACKING_URI": server.uri,
        "SLIPWAY_SERVICE_PULL": "true",
        "SLIPWAY_REGISTRY_POLL_S": "0.3",
        "SLIPWAY_REGISTRY_TIMEOUT_S": "4",
    }
    try:
        wait_for(server)
        client = mlflow.MlflowClient(tracking_uri=server.uri, registry_uri=server.uri)
        with serving(tmp_path, models, **settings) as service:
            followed = Followed(service, client)
            client.set_registered_model_alias("tiny", "production", "2")
            eventually(partial(followed.answers_with, 2), service.log)
            server.signal(signal.SIGSTOP)
            eventually(lambda: "serving goes on" in service.log.read_text(), service.log)
            assert followed.answers_with(2)
            server.signal(signal.SIGCONT)
            client.set_registered_model_alias("tiny", "production", "1")
            eventually(partial(followed.answers_with, 1), service.log)
            eventually(lambda: "answers again" in service.log.read_text(), service.log)
    finally:
        server.signal(signal.SIGKILL)
        process.wait()


def test_the_follower_ends_with_the_service(models: Path, registry: str, tmp_path: Path) -> None:
    copy = tmp_path / "mlflow.db"
    shutil.copy(registry.removeprefix("sqlite:///"), copy)
    settings = {"MLFLOW_TRACKING_URI": f"sqlite:///{copy}", "SLIPWAY_SERVICE_PULL": "true"}
    with serving(tmp_path, models, **settings) as service:
        assert followers_of(tmp_path)
        assert ask(service, "/models/tiny/predict", GOOD)[0] == 200
    eventually(lambda: not followers_of(tmp_path), service.log)


def test_a_killed_follower_starts_again(followed: Followed) -> None:
    folder = followed.service.log.parent
    (killed,) = followers_of(folder)
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: followers_of(folder) not in ([], [killed]), followed.service.log)
    target = 3 - followed.answers()["version"]
    followed.point(target)
    eventually(partial(followed.answers_with, target), followed.service.log, seconds=120)
    heartbeat = followed.service.layout.metrics / "slipway-follow.prom"
    assert time.time() - float(heartbeat.read_text().split()[-1]) < 60


def followers_of(folder: Path) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            line, cwd = (path / "cmdline").read_bytes(), (path / "cwd").readlink()
        except OSError:
            continue
        if b"registry\0follow" in line and cwd == folder:
            found.append(int(path.name))
    return found


def test_the_status_shows_where_each_model_stands(
    models: Path, registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from slipway.model_state import served_versions, states

    copy = tmp_path / "mlflow.db"
    shutil.copy(registry.removeprefix("sqlite:///"), copy)
    with serving(tmp_path, models) as service:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{copy}")
        store = Store.open(RegistrySettings(var=tmp_path / "var"))
        promote(store, "tiny", 2, actor="ada", force=True, because="to see both")
        found = {
            s.name: s
            for s in states(store, Layout(tmp_path / "var"), served_versions(service.url) or {})
        }

    assert (found["tiny"].production, found["tiny"].pointed, found["tiny"].answers) == (
        "2",
        "1",
        "1",
    )
    assert found["tiny3"].answers == "1"
