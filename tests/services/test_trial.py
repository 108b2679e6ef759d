"""The trial of a version as a process: it ends by itself, even if its starter is gone."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from contracts.errors import CorruptModel, preview
from contracts.manifest import Pointer
from contracts.names import Layout
from services.inference.loader import load_model
from tests.services import broken

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "../x"}, "name: expected 'tiny', got " + preview("../x")),
        ({"classes": ["no", "yes", "maybe"]}, "classes: expected those of a binary task, got 3"),
        ({"classes": ["no", "no"]}, "classes: expected each name once"),
        ({"golden": []}, "golden: expected 2 scores in each, one for each name, got no golden"),
        ({"schema": {"features": []}}, "expected at least one feature"),
        (
            {"task": "multiclass", "classes": ["a", "b", "c"]},
            "golden: expected 3 scores in each, one for each name, got 2",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_manifest_that_does_not_fit_the_model_is_refused(
    models: Path, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    """Digests and graph are right; the manifest says what the graph does not."""
    layout = Layout(tmp_path / "var")
    shutil.copytree(models, layout.var)
    directory = layout.model("tiny", 1)
    path = directory / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | changes))
    pointer = Pointer.read(layout.pointer("tiny").read_bytes())
    pointer = replace(pointer, digest=broken.seal(directory))
    with pytest.raises(CorruptModel) as caught:
        load_model(directory, pointer)

    assert reason in caught.value.what


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
