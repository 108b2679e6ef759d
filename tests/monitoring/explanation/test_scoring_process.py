"""What the scoring process returns, and how it fails."""

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from contracts.errors import CorruptModel, PlatformError
from contracts.names import Layout
from monitoring.baseline import find_baseline
from monitoring.explanation.scoring_process import ScoringProcess
from tests import tiny
from tests.conftest import Workplace
from training.dataset import plain_rows


def test_a_single_row_is_scored_as_in_a_batch_unless_asked_one_by_one(place: Workplace) -> None:
    """A linear model gives a different last bit for a matrix of one row; blocks end anywhere."""
    rows = plain_rows(tiny.people(60, 8), tiny.SCHEMA)
    columns = {name: [row[name] for row in rows] for name in tiny.SCHEMA.names}
    with ScoringProcess(
        place.layout, find_baseline(place.store, place.layout, "tiny", 1)
    ) as process:
        together = process.score(columns).scores
        single = [
            process.score({name: values[i : i + 1] for name, values in columns.items()}).scores[0]
            for i in range(len(rows))
        ]
        alone = process.score(columns, one_by_one=True).scores

    assert tuple(single) == together
    assert alone != together
    assert np.allclose(alone, together, atol=1e-6)


def test_a_model_that_cannot_be_loaded_is_reported(place: Workplace, tmp_path: Path) -> None:
    """The service's own checks refuse it, and their message is passed on."""
    layout = Layout(tmp_path)
    baseline = find_baseline(place.store, place.layout, "tiny", 1)
    shutil.copytree(baseline.directory, layout.model("tiny", 1))
    (layout.model("tiny", 1) / "model.onnx").write_bytes(b"no model")
    with (
        pytest.raises(CorruptModel, match=r"model\.onnx: expected sha256"),
        ScoringProcess(layout, baseline) as process,
    ):
        process.score({"age": [1]})


def test_a_process_that_dies_is_reported(place: Workplace) -> None:
    with ScoringProcess(
        place.layout, find_baseline(place.store, place.layout, "tiny", 1)
    ) as process:
        process._process.kill()
        process._process.wait()
        with pytest.raises(CorruptModel, match="the scoring process was killed"):
            process.score({"age": [1]})


def test_a_model_that_hangs_is_given_up(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.explanation.scoring_process.SCORING_TIMEOUT_S", 0.2)
    with ScoringProcess(
        place.layout, find_baseline(place.store, place.layout, "tiny", 1)
    ) as process:
        os.kill(process._process.pid, signal.SIGSTOP)
        with pytest.raises(CorruptModel, match=r"no answer within 0\.2 s"):
            process.score({"age": [1]})


def test_a_body_that_is_no_request_is_refused_by_name(place: Workplace) -> None:
    with (
        ScoringProcess(
            place.layout, find_baseline(place.store, place.layout, "tiny", 1)
        ) as process,
        pytest.raises(PlatformError, match="expected a body of /predict/batch, got"),
    ):
        process.score({})
