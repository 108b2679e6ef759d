"""A checkout in which `slipway demo` has run, as a newcomer would leave it."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Checkout:
    """A copy of the project's files with a state of its own."""

    root: Path
    environ: Mapping[str, str]
    output: str

    def run(self, *arguments: str, timeout_s: float = 120) -> "subprocess.CompletedProcess[str]":
        """A command of the environment, run at the checkout's root."""
        return subprocess.run(
            arguments,
            cwd=self.root,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def copy_of_the_project(target: Path) -> Path:
    """The files that git would carry, so that nothing of this checkout's state comes along."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


@pytest.fixture(scope="session")
def demoed(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    root = copy_of_the_project(tmp_path_factory.mktemp("checkout"))
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("SLIPWAY_", "MLFLOW_T"))}
    environ |= {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "BENTOML_HOME": str(tmp_path_factory.mktemp("bentoml")),
        "PYTHONPATH": str(root),
        "COLUMNS": "200",
    }
    fresh = Checkout(root, environ, "")
    done = fresh.run("slipway", "demo", "--port", str(free_port()), "--rows", "1000", timeout_s=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return Checkout(root, environ, done.stdout)
