"""The held-out rows of a model are read once, and have the types that traffic has."""

from pathlib import Path

import polars as pl
import pytest

from contracts.errors import InvalidDocument
from contracts.reference import CategoryReference, NumberReference, Reference
from monitoring.reference_sample import ReferenceSample

REFERENCE = Reference(
    n_rows=3,
    n_predictions=3,
    features={
        "age": NumberReference(
            edges=(), counts=(3,), missing=0, minimum=30, maximum=50, mean=40, std=8
        ),
        "owner": CategoryReference(counts={"true": 2, "false": 1}, missing=0),
        "work": CategoryReference(counts={"yes": 3}, missing=0),
    },
    predictions={},
)


def written(folder: Path, **columns: object) -> ReferenceSample:
    """A sample as training writes it: booleans are numbers there."""
    usual = {"age": [30, None, 50], "owner": [1.0, 0.0, None], "work": ["yes", "yes", None]}
    path = folder / "reference.parquet"
    pl.DataFrame(usual | columns).write_parquet(path)
    return ReferenceSample(path, REFERENCE)


def test_features_have_the_types_of_the_reference_and_others_stay(tmp_path: Path) -> None:
    rows = written(tmp_path, label=["no", "yes", "no"]).rows

    assert rows["age"].to_list() == [30.0, None, 50.0]
    assert rows["age"].dtype == pl.Float64
    assert rows["owner"].to_list() == ["true", "false", None]
    assert rows["work"].to_list() == ["yes", "yes", None]
    assert rows["label"].to_list() == ["no", "yes", "no"]


def test_the_file_is_read_once(tmp_path: Path) -> None:
    sample = written(tmp_path)
    first = sample.rows
    sample.path.unlink()

    assert sample.rows is first


def test_a_sample_that_cannot_be_read_or_lacks_a_feature_is_an_error(tmp_path: Path) -> None:
    lacking = written(tmp_path)
    pl.read_parquet(lacking.path).drop("work").write_parquet(lacking.path)
    with pytest.raises(InvalidDocument, match="expected held-out rows in Parquet"):
        _ = lacking.rows
    with pytest.raises(InvalidDocument, match="expected held-out rows in Parquet"):
        _ = ReferenceSample(tmp_path / "nothing.parquet", REFERENCE).rows
