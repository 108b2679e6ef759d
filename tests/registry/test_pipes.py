"""What processes say to each other on their pipes is JSON: results, and why they failed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.errors import CorruptModel, NotRegistered
from contracts.process_error import ProcessError
from contracts.pull import PullResult
from registry.pull import pull
from registry.trial import service_trial
from tests.conftest import Workplace


def run(
    workplace: Workplace, *words: str, stdin: bytes = b""
) -> "subprocess.CompletedProcess[bytes]":
    """`python -m WORDS` in the workplace."""
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=workplace.root,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        input=stdin,
        capture_output=True,
        timeout=120,
        check=False,
    )


def report_of(done: "subprocess.CompletedProcess[bytes]") -> ProcessError:
    """The last line of standard error, which must be a report."""
    return ProcessError.read(done.stderr.splitlines()[-1])


def test_a_pull_prints_its_result_as_json(promoted: Workplace) -> None:
    done = run(promoted, "registry", "pull", "--json")

    result = PullResult.read(done.stdout)
    assert [(p.name, p.version) for p in result.pulled] == [("tiny", 1)]
    assert (result.refused, result.removed) == ((), ())


def test_a_pull_that_fails_reports_the_kind_the_message_and_the_remedy(trained: Workplace) -> None:
    done = run(trained, "registry", "pull", "--json")
    report = report_of(done)

    assert done.returncode == NotRegistered.exit_code
    assert done.stdout == b""
    assert report.code == "nothing_in_production"
    assert "expected a model with the alias 'production', got none" in report.message
    assert "slipway promote MODEL" in report.remedy


def test_a_pull_without_json_speaks_to_people(trained: Workplace) -> None:
    said = run(trained, "registry", "pull").stderr.decode()

    assert "error: production: expected a model" in said
    assert "help: slipway train --all" in said


@pytest.mark.parametrize(
    ("process", "more"), [("services.trial", ("60",)), ("services.replay", ())]
)
def test_a_version_that_cannot_be_loaded_is_reported_by_the_service(
    promoted: Workplace, process: str, more: tuple[str, ...]
) -> None:
    pointer = pull(promoted.store, promoted.layout, "tiny")
    (promoted.layout.model("tiny", 1) / "model.onnx").write_bytes(b"broken")
    done = run(promoted, process, str(promoted.layout.var), pointer.write().decode(), *more)
    report = report_of(done)

    assert done.returncode == CorruptModel.exit_code
    assert report.code == "corrupt_model"
    assert "model.onnx: expected sha256" in report.message
    assert report.remedy == "fetch it again: slipway pull"


def test_the_registry_raises_what_the_trial_reported(
    promoted: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    pointer = pull(promoted.store, promoted.layout, "tiny")
    service_trial(60.0)(promoted.layout, pointer)
    (promoted.layout.model("tiny", 1) / "model.onnx").write_bytes(b"broken")
    with pytest.raises(CorruptModel, match=r"model\.onnx: expected sha256") as caught:
        service_trial(60.0)(promoted.layout, pointer)

    assert caught.value.remedy == "fetch it again: slipway pull"


def test_a_replay_reports_a_line_that_is_no_request(promoted: Workplace) -> None:
    pointer = pull(promoted.store, promoted.layout, "tiny")
    words = ("services.replay", str(promoted.layout.var), pointer.write().decode())
    report = report_of(run(promoted, *words, stdin=b"batch\tnonsense\n"))

    assert report.code == "platform_error"
    assert "request: expected a body of /predict/batch" in report.message
