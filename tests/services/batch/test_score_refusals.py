"""What `slipway score` refuses, and that it removes and changes nothing when it does."""

from pathlib import Path

import pytest

from contracts.errors import InvalidData, InvalidUsage, TooManyRejected
from tests.conftest import working_in
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


def test_a_finished_output_is_judged_again_by_its_share_of_rejected_rows(
    models: Path, inputs: Path, tmp_path: Path
) -> None:
    done = score(models, "tiny", inputs, tmp_path / "out")
    assert done.rejected == 6
    before = predictions(tmp_path / "out")
    with pytest.raises(TooManyRejected, match="got 6 of 900"):
        score(models, "tiny", inputs, tmp_path / "out", max_rejected=0.001)

    assert predictions(tmp_path / "out").equals(before)
    assert score(models, "tiny", inputs, tmp_path / "out", max_rejected=0.01).rejected == 6


def test_an_output_is_apart_from_its_input_however_their_paths_are_written(
    models: Path, inputs: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(inputs)
    for target in (tmp_path / "x" / ".." / "in" / "out", tmp_path / "link" / "out"):
        with pytest.raises(InvalidUsage, match="got one within the input"):
            score(models, "tiny", inputs, target)
    with pytest.raises(InvalidUsage, match="got one within the input"):
        score(models, "tiny", tmp_path / "link", inputs / "out")
    score(models, "tiny", inputs, tmp_path / "out")
    with pytest.raises(InvalidUsage, match="expected an output that does not hold the input"):
        score(models, "tiny", tmp_path / "out" / "predictions", tmp_path / "out", overwrite=True)
    assert predictions(tmp_path / "out").num_rows == 3 * (N - 2)


def test_an_input_has_the_ids_of_its_name_however_its_path_is_written(
    models: Path, inputs: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(inputs)
    (tmp_path / "latest.parquet").symlink_to(inputs / "a.parquet")
    found = {}
    with working_in(inputs):
        for number, path in enumerate(("a.parquet", "../in/a.parquet", "../link/a.parquet")):
            score(models, "tiny", Path(path), tmp_path / f"out{number}")
            ids = predictions(tmp_path / f"out{number}")["prediction_id"].to_pylist()
            found[path] = ids
        score(models, "tiny", Path("../latest.parquet"), tmp_path / "latest")

    assert found["../in/a.parquet"] == found["../link/a.parquet"] == found["a.parquet"]
    latest = tmp_path / "latest" / "predictions" / "latest.parquet"
    assert latest.is_file()


def test_a_compressed_name_of_parquet_is_refused(
    models: Path, inputs: Path, tmp_path: Path
) -> None:
    for name in ("x.parquet.gz", "x.gz"):
        with pytest.raises(InvalidUsage, match=r"expected \.csv or \.jsonl before the suffix"):
            score(models, "tiny", inputs / "a.parquet", tmp_path / name)
