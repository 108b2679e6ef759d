"""What an image build learns about this machine."""

import os
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from bentoml._internal.utils.filesystem import resolve_user_filepath

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy/podman/here.py"
HERE: dict[str, Any] = runpy.run_path(str(SCRIPT))

LISTING = """\
:env:.timeout='180'
freeze.all='1'
global.find-links='\\n/wheels\\n/nowhere'
global.timeout='9'
install.no-binary='x'
"""


def test_the_environment_is_stronger_than_the_files_of_pip() -> None:
    assert HERE["pip_settings"](LISTING, {}) == {
        "find-links": "\n/wheels\n/nowhere",
        "timeout": "180",
        "no-binary": "x",
    }


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_certificate_of_the_environment_is_passed_on(name: str) -> None:
    assert HERE["pip_settings"]("", {name: "/own.crt"}) == {"cert": "/own.crt"}
    assert HERE["pip_settings"]("global.cert='/a.crt'\n", {name: "/own.crt"}) == {"cert": "/a.crt"}


def test_a_pip_conf_says_what_pip_said() -> None:
    text = HERE["pip_conf"](HERE["pip_settings"](LISTING, {}))

    assert text == "[global]\nfind-links = /wheels /nowhere\ntimeout = 180\nno-binary = x\n"


def test_named_files_and_folders_are_mounted_if_they_exist(tmp_path: Path) -> None:
    wheels, index = tmp_path / "wheels", tmp_path / "index/simple"
    wheels.mkdir()
    index.mkdir(parents=True)
    settings = {
        "find-links": f"{wheels} {tmp_path}/nowhere",
        "extra-index-url": f"file://{index} https://packages.example/simple",
    }

    assert HERE["named_paths"](settings) == [tmp_path / "index", wheels]


def test_the_mounts_are_in_the_table_of_containers() -> None:
    conf = tomllib.loads(HERE["containers_conf"](["/a b:/a b:ro"]))

    assert conf["containers"]["volumes"] == ["/a b:/a b:ro"]
    assert conf["engine"]["runtime"] == "runc"


def test_a_missing_podman_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    environ = os.environ | {"PATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "true"],
        capture_output=True,
        text=True,
        env=environ,
        cwd=tmp_path,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("error: podman")
    assert "help: apt-get install podman" in done.stderr


def test_bentoml_still_refuses_a_template_in_a_temporary_folder(tmp_path: Path) -> None:
    """When this fails, BentoML#5566 is fixed: drop TMPDIR from `here.py` and the README."""
    (tmp_path / "Dockerfile.template").touch()

    with pytest.raises(ValueError, match="outside of current working directory"):
        resolve_user_filepath("Dockerfile.template", str(tmp_path))
