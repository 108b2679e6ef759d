"""A peer's own virtual environment, made from its hash-pinned requirements when it is needed."""

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.serving.peer import FOLDER
from benchmarks.serving.testbed import quiet_environ
from contracts.errors import PlatformError

STAMP = "requirements.sha256"


def python_of(peer: str, folder: Path) -> Path:
    """The interpreter of a peer's environment below `folder`, in step with its requirements.

    Raises:
        PlatformError: it cannot be made.

    """
    requirements = FOLDER / peer / "requirements.txt"
    if not requirements.is_file():
        return Path(sys.executable)
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    home = folder / peer
    python = home / "bin" / "python"
    if not (home / STAMP).is_file() or (home / STAMP).read_text() != digest:
        _run([sys.executable, "-m", "uv", "venv", "--clear", "--python", sys.executable, str(home)])
        words = ["pip", "sync", "--require-hashes", "--python", str(python), str(requirements)]
        _run([sys.executable, "-m", "uv", *words])
        (home / STAMP).write_text(digest)
    return python


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, env=quiet_environ(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise PlatformError(
            f"{' '.join(command)}: expected it to succeed, got {done.stderr}",
            remedy="look whether the package index is in reach, or leave the peer out: --peers",
        )
