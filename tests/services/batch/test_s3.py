"""Files in an S3-compatible store: a real SeaweedFS."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from contracts.names import Layout
from contracts.scored_output import ScoredOutput
from services.batch.run import ScoringOptions, score_files
from services.batch.storage import StorageUnreachable, open_storage
from tests.registry.tracking_servers import BUCKET, KEY, object_store
from tests.services.batch.scoring import N, ignore, pointer_of, predictions, rejected, score
from tests.slipway.conftest import free_port

pytestmark = pytest.mark.slow


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a bucket, which the environment says how to reach."""
    (tmp_path / "weed").mkdir()
    for name, value in KEY.items():
        monkeypatch.setenv(name, value)
    with object_store(tmp_path / "weed") as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        yield f"s3://{BUCKET}"


def test_files_in_a_bucket_have_the_predictions_of_files_here(
    store: str, models: Path, inputs: Path, tmp_path: Path
) -> None:
    s3 = open_storage(store)
    fs.copy_files(str(inputs), f"{BUCKET}/in", destination_filesystem=s3.filesystem)
    pointer = pointer_of(models, "tiny")

    def run() -> ScoredOutput:
        options = ScoringOptions(f"{store}/in", f"{store}/out")
        return score_files(Layout(models).model("tiny", 1), pointer, options, ignore)

    first = run()
    assert (first.files, first.rows, first.rejected) == (3, 3 * N, 6)
    assert run().started_at == first.started_at
    fs.copy_files(f"{BUCKET}/out", str(tmp_path / "copy"), source_filesystem=s3.filesystem)
    score(models, "tiny", inputs, tmp_path / "out")
    assert predictions(tmp_path / "copy").equals(predictions(tmp_path / "out"))
    assert rejected(tmp_path / "copy") == rejected(tmp_path / "out")
    assert not [info for info in s3.listed(f"{BUCKET}/out") if ".incoming" in info.path]
    traffic = list((tmp_path / "copy" / "traffic").rglob("*.parquet"))
    assert sum(pq.read_metadata(path).num_rows for path in traffic) == 3 * N - 6


def test_a_store_that_does_not_answer_is_named_with_what_to_check(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    for name, value in KEY.items():
        monkeypatch.setenv(name, value)
    options = ScoringOptions("s3://models/in", "s3://models/out")
    with pytest.raises(StorageUnreachable, match="models/in: expected to be read"):
        score_files(Layout(models).model("tiny", 1), pointer_of(models, "tiny"), options, ignore)
