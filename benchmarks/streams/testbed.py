"""Where stream workers are measured: a model with two versions, a broker, workers as processes."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from contracts.names import Layout
from training.recipe import load_recipe
from training.simulate import like_training

ROOT = Path(__file__).parents[2]
MODEL = "loan"
N_ROWS = 1000


@dataclass
class Testbed:
    """A folder with the model in production, whose pointer may be moved between two versions."""

    root: Path
    pointers: tuple[bytes, bytes]
    bodies: list[bytes]
    workers: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def promote(self, version: int) -> None:
        """Move the pointer, as the follower does."""
        path = Layout(self.root / "var").pointer(MODEL)
        path.with_suffix(".new").write_bytes(self.pointers[version - 1])
        path.with_suffix(".new").rename(path)

    def start_worker(
        self, url: str, *more: str, core: int | None = None, **settings: str
    ) -> "subprocess.Popen[bytes]":
        """`slipway stream` from `url` to `url`.out, on one core if it is named."""
        pinned = ("taskset", "-c", str(core)) if core is not None else ()
        command = [*pinned, sys.executable, "-m", "slipway", "stream", MODEL]
        with (self.root / "workers.log").open("ab") as log:
            process = subprocess.Popen(
                [*command, "--from", url, "--to", f"{url}.out", *more],
                cwd=self.root,
                env=environment(self.root) | settings,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.workers.append(process)
        return process

    def stop_workers(self) -> list[int]:
        """SIGTERM to all that run; their exit codes."""
        running = [worker for worker in self.workers if worker.poll() is None]
        for worker in running:
            worker.terminate()
        return [worker.wait(60) for worker in running]


def environment(root: Path) -> dict[str, str]:
    """The environment of a worker, and of the commands that make the model."""
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "SLIPWAY_VAR": str(root / "var"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{root}/mlflow.db",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_HOME": str(root / "bentoml"),
    }


@contextmanager
def testbed() -> Iterator[Testbed]:
    """A throwaway folder in which the model was trained and promoted twice."""
    root = Path(tempfile.mkdtemp(prefix="slipway-streams-"))
    try:
        pointers = []
        for _ in range(2):
            for words in (
                ("train", MODEL),
                ("promote", MODEL, "--force", "--because", "benchmark"),
                ("pull",),
            ):
                _slipway(root, *words)
            pointers.append(Layout(root / "var").pointer(MODEL).read_bytes())
        rows = like_training(load_recipe(MODEL), N_ROWS, seed=1)
        place = Testbed(root, (pointers[0], pointers[1]), [msgspec.json.encode(r) for r in rows])
        yield place
        place.stop_workers()
    finally:
        shutil.rmtree(root)


def _slipway(root: Path, *words: str) -> None:
    command = [sys.executable, "-m", "slipway", *words]
    subprocess.run(command, cwd=root, env=environment(root), check=True, stdout=subprocess.DEVNULL)


def cpu_s(process: "subprocess.Popen[bytes]") -> float:
    """The CPU time of a process so far, in seconds."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def await_true(claim: Callable[[], Any], timeout_s: float) -> None:
    """Wait until a claim holds.

    Raises:
        TimeoutError: it does not.

    """
    deadline = time.monotonic() + timeout_s
    while not claim():
        if time.monotonic() > deadline:
            raise TimeoutError("the workers do not get on: see workers.log")
        time.sleep(0.02)
