"""A verdict that calls for a retraining starts one process, and only one at a time."""

import logging
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import NotJustified, RegistryUnreachable
from contracts.verdict import Verdict
from monitoring.retraining import watcher
from monitoring.retraining.watcher import RetrainingWatcher
from monitoring.settings import MonitoringSettings
from tests.monitoring.verdict_history import verdict


@pytest.fixture
def started(tmp_path: Path) -> Path:
    """A file to which each process of a watcher adds a line."""
    path = tmp_path / "started"
    path.touch()
    return path


def watching(started: Path, monkeypatch: pytest.MonkeyPatch, *, answer: Any = None) -> Any:
    """A watcher whose retraining runs until `started` is removed; `answer` refuses it."""

    def justified(*_: Any, **__: Any) -> None:
        if answer is not None:
            raise answer

    def command(model: str, verdict_id: str) -> list[str]:
        code = (
            "import sys, time; from pathlib import Path; path = Path(sys.argv[1])\n"
            "with path.open('a') as file: file.write(' '.join(sys.argv[2:]) + '\\n')\n"
            "while path.exists(): time.sleep(0.01)"
        )
        return [sys.executable, "-c", code, str(started), model, verdict_id]

    monkeypatch.setattr(watcher, "require_justified", justified)
    nothing: Any = None
    return RetrainingWatcher(nothing, nothing, "tiny", MonitoringSettings(), command)


def drift() -> Verdict:
    return verdict(0, decision="drift")


def await_lines(path: Path, n_lines: int) -> list[str]:
    deadline = time.monotonic() + 30
    while len(path.read_text().splitlines()) < n_lines:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return path.read_text().splitlines()


def test_one_retraining_runs_at_a_time_and_its_end_is_logged_once(
    started: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="slipway.monitor")
    watched, drifted = watching(started, monkeypatch), drift()
    watched.consider(drifted)
    assert await_lines(started, 1) == [f"tiny {drifted.verdict_id}"]
    watched.consider(drifted)
    assert "retraining ended" not in caplog.text

    started.unlink()
    assert watched._process.wait(30) == 0
    started.touch()
    watched.consider(drifted)
    assert len(await_lines(started, 1)) == 1
    assert caplog.text.count("retraining ended with exit code 0") == 1
    started.unlink()
    watched._process.wait(30)


@pytest.mark.parametrize("decision", ["stable", "quality", "no_traffic", "too_few_rows"])
def test_other_verdicts_start_nothing(
    started: Path, monkeypatch: pytest.MonkeyPatch, decision: Any
) -> None:
    watched = watching(started, monkeypatch)
    watched.consider(verdict(0, decision=decision))

    assert watched._process is None


@pytest.mark.parametrize(
    ("error", "level"),
    [(NotJustified("too soon"), logging.INFO), (RegistryUnreachable("no answer"), logging.ERROR)],
)
def test_a_retraining_that_is_refused_is_logged(
    started: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    level: int,
) -> None:
    caplog.set_level(logging.INFO, logger="slipway.monitor")
    watched = watching(started, monkeypatch, answer=error)
    watched.consider(drift())

    assert watched._process is None
    (record,) = caplog.records
    assert record.levelno == level
    assert f"tiny: not retrained: {error}" in record.message
