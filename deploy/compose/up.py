#!/usr/bin/env python3
"""Bring the platform up or down: `deploy/compose/up.py full up --detach`.

Writes the passwords to `var/compose.env` the first time, and runs `docker compose` or
`podman-compose` with them. Standard library only: the script runs before anything is installed.
"""

import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROFILES = ("minimal", "full")
REDIS_URL = "redis://redis:6379/0"
SECRETS = ("POSTGRES_PASSWORD", "OBJECT_STORE_SECRET", "GRAFANA_PASSWORD")


def environment_file(root: Path) -> Path:
    """The file with the passwords, which only its owner can read; it is written once."""
    path = root / "var" / "compose.env"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.touch(mode=0o600, exist_ok=False)
        path.write_text("".join(f"{name}={secrets.token_urlsafe(24)}\n" for name in SECRETS))
    return path


def engine() -> list[str] | None:
    """The command that reads compose files here, if there is one."""
    if shutil.which("docker"):
        found = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if found.returncode == 0:
            return ["docker", "compose"]
    return ["podman-compose"] if shutil.which("podman-compose") else None


def main(arguments: list[str]) -> int:
    """Run the engine for a profile; returns its exit code."""
    if not arguments or arguments[0] not in PROFILES:
        sys.stderr.write(f"error: profile: expected one of {', '.join(PROFILES)}\n")
        sys.stderr.write("help: deploy/compose/up.py full up --detach\n")
        return 2
    command = engine()
    if command is None:
        sys.stderr.write("error: expected docker compose or podman-compose, got neither\n")
        sys.stderr.write(
            "help: install Docker with its compose plugin, or pip install podman-compose\n"
        )
        return 1
    profile, *rest = arguments
    environ = dict(os.environ)
    if profile == "full":
        environ.setdefault("SLIPWAY_SERVICE_REDIS_URL", REDIS_URL)
    files = ["--env-file", str(environment_file(ROOT)), "--file", str(ROOT / "compose.yaml")]
    done = subprocess.run(
        [*command, *files, "--profile", profile, *rest], env=environ, cwd=ROOT, check=False
    )
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
