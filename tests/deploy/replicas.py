"""Replicas of the service, each with a folder and a port of its own, and nginx before them."""

import http.client
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from contracts.names import Layout
from tests.services.conftest import BENTOFILE, await_ready
from tests.services.http_client import GOOD, JSON
from tests.slipway.conftest import free_port

ROOT = Path(__file__).parents[2]
NGINX_CONF = ROOT / "deploy" / "nginx" / "slipway.conf"
PREDICT = "/models/tiny/predict"
MAIN_CONF = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  include {folder}/slipway.conf;
}}
"""


@dataclass
class Replica:
    """A `bentoml serve` that can be killed, stopped and started again on its port."""

    folder: Path
    models: Path
    settings: dict[str, str]
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def layout(self) -> Layout:
        """Where its models and its traffic are."""
        return Layout(self.folder / "var")

    def start(self) -> None:
        """Start it and wait until it is ready."""
        if not self.layout.var.exists():
            self.folder.mkdir(exist_ok=True)
            (self.folder / "bentofile.yaml").write_text(BENTOFILE)
            shutil.copytree(self.models, self.layout.var)
        log = self.folder / "serve.log"
        environ = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
        environ |= {
            "PYTHONPATH": str(ROOT),
            "SLIPWAY_SERVICE_PULL": "false",
            "BENTOML_HOME": str(self.folder / "bentoml"),
            **self.settings,
        }
        with log.open("ab") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bentoml", "serve", "--port", str(self.port)],
                cwd=self.folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
            )
        await_ready(self.url, self.process, log)

    def kill(self) -> None:
        """End every process of it at once, as a machine that loses its power does."""
        assert self.process is not None
        for pid in (self.process.pid, *descendants(self.process.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(30)

    def stop(self) -> None:
        """Stop it as an orchestrator does."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(30)


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    with suppress(OSError):
        files = Path(f"/proc/{pid}/task").glob("*/children")
        children = [int(child) for file in files for child in file.read_text().split()]
        return [*children, *(each for child in children for each in descendants(child))]
    return []


@contextmanager
def replicas(folder: Path, models: Path, n: int, **settings: str) -> Iterator[list[Replica]]:
    """Running replicas, until the block ends."""
    all_of_them = [Replica(folder / f"replica-{i}", models, settings) for i in range(n)]
    try:
        for replica in all_of_them:
            replica.start()
        yield all_of_them
    finally:
        for replica in all_of_them:
            if replica.process is not None:
                replica.kill()


@contextmanager
def balanced(folder: Path, ports: list[int]) -> Iterator[int]:
    """The shipped nginx configuration before two local ports; gives nginx's own port."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    text = NGINX_CONF.read_text().replace("listen 8080", f"listen 127.0.0.1:{port}")
    for i, upstream in enumerate(ports, start=1):
        assert f"service-{i}:3000" in text
        text = text.replace(f"service-{i}:3000", f"127.0.0.1:{upstream}")
    (folder / "slipway.conf").write_text(text)
    # As root, nginx would run its worker as a user who may not write here.
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(MAIN_CONF.format(folder=folder, user=user))
    binary = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or "nginx"
    log = folder / "error.log"
    process = subprocess.Popen(
        [binary, "-p", str(folder), "-e", str(log), "-c", str(folder / "nginx.conf")],
        stdin=subprocess.DEVNULL,
    )
    try:
        _await_port(port, process, log)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _await_port(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(400):
        assert process.poll() is None, log.read_text()
        try:
            to = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            to.connect()
        except OSError:
            time.sleep(0.05)
        else:
            to.close()
            return
    raise AssertionError(log.read_text())


@dataclass
class Load:
    """What clients saw while something happened to the servers."""

    answered: int = 0
    failed: list[str] = field(default_factory=list)

    def continues(self, n: int = 200, seconds: float = 60) -> None:
        """Wait until that many more predictions were answered."""
        goal = self.answered + n
        until(lambda: self.answered >= goal, seconds)


@contextmanager
def load(port: int, clients: int = 8, path: str = PREDICT) -> Iterator[Load]:
    """Predictions on kept-alive connections, until the block ends."""
    seen, stop, lock = Load(), threading.Event(), threading.Lock()

    def send() -> None:
        to = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while not stop.is_set():
            failure = _ask_once(to, path)
            with lock:
                if failure:
                    seen.failed.append(failure)
                else:
                    seen.answered += 1
        to.close()

    threads = [threading.Thread(target=send) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _ask_once(to: http.client.HTTPConnection, path: str) -> str:
    """Why a prediction failed; empty if it did not."""
    try:
        to.request("POST", path, GOOD, JSON)
        answer = to.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as err:
        to.close()
        return repr(err)
    return "" if answer.status == 200 else f"{answer.status} {body[:200]!r}"


def until(claim: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end
        time.sleep(0.05)
