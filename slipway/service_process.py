"""`bentoml serve` as a process: become it, or run it beside us and end it again."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from contracts.errors import PlatformError
from services.bento.port import check_port

READY_WITHIN_S = 60.0
STOPPED_WITHIN_S = 20.0


def command(host: str, port: int) -> list[str]:
    """The words that start the service of this folder."""
    return [sys.executable, "-m", "bentoml", "serve", "--host", host, "--port", str(port)]


def environment(workers: int = 1) -> dict[str, str]:
    """Our environment without telemetry, and with the number of workers."""
    return os.environ | {
        "BENTOML_DO_NOT_TRACK": "True",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "SLIPWAY_SERVICE_WORKERS": str(workers),
    }


def become_server(
    host: str, port: int, workers: int, announce: Callable[[str], None] | None
) -> None:
    """Replace this process by `bentoml serve`; returns never."""
    check_port(host, port)
    if announce:
        announce(f"serving on http://{host}:{port}  (docs at /, Ctrl+C ends it)")
    os.execve(sys.executable, command(host, port), environment(workers))  # noqa: S606 - our own interpreter


@contextmanager
def running_service(root: Path, port: int, log: Path) -> Iterator[str]:
    """A ready service on 127.0.0.1, stopped when the block ends; gives its URL.

    Raises:
        PlatformError: it ended, or was not ready in time; the end of its log is in the text.

    """
    url = f"http://127.0.0.1:{port}"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as sink:
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
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        if _is_ready(url):
            return
        time.sleep(0.1)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    state = "it ended" if process.poll() is not None else f"no answer in {READY_WITHIN_S:g} s"
    raise PlatformError(
        f"service: expected it to be ready at {url}, got: {state}\n{tail}",
        remedy=f"read {log}",
    )


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:  # noqa: S310 - our own http URL
            return bool(answer.status == 200)  # noqa: PLR2004 - HTTP's OK
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End the service and its workers; whoever ignores SIGTERM is killed with its group."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOPPED_WITHIN_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
