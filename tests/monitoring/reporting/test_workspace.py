"""What `evidently ui` shows of a window is what its verdict says."""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from contracts.errors import Unwritable
from monitoring.reporting.evidently import SnapshotTarget, evidently_html
from tests.monitoring.reporting.documents import DRIFTED
from tests.slipway.conftest import BIN, free_port

# Evidently and what it imports warn of their own age while they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

END = datetime(2026, 1, 31, 13, tzinfo=UTC)
NAME = "tiny-1-20260131T120000.000Z-20260131T130000.000Z"


def stored(workspace: Path, name: str = NAME) -> None:
    rng = np.random.default_rng(0)
    before, after = (pd.DataFrame({"age": rng.normal(mean, 1, 400)}) for mean in (0, 1))
    evidently_html(before, after, [DRIFTED], SnapshotTarget(workspace, "tiny", name, END))


def got(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


@contextmanager
def evidently_ui(workspace: Path, log: Path) -> Iterator[str]:
    port = free_port()
    command = [str(BIN / "evidently"), "ui", "--workspace", str(workspace)]
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            env=os.environ | {"DO_NOT_TRACK": "1"},
            stdout=sink,
            stderr=sink,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                got(f"{url}/api/version")
            except OSError:
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
            else:
                break
        yield url
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_evidently_ui_shows_the_project_the_snapshot_and_our_numbers(tmp_path: Path) -> None:
    workspace = tmp_path / "evidently"
    stored(workspace)
    stored(workspace)
    stored(workspace, NAME.replace("T12", "T11"))
    with evidently_ui(workspace, tmp_path / "ui.log") as url:
        (project,) = got(f"{url}/api/projects")
        snapshots = got(f"{url}/api/projects/{project['id']}/snapshots")
        (snapshot,) = (each for each in snapshots if each["name"] == NAME)
        page = json.dumps(got(f"{url}/api/projects/{project['id']}/{snapshot['id']}/data"))

    assert project["name"] == "tiny"
    assert len(snapshots) == 2
    assert snapshot["timestamp"].startswith("2026-01-31T13:00:00")
    assert "effect size over every row (Slipway)" in page
    assert "0.432" in page


def test_a_workspace_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unwritable, match="expected a writable path"):
        stored(tmp_path / "file")
