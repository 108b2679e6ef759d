"""The load generator: wrk, with a script that defines what it POSTs."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.serving.scenario import Heads
from benchmarks.serving.server import HOST, pinned
from contracts.errors import PlatformError

SCRIPT = Path(__file__).with_name("wrk.lua")
TIMEOUT_S = 30


@dataclass(frozen=True)
class Load:
    """What wrk saw; times are of whole requests, on connections that stay open."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    bad_statuses: int
    broken: int

    @property
    def requests_per_s(self) -> float:
        """Requests that were answered, in a second."""
        return self.requests / self.seconds

    @property
    def bad(self) -> int:
        """Requests that were refused, or not answered at all."""
        return self.bad_statuses + self.broken


def check_wrk() -> None:
    """Refuse to begin without wrk.

    Raises:
        PlatformError: it is not on the PATH.

    """
    if shutil.which("wrk") is None:
        raise PlatformError("wrk: expected it on the PATH, got nothing", remedy="apt install wrk")


def drive(
    port: int,
    path: str,
    bodies: Path,
    *,
    connections: int,
    seconds: float,
    cores: str,
    heads: Heads = "constant",
    key: str = "",
) -> Load:
    """POST the bodies in turn over that many connections, for that long, with an API key."""
    command = [
        *pinned(cores),
        "wrk",
        "--threads=1",
        f"--connections={connections}",
        f"--duration={seconds:g}s",
        f"--timeout={TIMEOUT_S}s",
        f"--script={SCRIPT}",
        f"http://{HOST}:{port}{path}",
        "--",
        str(bodies),
        heads,
        key,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    line = done.stdout.strip().rpartition("\n")[2]
    if done.returncode or not line.startswith("{"):
        raise PlatformError(
            f"{' '.join(command)}: expected figures, got {done.stdout}{done.stderr}",
            remedy="see whether the server still lives",
        )
    said: dict[str, int] = msgspec.json.decode(line)
    return Load(
        requests=said["requests"],
        seconds=said["duration_us"] / 1e6,
        p50_ms=said["p50_us"] / 1e3,
        p99_ms=said["p99_us"] / 1e3,
        max_ms=said["max_us"] / 1e3,
        bad_statuses=said["bad_statuses"],
        broken=said["broken"],
    )
