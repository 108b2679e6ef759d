"""`slipway score`, and commands that read its output with `--scored`, as a person types them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import InvalidUsage, NotRegistered, PlatformError, TooManyRejected
from slipway.app import run_command_line
from tests import tiny
from tests.conftest import working_in
from tests.services.batch.scoring import predictions


@pytest.fixture
def place(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a registry of `tiny` models, and files: usual people, and older ones."""
    shutil.copy(models.parent / "mlflow.db", tmp_path / "mlflow.db")
    shutil.copytree(models, tmp_path / "var")
    people = tiny.people(3000, seed=7).drop(columns=["paid", "value"])
    people.assign(id=range(3000)).to_parquet(tmp_path / "usual.parquet")
    people.assign(age=(people["age"] + 30).clip(upper=99)).to_csv(tmp_path / "old.csv", index=False)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def run(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    """A command line with `--json`: its exit code, and what it prints."""
    code = run_command_line([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_scored_file_is_a_window_for_the_monitor(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with working_in(place):
        code, done = run("score", "tiny", "usual.parquet", "usual", "--keep", "id", capsys=capsys)
        assert (code, done["rows"], done["rejected"]) == (0, 3000, 0)
        ids = predictions(place / "usual")["prediction_id"].to_pylist()
        lines = [json.dumps({"prediction_id": each, "truth": "yes"}) for each in ids[:500]]
        (place / "labels.jsonl").write_text("\n".join(lines))
        assert run("labels", "labels.jsonl", "--model", "tiny", capsys=capsys)[0] == 0
        code, usual = run("monitor", "tiny", "--scored", "usual", capsys=capsys)
        assert (code, usual["window"]["rows"], usual["version"]) == (0, 3000, done["version"])
        assert not [f["column"] for f in usual["findings"] if f["drifted"]], usual["sentence"]
        assert usual["performance"]["labels"] == 500

        code, found = run("explain", ids[7], "--scored", "usual", capsys=capsys)
        assert (code, found["prediction"]["prediction_id"]) == (0, ids[7])
        assert found["prediction"]["version"] == found["lineage"]["version"] == done["version"]
        code, again = run("replay", "tiny", "--scored", "usual", capsys=capsys)
        assert (code, again["replayed"], again["flips"]["flips"]) == (0, 3000, 0)
        assert again["reproduction"]["identical"] == again["reproduction"]["rows"] == 3000
        assert run("explain", ids[7], capsys=capsys)[0] == NotRegistered.exit_code
        words = ["replay", "tiny", "--scored", "usual", "--last", "1d"]
        assert run(*words, capsys=capsys)[0] == InvalidUsage.exit_code

        assert run("score", "tiny", "old.csv", "old.jsonl", capsys=capsys)[0] == 0
        _, old = run("monitor", "tiny", "--scored", "old.jsonl", capsys=capsys)
        assert "age" in [f["column"] for f in old["findings"] if f["drifted"]]
        assert old["decision"] == "drift"


def test_what_cannot_be_done_is_said_with_an_exit_code(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with working_in(place):
        code, error = run("score", "tiny", "usual.parquet", "out", "--version", "9", capsys=capsys)
        assert (code, error["error"]["code"]) == (4, "not_registered")
        code, _ = run("score", "tiny", "usual.parquet", "out", "--version", "shadow", capsys=capsys)
        assert code == 4
        words = ["score", "tiny", "usual.parquet", "out", "--no-traffic", "--version", "1"]
        assert run(*words, capsys=capsys)[0] == 0
        code, error = run("monitor", "tiny", "--scored", "out", capsys=capsys)
        assert (code, "--no-traffic" in error["error"]["message"]) == (
            PlatformError.exit_code,
            True,
        )
        assert run("score", "tiny3", "usual.parquet", "out", capsys=capsys)[0] == (
            InvalidUsage.exit_code
        )
        code, _ = run("monitor", "tiny", "--scored", "usual", "--every", "1d", capsys=capsys)
        assert code == InvalidUsage.exit_code
        text = (place / "old.csv").read_text().replace(",yes", ",perhaps")
        (place / "bad.csv").write_text(text)
        words = ["score", "tiny", "bad.csv", "bad", "--max-rejected", "1%"]
        code, error = run(*words, capsys=capsys)
        assert (code, error["error"]["code"]) == (TooManyRejected.exit_code, "too_many_rejected")
        assert run_command_line(["score", "tiny", "bad.csv", "bad"]) == 0
        assert "rejected" in capsys.readouterr().out
