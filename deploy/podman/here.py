#!/usr/bin/env python3
"""Run a command with podman configured for this machine.

    deploy/podman/here.py podman run ...
    deploy/podman/here.py --build bentoml containerize predictor:latest --backend podman

Every command uses `containers.conf` of this folder. With `--build`, pip in the image build
uses the same index, certificates and wheel folders as pip on this machine. They are mounted,
so no layer keeps them. Standard library only: the script runs before anything is installed.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PIP_CONF = "/etc/pip.conf"
CERTIFICATES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
SYSTEMD = Path("/run/systemd/system")
"""Exists if systemd runs. Without systemd nothing else calls `podman healthcheck run`."""
SCOPES = ("global.", "install.", ":env:.")
"""The scopes of `pip config list` that apply to `pip install`; the last one wins."""


def pip_settings(listing: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the options that apply to `pip install`, from the output of `pip config list`."""
    found: dict[str, str] = {}
    for scope in SCOPES:
        for line in listing.splitlines():
            key, _, value = line.partition("=")
            if key.startswith(scope):
                found[key.removeprefix(scope)] = str(ast.literal_eval(value))
    certificate = next((environ[name] for name in CERTIFICATES if environ.get(name)), "")
    return found if "cert" in found or not certificate else {**found, "cert": certificate}


def pip_conf(settings: Mapping[str, str]) -> str:
    """Return the text of a pip.conf with these options."""
    lines = (f"{key} = {' '.join(value.split())}" for key, value in settings.items())
    return "\n".join(["[global]", *lines, ""])


def named_paths(settings: Mapping[str, str]) -> list[Path]:
    """Return the existing files and folders of this machine that the options name.

    A folder of the form `.../simple` (an index on disk) is replaced by its parent, because its
    pages point to files next to it.
    """
    words = [word.removeprefix("file://") for text in settings.values() for word in text.split()]
    paths = {Path(word) for word in words if word.startswith("/")}
    return sorted({p.parent if p.name == "simple" else p for p in paths if p.exists()})


def package_volumes(folder: Path, environ: Mapping[str, str]) -> list[str]:
    """Return the mounts that give pip in an image build this machine's pip configuration.

    Writes a pip.conf into `folder`.
    """
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    settings = pip_settings(listing.stdout, environ)
    conf = folder / "pip.conf"
    conf.write_text(pip_conf(settings))
    return [f"{conf}:{PIP_CONF}:ro", *(f"{path}:{path}:ro" for path in named_paths(settings))]


def containers_conf(volumes: Iterable[str]) -> str:
    """Return `containers.conf` of this folder with the mounts in its last table, `[containers]`."""
    return f"{(FOLDER / 'containers.conf').read_text()}volumes = {json.dumps(list(volumes))}\n"


def storage_driver(environ: Mapping[str, str]) -> str:
    """Return the user's choice, else podman's own if it works here, else plain copies (vfs)."""
    if chosen := environ.get("STORAGE_DRIVER"):
        return chosen
    info = ["podman", "info", "--format", "{{.Store.GraphDriverName}}"]
    answer = subprocess.run(info, capture_output=True, text=True, check=False)
    return answer.stdout.strip() if answer.returncode == 0 else "vfs"


def environment(folder: Path, *, build: bool) -> dict[str, str]:
    """Return this process's environment with podman's settings; writes into `folder`."""
    conf = folder / "containers.conf"
    conf.write_text(containers_conf(package_volumes(folder, os.environ) if build else []))
    return {
        **os.environ,
        "CONTAINERS_CONF": str(conf),
        "STORAGE_DRIVER": storage_driver(os.environ),
        "BUILDAH_FORMAT": "docker",  # the OCI format has no health check
        **({} if SYSTEMD.exists() else {"DISABLE_HC_SYSTEMD": "true"}),
        # bentoml 1.4.39 refuses the Dockerfile template that it copied into a temporary folder
        # outside of the current one: https://github.com/bentoml/BentoML/issues/5566
        "TMPDIR": str(folder),
    }


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code."""
    if not shutil.which("podman"):
        sys.stderr.write("error: podman: expected it on the PATH, got nothing\n")
        sys.stderr.write("help: apt-get install podman runc\n")
        return 1
    build = arguments[:1] == ["--build"]
    here = Path.cwd() / "build"
    here.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="podman-", dir=here) as folder:
        environ = environment(Path(folder), build=build)
        return subprocess.run(arguments[build:], env=environ, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
