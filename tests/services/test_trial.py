"""The trial of a version as a process: it ends by itself, even if its starter is gone."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from msgspec.structs import replace

from contracts.manifest import Pointer
from contracts.names import Layout
from tests.services import broken

ROOT = Path(__file__).parents[2]


def test_a_trial_that_hangs_ends_itself(models: Path, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "var")
    shutil.copytree(models, layout.var)
    directory = layout.model("tiny", 1)
    broken.without_end(directory)
    pointer = Pointer.read(layout.pointer("tiny").read_bytes())
    pointer = replace(pointer, digest=broken.seal(directory))
    command = [sys.executable, "-m", "services.trial", str(layout.var), pointer.write().decode()]
    done = subprocess.run(
        [*command, "8"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False
    )

    assert done.returncode == -signal.SIGALRM
