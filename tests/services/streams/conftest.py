"""A model with two versions, a real redis-server, and workers as processes."""

import asyncio
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis as RedisClient

from contracts.names import Layout
from registry.promote import promote
from registry.pull import pull_all
from services.inference.loader import load_model
from services.inference.model_source import ModelSource
from services.inference.pending import Request
from services.metrics import Metrics
from services.serving.endpoint import Operation, SingleEndpoint, ask
from services.settings import ServiceSettings
from tests import tiny
from tests.conftest import working_in
from tests.services.conftest import ROOT
from tests.services.streams.kafka_brokers import rdkafka
from tests.slipway.conftest import free_port
from training.run import train_recipe

_numbers = itertools.count()


@dataclass(frozen=True)
class TwoVersions:
    """A `var/` with the model `tiny` in two versions; version 1 is in production at first."""

    var: Path
    pointers: tuple[bytes, bytes]

    def promote(self, version: int) -> None:
        """Move the pointer, as the follower does."""
        path = Layout(self.var).pointer("tiny")
        path.with_suffix(".new").write_bytes(self.pointers[version - 1])
        path.with_suffix(".new").rename(path)


@pytest.fixture(scope="session")
def two_versions(fresh_database: Path, tmp_path_factory: pytest.TempPathFactory) -> TwoVersions:
    root = tmp_path_factory.mktemp("two")
    shutil.copy(fresh_database, root / "mlflow.db")
    path = Layout(root / "var").pointer("tiny")
    pointers = []
    with working_in(root) as workplace:
        for version, threshold in ((1, 0.6), (2, 0.001)):
            train_recipe(tiny.binary(threshold=threshold), workplace.store)
            promote(workplace.store, "tiny", version, actor="ada")
            pull_all(workplace.store, workplace.layout)
            pointers.append(path.read_bytes())
    return TwoVersions(root / "var", (pointers[0], pointers[1]))


@pytest.fixture
def place(two_versions: TwoVersions, tmp_path: Path) -> TwoVersions:
    """A copy for one test, with version 1 in production."""
    shutil.copytree(two_versions.var / "models", tmp_path / "var/models")
    copy = TwoVersions(tmp_path / "var", two_versions.pointers)
    copy.promote(1)
    return copy


class RedisServer:
    """A redis-server with a log of every write, which a test may stop and start again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.client: Any = RedisClient(port=self.port)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        server = shutil.which("redis-server")
        if server is None:
            pytest.skip("redis-server is not installed: .ci/run does")
        self.process = subprocess.Popen(
            [
                *(server, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""),
                *("--appendonly", "yes", "--appendfsync", "no", "--dir", str(self.folder)),
            ],
            stdout=subprocess.DEVNULL,
        )
        await_true(self.answers)

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return bool(self.client.ping())
        except Exception:  # noqa: BLE001 - redis has classes of its own
            return False

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(30)

    def add(self, stream: str, bodies: list[bytes], **more: str) -> list[bytes]:
        pipe = self.client.pipeline(transaction=False)
        for index, body in enumerate(bodies):
            fields = {name: text.format(index) for name, text in more.items()}
            pipe.xadd(stream, {"body": body, **fields})
        return list(pipe.execute())

    def entries(self, stream: str) -> list[dict[bytes, bytes]]:
        return [fields for _, fields in self.client.xrange(stream)]

    def n_pending(self, stream: str) -> int:
        return int(self.client.xpending(stream, "slipway-tiny")["pending"])


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.client.close()
    server.stop()


@pytest.fixture(scope="session")
def metadata_broker() -> Iterator[str]:
    """The address of a Kafka broker that keeps the metadata of offsets."""
    with rdkafka() as (server, _):
        yield server


@pytest.fixture
def stream() -> str:
    """The name of a stream that no other test uses."""
    return f"requests-{next(_numbers)}"


@dataclass(frozen=True)
class WorkerProcess:
    """`slipway stream tiny` as a process."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def text(self) -> str:
        return self.log.read_text()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)


StartWorker = Callable[..., WorkerProcess]


@pytest.fixture
def start_worker(place: TwoVersions, tmp_path: Path) -> Iterator[StartWorker]:
    """Starts workers on this test's models; ends what still runs."""
    started: list[WorkerProcess] = []

    def start(source: str, *more: str, preexec: Any = None, **settings: str) -> WorkerProcess:
        log = tmp_path / f"worker-{len(started)}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "slipway", "stream", "tiny"),
                    *("--from", source, "--to", f"{source}.out", *more),
                ],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(ROOT), "SLIPWAY_VAR": str(place.var)}
                | {"SLIPWAY_SERVICE_PULL": "false", "SLIPWAY_STREAM_TAKEOVER_S": "1"}
                | settings,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                preexec_fn=preexec,  # noqa: PLW1509 - limits of the child, set before it runs
            )
        started.append(WorkerProcess(process, log))
        return started[-1]

    yield start
    for worker in started:
        if worker.process.poll() is None:
            worker.kill()


def await_true(claim: Callable[[], object], timeout_s: float = 30) -> None:
    """Wait until a claim holds."""
    deadline = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < deadline, "the claim never held"
        time.sleep(0.05)


def is_done(server: RedisServer, stream: str) -> bool:
    """Whether every message was acknowledged."""
    return any(
        group["lag"] == group["pending"] == 0 for group in server.client.xinfo_groups(stream)
    )


def row_body(index: int) -> bytes:
    """A row that differs from others in age and income."""
    row = tiny.GOOD | {"age": 18 + index % 70, "income": 1000.0 + index}
    return json.dumps(row).encode()


def answers_of_the_service(
    place: TwoVersions, metrics: Metrics, operation: Operation, bodies: Sequence[bytes]
) -> list[Any]:
    """What the endpoint behind HTTP answers to request bodies, parsed."""
    source = ModelSource(Layout(place.var))
    (pointer,) = source.pointers()
    served = load_model(source.directory(pointer), pointer)

    async def answers() -> list[Any]:
        endpoint = SingleEndpoint(served, Layout(place.var / "own"), ServiceSettings(), metrics)
        requests = [Request(body, "r", b"", time.monotonic()) for body in bodies]
        found = [json.loads(await ask(endpoint, operation, each)) for each in requests]
        await endpoint.close()
        return found

    return asyncio.run(answers())


def same_scores(answer: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two answers are equal but for their ids and times."""
    own = {"prediction_id", "time"}
    return {k: v for k, v in answer.items() if k not in own} == {
        k: v for k, v in other.items() if k not in own
    }
