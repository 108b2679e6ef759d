"""Spark and Ray give the rows of `slipway score`, bit for bit."""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.services.batch.engine_rows import scorer_of
from tests.services.batch.scoring import N, predictions, rejected, score

ROOT = Path(__file__).parents[3]
RAY_TIMEOUT_S = 400
SPARK_TIMEOUT_S = 400


def check(rows: pa.Table, out: Path) -> None:
    """The rows of an engine are those of an output."""
    listed = rows.to_pylist()
    assert len(listed) == 3 * N
    assert [(r["file"], r["row"]) for r in listed] == [
        (file, row) for file in ("a.parquet", "b.csv", "c.jsonl") for row in range(N)
    ]
    names = predictions(out).column_names
    scored = [{n: r[n] for n in names} for r in listed if r["violations"] is None]
    assert scored == predictions(out).to_pylist()
    refused = [
        {"file": r["file"], "row": r["row"], **violation}
        for r in listed
        for violation in r["violations"] or ()
    ]
    assert refused == rejected(out)
    assert all(r["prediction_id"] is None for r in listed if r["violations"])


def test_files_scored_one_by_one_have_the_rows_of_the_run(
    models: Path, inputs: Path, tmp_path: Path
) -> None:
    score(models, "tiny", inputs, tmp_path / "out")
    scorer = scorer_of(models, "tiny", inputs)
    tables = [pa.Table.from_batches(scorer.score(part)) for part in scorer.files().to_batches()]

    assert tables[0].schema.equals(scorer.schema())
    check(pa.concat_tables(tables), tmp_path / "out")
    scorer.close()


@pytest.mark.slow
@pytest.mark.skipif(find_spec("pyspark") is None, reason="pyspark is not installed (extra `spark`)")
@pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java")
def test_spark_gives_the_same_rows(models: Path, inputs: Path, tmp_path: Path) -> None:
    score(models, "tiny", inputs, tmp_path / "out")
    check(run_engine("spark", models, inputs, tmp_path, []), tmp_path / "out")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed (extra `ray`)")
def test_ray_gives_the_same_rows(models: Path, inputs: Path, tmp_path: Path) -> None:
    """In a network namespace of its own, since Ray listens on every address."""
    alone = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    probe = subprocess.run([*alone, "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("no network namespace can be made here, and Ray would listen on every address")
    score(models, "tiny", inputs, tmp_path / "out")
    check(run_engine("ray", models, inputs, tmp_path, alone), tmp_path / "out")


def run_engine(
    engine: str, models: Path, inputs: Path, folder: Path, before: list[str]
) -> pa.Table:
    """The rows that an engine gives, in a process of its own."""
    target = folder / f"{engine}.parquet"
    module = [sys.executable, "-m", "tests.services.batch.engine_rows", engine]
    environ: dict[str, Any] = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_TMPDIR": str(folder.anchor + "tmp"),
    }
    done = subprocess.run(
        [*before, *module, str(models), "tiny", str(inputs), str(target)],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=RAY_TIMEOUT_S if engine == "ray" else SPARK_TIMEOUT_S,
        check=False,
    )
    if engine == "ray" and "raylet" in done.stderr and done.returncode:
        pytest.skip(f"the raylet does not start here: {json.dumps(done.stderr[-300:])}")
    assert done.returncode == 0, done.stderr[-4000:]
    return pq.read_table(target)
