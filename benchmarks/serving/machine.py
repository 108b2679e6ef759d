"""Where and with what was measured."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

LIBRARIES = (
    *("bentoml", "mlflow-skinny", "onnxruntime", "scikit-learn", "msgspec", "numpy"),
    *("uvicorn", "uvloop", "httptools", "starlette"),
)


@dataclass(frozen=True)
class Machine:
    """What a figure depends on, apart from the code."""

    cpu: str
    n_cores: int
    memory_gb: int
    kernel: str
    python: str
    libraries: dict[str, str]
    load_average: float
    """Of the minute before the benchmark: what others do here."""


@dataclass(frozen=True)
class Cores:
    """Which cores the server may use, and which the client; "" where they are not split."""

    server: str
    client: str


def this_machine() -> Machine:
    """The machine on which this runs."""
    return Machine(
        cpu=_cpu_model(),
        n_cores=len(os.sched_getaffinity(0)),
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        kernel=platform.release(),
        python=platform.python_version(),
        libraries={name: version(name) for name in LIBRARIES},
        load_average=os.getloadavg()[0],
    )


def split_cores() -> Cores:
    """One core for the server, one for the client, where there are two."""
    return _split(sorted(os.sched_getaffinity(0)))


def busy_s(cores: str) -> float:
    """Seconds that anybody has kept these cores busy, of which 0 where they are not split."""
    names = {f"cpu{core}" for core in cores.split(",") if core}
    lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
    ticks = sum(sum(map(int, [*f[1:4], *f[6:9]])) for f in lines if f[0] in names)
    return ticks / os.sysconf("SC_CLK_TCK")


def _split(cores: Sequence[int]) -> Cores:
    return Cores(str(cores[0]), str(cores[1])) if len(cores) > 1 else Cores("", "")


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
