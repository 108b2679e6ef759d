"""The CPU that a service spends on each request of a client."""

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.serving.clients.catalog import CLIENTS, Client, Target
from benchmarks.serving.clients.proxies import PROXIES, is_installed, proxied
from benchmarks.serving.server import family
from benchmarks.serving.wrk import drive
from contracts.errors import PlatformError

WRK_SECONDS = 1.0
IDLE_SECONDS = 1.0
CLIENT_TIMEOUT_S = 300
BEFORE_PROXIES = "http.client"
"""The client that asks through each proxy."""


@dataclass(frozen=True)
class Cost:
    """What a request of a client costs the service.

    `wrk_us`: what a request of wrk on `/predict` costs, with the same head each time; measured
    just before.
    """

    client: str
    about: str
    cpu_us: float
    wrk_us: float

    @property
    def ratio(self) -> float:
        """The cost of a request against one of wrk."""
        return self.cpu_us / self.wrk_us


def costs(pid: int, target: Target) -> Iterator[Cost]:
    """The cost of each client and proxy that is installed; `pid` is the service's first process."""
    for client in CLIENTS:
        if client.is_installed:
            yield _cost(pid, target, client.name, client.about, client)
    asking = next(client for client in CLIENTS if client.name == BEFORE_PROXIES)
    for name in PROXIES:
        if is_installed(name):
            with (
                tempfile.TemporaryDirectory() as folder,
                proxied(name, target.base, Path(folder)) as port,
            ):
                through = replace(target, base=f"http://127.0.0.1:{port}")
                yield _cost(pid, target, name, "proxy", asking, through)


def run(client: Client, target: Target) -> str:
    """What a client prints.

    Raises:
        PlatformError: it fails; the message has what it said.

    """
    done = subprocess.run(
        list(client.command(target)),
        capture_output=True,
        text=True,
        check=False,
        timeout=CLIENT_TIMEOUT_S,
    )
    if done.returncode:
        raise PlatformError(
            f"{client.name}: expected exit code 0, got {done.returncode} {done.stderr[-500:]}",
            remedy="run its program by hand",
        )
    return done.stdout


def _cost(
    pid: int, target: Target, name: str, about: str, client: Client, through: Target | None = None
) -> Cost:
    idle = _used_s(pid, lambda: time.sleep(IDLE_SECONDS)) / IDLE_SECONDS
    n_of_wrk = 0

    def wrk() -> None:
        nonlocal n_of_wrk
        port = int(target.base.rpartition(":")[2])
        path = f"/models/{target.model}/predict"
        load = drive(port, path, target.body, connections=1, seconds=WRK_SECONDS, cores="")
        n_of_wrk = load.requests

    of_wrk_s = _used_s(pid, wrk) - idle * WRK_SECONDS
    began = time.monotonic()
    of_client_s = _used_s(pid, lambda: run(client, through or target))
    of_client_s -= idle * (time.monotonic() - began)
    return Cost(name, about, 1e6 * of_client_s / target.n, 1e6 * of_wrk_s / n_of_wrk)


def _used_s(pid: int, act: Callable[[], object]) -> float:
    """The CPU that a process and its children use while something is done, in seconds."""
    before = _cpu_s(pid)
    act()
    return _cpu_s(pid) - before


def _cpu_s(pid: int) -> float:
    """The run time of all threads, exact to the nanosecond (proc(5), `schedstat`)."""
    spent_ns = 0
    for each in family(pid):
        for path in Path(f"/proc/{each}/task").glob("*/schedstat"):
            with _gone():
                spent_ns += int(path.read_text().split()[0])
    return spent_ns / 1e9


@contextmanager
def _gone() -> Iterator[None]:
    """Pass over a thread that has ended meanwhile."""
    try:
        yield
    except (FileNotFoundError, ProcessLookupError):
        return
