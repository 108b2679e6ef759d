"""The scorer: ids, pickling, failures of the model, the same bits however a file is cut."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from contracts.names import Layout
from services.batch.row_ids import RowSource, row_ids
from services.batch.scorer import RecordBatchScorer, scores_by_bisection
from tests.services.batch.scoring import N, pointer_of, predictions, rejected, score, table


def test_ids_depend_on_the_file_the_row_and_the_version_only(
    models: Path, inputs: Path, tmp_path: Path
) -> None:
    shutil.copytree(inputs, tmp_path / "moved")
    for name, source in (("one", inputs), ("two", tmp_path / "moved")):
        score(models, "tiny", source, tmp_path / name)
    one, two = predictions(tmp_path / "one"), predictions(tmp_path / "two")

    assert one.equals(two)
    rows = np.arange(3)
    ids = [
        row_ids(digest, RowSource(path, print_), rows).to_pylist()
        for digest, path, print_ in (
            ("a", "f", "x"), ("b", "f", "x"), ("a", "g", "x"), ("a", "f", "y"),
        )
    ]  # fmt: skip
    assert len({each for some in ids for each in some}) == 12
    assert all(len(each) == 36 and each[14] == "8" and each[19] in "89ab" for each in ids[0])
    far = row_ids("a", RowSource("f", "x"), np.array([1, 2**32 + 1])).to_pylist()
    assert far[0] == ids[0][1]
    assert far[1] != far[0]


def test_a_scorer_is_pickled_by_its_arguments(models: Path) -> None:
    import pickle

    pointer = pointer_of(models, "tiny")
    scorer = RecordBatchScorer(Layout(models).model("tiny", pointer.version), pointer)
    batch = pa.RecordBatch.from_pandas(table(), preserve_index=False)
    arguments: Any = (batch, RowSource("a", ""), np.arange(N), {})
    before = len(pickle.dumps(scorer))
    one = scorer.score(*arguments)
    copied = pickle.loads(pickle.dumps(scorer))  # noqa: S301 - our own bytes

    assert len(pickle.dumps(scorer)) == before
    assert copied.score(*arguments).predictions.equals(one.predictions)


def test_only_the_row_on_which_a_model_fails_has_no_score() -> None:
    calls = []

    def run(rows: Any) -> Any:
        calls.append(len(rows))
        if 13.0 in rows[:, 0]:
            raise ValueError("unlucky")
        return np.where(rows == 7.0, np.nan, rows)

    matrix = np.arange(100.0).reshape(-1, 1)
    scores, failed = scores_by_bisection(run, matrix, 1)

    assert failed == {13: "the model failed: unlucky", 7: "NaN or infinity"}
    assert (
        np.delete(scores, [7, 13], axis=0).tolist() == np.delete(matrix, [7, 13], axis=0).tolist()
    )
    assert min(calls) > 1
    assert len(calls) < 20


def test_how_a_file_is_cut_into_batches_changes_no_bit(
    models: Path, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score(models, "tiny", inputs, tmp_path / "one")
    monkeypatch.setattr("services.batch.file_batches.RECORD_BATCH_ROWS", 7)
    monkeypatch.setattr("services.batch.file_batches.MIN_BATCH_ROWS", 7)
    score(models, "tiny", inputs, tmp_path / "two", n_threads=3)

    assert predictions(tmp_path / "one").equals(predictions(tmp_path / "two"))
    assert rejected(tmp_path / "one") == rejected(tmp_path / "two")
