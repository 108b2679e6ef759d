"""What `slipway score` refuses, and that it removes and changes nothing when it does."""

from pathlib import Path

import pytest

from contracts.errors import InvalidData, InvalidUsage
from tests.services.batch.scoring import N, predictions, score


@pytest.mark.parametrize("text", ["{}", "[1]", "not JSON", ""])
def test_overwrite_removes_nothing_of_a_folder_with_another_manifest(
    models: Path, inputs: Path, tmp_path: Path, text: str
) -> None:
    out = tmp_path / "out"
    (out / "files").mkdir(parents=True)
    (out / "manifest.json").write_text(text)
    (out / "files" / "thesis.txt").touch()

    for overwrite in (True, False):
        with pytest.raises(InvalidUsage, match=r"one of slipway score, got .*manifest\.json"):
            score(models, "tiny", inputs, out, overwrite=overwrite)
    assert (out / "manifest.json").read_text() == text
    assert (out / "files" / "thesis.txt").is_file()


def test_a_wrong_keep_removes_nothing(models: Path, inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    score(models, "tiny", inputs, out)
    before = predictions(out)
    with pytest.raises(InvalidUsage, match="--keep prediction"):
        score(models, "tiny", inputs, out, overwrite=True, keep=("prediction",))

    assert predictions(out).equals(before)


@pytest.mark.parametrize("wrong", ["prediction", "idd"])
def test_a_wrong_keep_does_not_block_the_corrected_command(
    models: Path, inputs: Path, tmp_path: Path, wrong: str
) -> None:
    with pytest.raises((InvalidUsage, InvalidData), match=wrong):
        score(models, "tiny", inputs, tmp_path / "out", keep=(wrong,))
    done = score(models, "tiny", inputs, tmp_path / "out", keep=("id",))

    assert (done.keep, done.rows) == (("id",), 3 * N)


def test_the_output_of_a_run_without_a_finished_file_loses_nothing_of_others(
    models: Path, inputs: Path, tmp_path: Path
) -> None:
    target = tmp_path / "scored.csv"
    with pytest.raises(InvalidData, match="'x'"):
        score(models, "tiny", inputs / "a.parquet", target, keep=("x",))
    target.write_text("mine")
    with pytest.raises(InvalidUsage, match="expected predictions of keep"):
        score(models, "tiny", inputs / "a.parquet", target, keep=("id",))

    assert target.read_text() == "mine"
