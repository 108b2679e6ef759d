"""`python -m benchmarks.batch`: rows per second of `slipway score` and of its peers, in one run.

`--rows 10000000` shows that memory does not grow. Rounds alternate between the ways, so that other
work on the machine meets all of them; the best round of each counts, and the CPU seconds too.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from benchmarks.batch.scorers import SCORERS
from benchmarks.batch.workload import FEATURES, Workload, make_workload

OURS, BY_HAND = "slipway score --no-traffic", "polars + onnxruntime"
ROOT = Path(__file__).parents[2]


def main() -> None:
    """Print a table of rows per second, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mlflow-rows", type=int, default=50_000)
    wanted = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="slipway-batch-"))
    try:
        _compare(make_workload(folder, wanted.rows), wanted, folder)
    finally:
        os.chdir("/")
        shutil.rmtree(folder)


def _compare(work: Workload, wanted: argparse.Namespace, folder: Path) -> None:
    found: dict[str, list[dict[str, float]]] = {who: [] for who in SCORERS}
    for _ in range(wanted.rounds):
        for who, rounds in found.items():
            rounds.append(_run(who, work, folder / "out"))
    rates = {who: work.rows / min(r["wall_s"] for r in rounds) for who, rounds in found.items()}
    for who, rounds in found.items():
        cpu_us = min(r["cpu_s"] for r in rounds) / work.rows * 1e6
        peak_mb = max(r["peak_mb"] for r in rounds)
        _say(f"{who:28} {rates[who]:>12,.0f} rows/s  {cpu_us:6.2f} us CPU/row  {peak_mb:,.0f} MB")
    mlflow = _mlflow_rate(work, wanted.mlflow_rows, folder)
    _say(f"{'mlflow models predict':28} {mlflow:>12,.0f} rows/s  (CSV, start not counted)")
    _say(f"slipway / by hand: {rates[OURS] / rates[BY_HAND]:.2f}")
    _say(f"slipway / mlflow models predict: {rates[OURS] / mlflow:.0f}")


def _run(who: str, work: Workload, output: Path) -> dict[str, float]:
    shutil.rmtree(output, ignore_errors=True)
    arguments = [who, str(work.directory), work.pointer.write().decode(), str(work.inputs)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.batch.scorers", *arguments, str(output)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _mlflow_rate(work: Workload, rows: int, folder: Path) -> float:
    """Rows per second of `mlflow models predict`: more rows against few, so without its start."""
    seconds = []
    for n_rows in (1_000, rows):
        table = pq.read_table(next(work.inputs.iterdir()), columns=list(FEATURES)).slice(0, n_rows)
        arrow_csv.write_csv(table, folder / "rows.csv")
        begin = time.perf_counter()
        subprocess.run(
            [str(Path(sys.executable).with_name("mlflow")), "models", "predict",
             "--model-uri", f"models:/{work.pointer.name}/{work.pointer.version}",
             "--input-path", str(folder / "rows.csv"), "--content-type", "csv",
             "--output-path", str(folder / "answers.json"), "--env-manager", "local"],
            cwd=folder,
            env=os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"},
            capture_output=True,
            check=True,
        )  # fmt: skip
        seconds.append(time.perf_counter() - begin)
    return (rows - 1_000) / max(seconds[1] - seconds[0], 1e-9)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    main()
