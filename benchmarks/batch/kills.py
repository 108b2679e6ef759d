"""`python -m benchmarks.batch.kills`: a run is killed at random moments, and must end complete.

The output of the killed run is compared with that of a run that nothing interrupted.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.batch.scorers import SCORERS
from benchmarks.batch.workload import Workload, make_workload

WHO = "slipway score"
ROOT = Path(__file__).parents[2]


def main() -> None:
    """Kill and check; the exit code is 1 if a row is missing or there twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="slipway-kills-"))
    try:
        sys.exit(_kill(make_workload(folder, wanted.rows), wanted, folder))
    finally:
        os.chdir("/")
        shutil.rmtree(folder)


def _kill(work: Workload, wanted: argparse.Namespace, folder: Path) -> int:
    rng, output = random.Random(wanted.seed), folder / "out"
    begin = time.monotonic()
    SCORERS[WHO](work.directory, work.pointer, work.inputs, folder / "whole")
    whole_s = time.monotonic() - begin
    n_killed = 0
    for _ in range(wanted.kills):
        process = _start(work, output)
        try:
            process.wait(rng.uniform(0, whole_s / wanted.kills * 2))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            n_killed += 1
        process.wait()
    n_finished = len(list(output.glob("files/*.json")))
    _start(work, output).communicate()
    found, expected = _rows(output), _rows(folder / "whole")
    ids = set(found["prediction_id"].to_pylist())
    is_same = found.equals(expected) and len(ids) == work.rows
    left = list(output.rglob(".incoming*"))
    sys.stdout.write(
        f"{n_killed} kills, {n_finished} of {len(list(work.inputs.iterdir()))} files finished "
        f"before the last start; {len(found):,} rows, {len(ids):,} ids, "
        f"{'equal to' if is_same else 'DIFFERENT from'} an undisturbed run; "
        f"{len(left)} temporary files left\n"
    )
    return 0 if is_same and not left else 1


def _start(work: Workload, output: Path) -> "subprocess.Popen[bytes]":
    arguments = [WHO, str(work.directory), work.pointer.write().decode(), str(work.inputs)]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.batch.scorers", *arguments, str(output)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    if process.stdout is not None:
        process.stdout.readline()  # it has imported everything
    return process


def _rows(output: Path) -> pa.Table:
    columns = ["id", "prediction_id", "prediction", "probabilities.yes"]
    paths = sorted((output / "predictions").iterdir())
    return pa.concat_tables([pq.read_table(path, columns=columns) for path in paths])


if __name__ == "__main__":
    main()
