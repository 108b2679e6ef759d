"""`.ci/run`, with doubles for what would change this machine."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("bash", "dirname", "env")
EXTRAS = "EXTRAS=xgboost lightgbm catboost docs"


def run_ci(folder: Path, **doubles: str) -> "subprocess.CompletedProcess[str]":
    """What `.ci/run` does when the commands named say and do what their scripts say."""
    for name in TOOLS:
        (folder / name).symlink_to(str(shutil.which(name)))
    doubles = {"make": 'echo "make $* with CI=$CI"', "id": "echo 0", **doubles}
    for name, script in doubles.items():
        double = folder / name.replace("_", "-")
        double.write_text(f"#!/bin/sh\n{script}\n")
        double.chmod(0o755)
    return subprocess.run(
        [str(ROOT / ".ci/run")],
        env={"PATH": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_packages_that_are_missing_are_installed_before_the_tests(tmp_path: Path) -> None:
    done = run_ci(tmp_path, dpkg_query="exit 1", apt_get='echo "$DEBIAN_FRONTEND: apt-get $*"')

    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert lines[0] == "noninteractive: apt-get update"
    assert lines[1].startswith("noninteractive: apt-get install --yes --no-install-recommends ")
    assert {"podman", "runc", "mmdebstrap", "chromium"} <= set(lines[1].split())
    assert lines[2:] == [f"make test {EXTRAS} with CI=true"]


def test_packages_that_are_here_are_left_alone(tmp_path: Path) -> None:
    done = run_ci(tmp_path, dpkg_query="echo installed", apt_get="exit 9")

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"make test {EXTRAS} with CI=true"


def test_a_mirror_that_fails_ends_it_before_the_tests(tmp_path: Path) -> None:
    done = run_ci(tmp_path, dpkg_query="exit 1", apt_get="echo no route >&2; exit 100")

    assert done.returncode == 1
    assert "no route" in done.stderr
    assert "apt-get: expected to install" in done.stderr
    assert "help: " in done.stderr
    assert "make" not in done.stdout


@pytest.mark.parametrize(
    ("doubles", "says"),
    [
        ({"dpkg_query": "exit 1", "apt_get": "exit 9", "id": "echo 1000"}, "Not root"),
        ({}, "No apt-get"),
    ],
    ids=["not root", "not Debian"],
)
def test_without_the_means_to_install_the_tests_run_anyway(
    tmp_path: Path, doubles: dict[str, str], says: str
) -> None:
    done = run_ci(tmp_path, **doubles)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(says)
    assert done.stdout.splitlines()[-1] == f"make test {EXTRAS} with CI=true"


def test_tests_that_fail_fail_ci(tmp_path: Path) -> None:
    assert run_ci(tmp_path, dpkg_query="echo installed", make="exit 2").returncode == 2
    assert os.access(ROOT / ".ci/run", os.X_OK)
