"""A server as a process: pinned to its core, awaited, weighed, and ended with its children."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from contracts.errors import PlatformError

HOST = "127.0.0.1"
READY_WITHIN_S = 120.0
STOPPED_WITHIN_S = 20.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PARENT, _USER, _SYSTEM, _BEGUN = 1, 11, 12, 19
"""Fields of /proc/PID/stat after the name of the program (proc(5))."""


@dataclass(frozen=True)
class Weight:
    """What a server and its children have used up to now."""

    cpu_s: float
    rss_mb: float
    largest_mb: float
    peak_mb: float
    """The highest that the largest of the processes ever was."""


class Server:
    """A process that serves HTTP, for the length of a `with` block."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        environ: Mapping[str, str],
        port: int,
        ready_path: str,
        log: Path,
        cores: str = "",
    ) -> None:
        self._command = [*pinned(cores), *command]
        self._cwd, self._environ, self._log = cwd, dict(environ), log
        self._ready_path = ready_path
        self.port = port
        self.process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        """Start, and wait until it is ready."""
        self.start()
        try:
            self.await_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None
    ) -> None:
        """End it."""
        self.stop()

    def start(self) -> None:
        """Start it, in a session of its own."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as sink:
            self.process = subprocess.Popen(
                self._command,
                cwd=self._cwd,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def await_ready(self) -> None:
        """Wait until it answers 200.

        Raises:
            PlatformError: it ended, or did not answer in time; the message has the end of its log.

        """
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline and self.process.poll() is None:
            if self.status(self._ready_path) == http.client.OK:
                return
            time.sleep(0.02)
        tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])
        raise PlatformError(
            f"{' '.join(self._command)}: expected it to be ready, got\n{tail}",
            remedy=f"read {self._log}",
        )

    def status(self, path: str) -> int:
        """The status that a GET is answered with; 0 where nothing answers."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def post(self, path: str, body: bytes) -> bytes:
        """What a POST of JSON is answered with.

        Raises:
            PlatformError: any other status than 200.

        """
        connection = http.client.HTTPConnection(HOST, self.port, timeout=60)
        try:
            connection.request("POST", path, body, {"content-type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise PlatformError(
                f"POST {path}: expected 200, got {answer.status} {text[:500]!r}",
                remedy=f"read {self._log}",
            )
        return text

    def weight(self) -> Weight:
        """What it has used up to now, with its children that live."""
        tree = family(self.process.pid)
        sizes = [_memory_mb(pid) for pid in tree]
        return Weight(
            cpu_s=sum(_cpu_s(pid) for pid in tree),
            rss_mb=sum(now for now, _ in sizes),
            largest_mb=max(now for now, _ in sizes),
            peak_mb=max(peak for _, peak in sizes),
        )

    def worker_age_s(self) -> float:
        """How long ago the youngest of its processes was started."""
        begun = [int(f[_BEGUN]) for pid in family(self.process.pid) if (f := _stat(pid))]
        return time.clock_gettime(time.CLOCK_BOOTTIME) - max(begun) / _TICKS_PER_S

    def stop(self) -> None:
        """Ask it to end; what is left of its session after that is killed."""
        tree = family(self.process.pid)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid in tree:
            # A child may have outlived its parent; the session shows that it is still ours.
            if _session(pid) == self.process.pid:
                os.kill(pid, signal.SIGKILL)


def pinned(cores: str) -> list[str]:
    """The words that keep a command on these cores; none where it may use all."""
    return ["taskset", "--cpu-list", cores] if cores and shutil.which("taskset") else []


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[_PARENT]), []).append(int(entry.name))
    found = [pid]
    for known in found:
        found += children.get(known, [])
    return found


def _stat(pid: int) -> list[str]:
    """The fields after the program's name; none if the process has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


def _cpu_s(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS_PER_S if fields else 0.0


def _session(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[3]) if fields else 0


def _memory_mb(pid: int) -> tuple[float, float]:
    """Resident memory now, and at its highest."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0, 0.0
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    now, peak = (float(fields.get(name, "0 kB").split()[0]) for name in ("VmRSS", "VmHWM"))
    return now / 1024, peak / 1024
