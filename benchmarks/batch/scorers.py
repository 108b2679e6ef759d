"""`python -m benchmarks.batch.scorers WHO ...`: one way to score files, in a process of its own.

It prints the seconds of the scoring itself, without imports, and the peak of its memory in MB.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.batch.workload import FEATURES
from contracts.manifest import Pointer
from contracts.names import MODEL_FILE, MODEL_INPUT


def ours(directory: Path, pointer: Pointer, inputs: Path, output: Path) -> None:
    """`slipway score` without records of traffic, which the loop does not write either."""
    _slipway(directory, pointer, inputs, output, with_traffic=False)


def ours_with_traffic(directory: Path, pointer: Pointer, inputs: Path, output: Path) -> None:
    """`slipway score` as it is by default: also the records that the monitor reads."""
    _slipway(directory, pointer, inputs, output, with_traffic=True)


def by_hand(directory: Path, pointer: Pointer, inputs: Path, output: Path) -> None:
    """What an engineer writes in ten minutes: polars and onnxruntime, all threads, no checks."""
    import onnxruntime
    import polars as pl

    del pointer
    session = onnxruntime.InferenceSession(directory / MODEL_FILE)
    output.mkdir()
    for path in sorted(inputs.iterdir()):
        table = pl.read_parquet(path)
        matrix = table.select(FEATURES).to_numpy().astype(np.float32)
        scores = session.run(None, {MODEL_INPUT: matrix})[0]
        pl.DataFrame(
            {
                "id": table["id"],
                "prediction": np.where(scores[:, 1] >= 0.5, "yes", "no"),  # noqa: PLR2004 - the threshold
                "no": scores[:, 0],
                "yes": scores[:, 1],
            }
        ).write_parquet(output / path.name, compression="snappy")


def _slipway(
    directory: Path, pointer: Pointer, inputs: Path, output: Path, *, with_traffic: bool
) -> None:
    from services.batch.run import ScoringOptions, score_files

    options = ScoringOptions(str(inputs), str(output), ("id",), with_traffic=with_traffic)
    score_files(directory, pointer, options, lambda _: None)


BEGIN = "begin"
"""The line that is printed when everything is imported."""
SCORERS: dict[str, Callable[[Path, Pointer, Path, Path], None]] = {
    "slipway score --no-traffic": ours,
    "slipway score": ours_with_traffic,
    "polars + onnxruntime": by_hand,
}


def main() -> None:
    """Run one of `SCORERS`."""
    who, directory, pointer, inputs, output = sys.argv[1:]
    for name in ("pyarrow.parquet", "polars", "onnxruntime", "services.batch.run"):
        __import__(name)
    sys.stdout.write(f"{BEGIN}\n")
    sys.stdout.flush()
    wall, cpu = time.perf_counter(), time.process_time()
    SCORERS[who](Path(directory), Pointer.read(pointer.encode()), Path(inputs), Path(output))
    seconds = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    sys.stdout.write(json.dumps({**seconds, "peak_mb": peak_mb}) + "\n")


if __name__ == "__main__":
    main()
