"""Train, promote and pull against a real `mlflow server`: registry and artifacts over HTTP."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from contracts.errors import CorruptModel, RegistryUnreachable
from contracts.names import Layout
from registry.doctor import examine
from registry.history import history
from registry.listing import list_versions
from registry.model_directory import verify
from registry.promote import promote
from registry.pull import pull_all
from registry.settings import RegistrySettings
from registry.store import Store
from tests import tiny
from training.run import train_recipe

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Server:
    """A tracking server, its folder, and the session of processes that it is."""

    folder: Path
    uri: str
    process: subprocess.Popen[bytes]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it and its workers; nobody else is in its session."""
        os.killpg(self.process.pid, number)


@pytest.fixture
def server(fresh_database: Path, tmp_path: Path) -> Iterator[Server]:
    database = tmp_path / "server.db"
    database.write_bytes(fresh_database.read_bytes())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    words += ["--backend-store-uri", f"sqlite:///{database}", "--workers", "1"]
    words += ["--artifacts-destination", str(tmp_path / "artifacts")]
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(
            words, cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    started = Server(tmp_path, f"http://127.0.0.1:{port}", process)
    try:
        wait_for(started)
        yield started
    finally:
        if process.poll() is None:
            started.signal(signal.SIGKILL)
        process.wait()


def wait_for(server: Server) -> None:
    give_up = time.monotonic() + 90
    while time.monotonic() < give_up and server.process.poll() is None:
        try:
            with urllib.request.urlopen(f"{server.uri}/health", timeout=2):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.2)
    pytest.fail((server.folder / "server.log").read_text())


@pytest.fixture
def store(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for variable in ("MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"):
        # Set first, so that what the store sets is taken back after the test.
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    return Store.open(RegistrySettings(timeout_s=4))


def test_the_whole_path_works_over_http_and_a_dead_server_is_reported_in_time(
    server: Server, store: Store
) -> None:
    layout = Layout(Path("var"))
    trained = train_recipe(tiny.binary(), store)
    promoted = promote(store, "tiny", actor="ada", because="first")
    pulled = pull_all(store, layout).pulled

    assert promoted.to_version == trained.version == 1
    assert [(p.name, p.version, p.digest) for p in pulled] == [("tiny", 1, trained.digest)]
    assert verify(layout.model("tiny", 1), trained.digest).run_id == trained.run_id
    assert [(v.version, v.is_production, v.stage) for v in list_versions(store)] == [
        (1, True, "Production")
    ]
    assert [(e.kind, e.who, e.why) for e in history(store, "tiny")] == [
        ("promoted", "ada", "first")
    ]
    assert examine(store, layout) == []
    assert not Path("mlruns").exists()

    an_artifact_is_cut_and_another_is_gone(server, store)
    a_silent_server_is_given_up_in_time(server, store)
    a_dead_server_is_given_up_at_once(server, store)
    assert layout.pointer("tiny").is_file()


def an_artifact_is_cut_and_another_is_gone(server: Server, store: Store) -> None:
    elsewhere = Layout(Path("elsewhere"))
    model = next((server.folder / "artifacts").rglob("model_directory")) / "model.onnx"
    whole = model.read_bytes()
    for breakage, reason in ((whole[:-1], "expected sha256"), (None, "got nothing")):
        model.unlink()
        if breakage is not None:
            model.write_bytes(breakage)
        with pytest.raises(CorruptModel, match=rf"model\.onnx: .*{reason}"):
            pull_all(store, elsewhere)
    model.write_bytes(whole)
    directory = model.parent.rename(model.parent.with_name("away"))
    with pytest.raises(CorruptModel, match="expected the artifact model_directory"):
        pull_all(store, elsewhere)
    assert "slipway.refused" in store.versions.get("tiny", 1).tags

    directory.rename(model.parent)
    assert pull_all(store, elsewhere).refused == ()
    assert "slipway.refused" not in store.versions.get("tiny", 1).tags


def a_silent_server_is_given_up_in_time(server: Server, store: Store) -> None:
    server.signal(signal.SIGSTOP)
    try:
        begin = time.monotonic()
        with pytest.raises(RegistryUnreachable, match="expected an answer from http"):
            pull_all(store, Layout(Path("var")))
        assert time.monotonic() - begin < 4 + 2
    finally:
        server.signal(signal.SIGCONT)
    assert len(list_versions(store)) == 1


def a_dead_server_is_given_up_at_once(server: Server, store: Store) -> None:
    server.signal(signal.SIGKILL)
    server.process.wait()
    begin = time.monotonic()
    with pytest.raises(RegistryUnreachable, match="expected an answer from http"):
        list_versions(store)
    with pytest.raises(RegistryUnreachable, match="expected an answer from http"):
        pull_all(store, Layout(Path("var")))
    with pytest.raises(RegistryUnreachable, match="Connection refused"):
        Store.open(RegistrySettings(timeout_s=4))

    assert time.monotonic() - begin < 4 * 3
