#!/usr/bin/env python3
"""Render the chart into the kustomize base: `deploy/kubernetes/render.py`.

With `--check`, write nothing and fail if base/slipway.yaml differs from the chart. Needs `helm`
on the PATH. Standard library only, like every script of deployment.
"""

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BASE = HERE / "base" / "slipway.yaml"
RELEASE = "slipway"


def rendered() -> str:
    """The chart with its own values."""
    command = ["helm", "template", RELEASE, str(HERE / "chart")]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main(arguments: list[str]) -> int:
    """Write or check the base; returns the exit code."""
    if not shutil.which("helm"):
        sys.stderr.write("error: helm: expected it on the PATH, got nothing\n")
        sys.stderr.write("help: https://helm.sh/docs/intro/install/\n")
        return 1
    text = rendered()
    if arguments != ["--check"]:
        BASE.write_text(text)
    elif BASE.read_text() != text:
        sys.stderr.write(f"error: {BASE}: expected what the chart renders, got another text\n")
        sys.stderr.write("help: run deploy/kubernetes/render.py and commit the result\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
