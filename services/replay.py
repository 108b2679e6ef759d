"""`python -m services.replay VAR POINTER`: score rows as a worker would, without a service.

Each line of standard input is a request: `batch` or `single`, a tab, and a body of the route
`/predict/batch`. Each line of standard output is its answer, `contracts.replay.Scored`. It is a
process because its caller, monitoring, imports no model runtime; the service's own decoder and
session do the scoring, so the answers are those of the service.

`single` scores the rows one by one. onnxruntime uses one kernel for a matrix of one row and
another for several, and the last bit of a linear model's score may differ between them.

An error ends the process with its exit code, and with a `contracts.process_error.ProcessError` as
the last line of standard error.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.errors import PlatformError
from contracts.manifest import Pointer
from contracts.names import Layout
from contracts.process_error import report_error
from contracts.replay import RefusedRow, Scored
from services.faults import Fault
from services.inference.decode import Rows
from services.inference.loader import ServedModel, load
from services.protocols.batch import rows_of

MAX_REQUEST_ROWS = 1_000_000
"""More rows than any request of ours has; the limits of a service are for its clients."""
NO_SCORE = "the model gives no finite score for it"


def main() -> None:
    """Answer requests until the input ends."""
    var, pointer = sys.argv[1:]
    try:
        served = load(Layout(Path(var)), Pointer.read(pointer.encode(), "argument"))
        for line in sys.stdin.buffer:
            sys.stdout.buffer.write(msgspec.json.encode(score(served, line)) + b"\n")
            sys.stdout.buffer.flush()
    except PlatformError as err:
        report_error(err)
        sys.exit(err.exit_code)


def score(served: ServedModel, line: bytes) -> Scored:
    """The answer to one line of input.

    Raises:
        PlatformError: the body is malformed as a whole, which is the caller's fault.

    """
    mode, _, body = line.partition(b"\t")
    try:
        parts = rows_of(body, served.decoder, MAX_REQUEST_ROWS)
    except Fault as fault:
        raise PlatformError(
            f"request: expected a body of /predict/batch, got {fault.message}"
        ) from fault
    valid = [np.asarray(part.numbers, dtype=np.float32) for part in parts if isinstance(part, Rows)]
    numbers = np.concatenate(valid or [_NO_ROWS])
    return _answer(parts, _scores(served, numbers, one_by_one=mode == b"single"))


_NO_ROWS = np.empty((0, 0), dtype=np.float32)


def _scores(
    served: ServedModel, numbers: NDArray[np.float32], *, one_by_one: bool
) -> list[list[float] | None]:
    """The scores of each row, in the order of `numbers`; None where the model fails."""
    if not len(numbers):
        return []
    if not one_by_one:
        # A single row is doubled, so that it runs through the kernel for several rows.
        batch = _run(served, np.resize(numbers, (max(len(numbers), 2), numbers.shape[1])))
        if batch is not None:
            return list(batch[: len(numbers)])
    # As in the service's batcher: a failing row does not fail the rest of its batch.
    return [_first(_run(served, numbers[i : i + 1])) for i in range(len(numbers))]


def _run(served: ServedModel, numbers: NDArray[np.float32]) -> list[list[float]] | None:
    try:
        scores = served.session.run(numbers)
    except Exception:  # noqa: BLE001 - a model may fail in any way; its rows are refused
        return None
    return scores.tolist() if np.isfinite(scores).all() else None


def _first(scores: list[list[float]] | None) -> list[float] | None:
    return None if scores is None else scores[0]


def _answer(parts: Sequence[Rows | Fault], scores: Sequence[list[float] | None]) -> Scored:
    """Scores and refusals, in the order of the rows in the request."""
    scored: list[tuple[float, ...]] = []
    refused: list[RefusedRow] = []
    remaining = iter(scores)
    for index, reasons in enumerate(_reasons(parts)):
        if reasons:
            refused.append(RefusedRow(row=index, reasons=reasons))
        elif (row := next(remaining)) is None:
            refused.append(RefusedRow(row=index, reasons=(NO_SCORE,)))
        else:
            scored.append(tuple(row))
    return Scored(scores=tuple(scored), refused=tuple(refused))


def _reasons(parts: Sequence[Rows | Fault]) -> Iterator[tuple[str, ...]]:
    """Why the schema refuses each row; empty for a valid row."""
    for part in parts:
        if isinstance(part, Rows):
            yield from ((),) * len(part)
        else:
            reasons = (f"{_feature(v.path)}: expected {v.expected}" for v in part.violations)
            yield tuple(dict.fromkeys(reasons)) or (part.message,)


def _feature(path: str) -> str:
    """The feature that a path names: `age` for both `columns.age[3]` and `rows[3].age`."""
    return path.rpartition(".")[2].partition("[")[0] or path


if __name__ == "__main__":
    main()
