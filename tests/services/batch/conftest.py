"""A folder of input with a file of each format."""

from pathlib import Path

import pytest

from tests.services.batch.scoring import table


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    table().to_parquet(folder / "a.parquet")
    table().to_csv(folder / "b.csv", index=False)
    table().to_json(folder / "c.jsonl", orient="records", lines=True)
    return folder
