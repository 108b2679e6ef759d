"""`python -m benchmarks.batch`: rows per second of `slipway score` and of its peers, in one run.

`--rows 10000000` shows that memory does not grow. Rounds alternate between the ways, so that other
work on the machine meets all of them; the best round of each counts. `mlflow models predict` is
compared by its CPU time, since most of its wall time is its start.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from benchmarks.batch.scorers import SCORERS
from benchmarks.batch.workload import FEATURES, Workload, make_workload

OURS, BY_HAND = "slipway score --no-traffic", "polars + onnxruntime"
FEW_ROWS = 1_000
ROOT = Path(__file__).parents[2]


def main() -> None:
    """Print a table of rows per second, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mlflow-rows", type=int, default=300_000)
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
    cpu_us = {
        who: min(r["cpu_s"] for r in rounds) / work.rows * 1e6 for who, rounds in found.items()
    }
    for who, rounds in found.items():
        peak_mb = max(r["peak_mb"] for r in rounds)
        _say(
            f"{who:28} {rates[who]:>12,.0f} rows/s  {cpu_us[who]:6.2f} us CPU/row  "
            f"{peak_mb:,.0f} MB"
        )
    uri = f"models:/{work.pointer.name}/{work.pointer.version}"
    alone, started = mlflow_cpu_us(uri, work.inputs, wanted.mlflow_rows, folder)
    _say(
        f"mlflow models predict (CSV) {alone:.2f} us CPU/row, {started:.2f} with its start, for "
        f"{wanted.mlflow_rows:,} rows"
    )
    _say(f"speed against the loop by hand: {rates[OURS] / rates[BY_HAND]:.2f}")
    _say(f"CPU of mlflow / ours: {alone / cpu_us[OURS]:.1f}, {started / cpu_us[OURS]:.1f} started")


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


def mlflow_cpu_us(uri: str, inputs: Path, rows: int, folder: Path) -> tuple[float, float]:
    """Microseconds of CPU per row of `mlflow models predict`, without its start and with it."""
    seconds = []
    for n_rows in (FEW_ROWS, rows):
        table = pq.read_table(next(inputs.iterdir()), columns=list(FEATURES)).slice(0, n_rows)
        arrow_csv.write_csv(table, folder / "rows.csv")
        begin = _cpu_of_children_s()
        subprocess.run(
            [str(Path(sys.executable).with_name("mlflow")), "models", "predict",
             "--model-uri", uri, "--input-path", str(folder / "rows.csv"),
             "--content-type", "csv", "--output-path", str(folder / "answers.json"),
             "--env-manager", "local"],
            cwd=folder,
            env=os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"},
            capture_output=True,
            check=True,
        )  # fmt: skip
        seconds.append(_cpu_of_children_s() - begin)
    return (seconds[1] - seconds[0]) / (rows - FEW_ROWS) * 1e6, seconds[1] / rows * 1e6


def _cpu_of_children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    main()
