"""`bentoml serve` as a process: replace this process by it, or run it and stop it again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from contracts.errors import PlatformError
from contracts.files import make_folder, open_new
from services.bento.port import check_port

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
PROBE_TIMEOUT_S = 2.0


def command(host: str, port: int) -> list[str]:
    """The arguments that start the service of the current folder."""
    return [sys.executable, "-m", "bentoml", "serve", "--host", host, "--port", str(port)]


def environment(workers: int = 1) -> dict[str, str]:
    """This environment, with telemetry off and the number of workers set."""
    return os.environ | {
        "BENTOML_DO_NOT_TRACK": "True",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "ORT_DISABLE_TELEMETRY": "1",
        "SLIPWAY_SERVICE_WORKERS": str(workers),
    }


def become_server(host: str, port: int, workers: int, announce: Callable[[str], None]) -> None:
    """Replace this process by `bentoml serve`, after `announce` with its URL; never returns.

    Raises:
        PortTaken: another process listens on the port.

    """
    check_port(host, port)
    announce(f"http://{host}:{port}")
    sys.stdout.flush()
    os.execve(sys.executable, command(host, port), environment(workers))  # noqa: S606 - our own interpreter


@contextmanager
def running_service(root: Path, port: int, log: Path) -> Iterator[str]:
    """A ready service on 127.0.0.1, stopped when the block ends; yields its URL.

    Raises:
        PlatformError: it exited, or was not ready in time; the text ends with its log.

    """
    url = f"http://127.0.0.1:{port}"
    make_folder(log.parent)
    with open_new(log) as sink:
        process = subprocess.Popen(
            command("127.0.0.1", port),
            cwd=root,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _await_ready(process, url, log)
        yield url
    finally:
        _stop(process)


def _await_ready(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if _is_ready(url):
            return
        time.sleep(0.1)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    exit_code = process.poll()
    reason = f"no answer within {START_TIMEOUT_S:g} s"
    if exit_code is not None:
        reason = f"it ended with exit code {exit_code}"
    raise PlatformError(
        f"service: it did not start at {url}: {reason}\n{tail}", remedy=f"read {log}"
    )


def _is_ready(url: str) -> bool:
    try:
        answer = httpx.get(f"{url}/readyz", timeout=PROBE_TIMEOUT_S, trust_env=False)
    except httpx.TransportError:
        return False
    return answer.status_code == httpx.codes.OK


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop the service and its workers; kills the process group if SIGTERM is ignored."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
