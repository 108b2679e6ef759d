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

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from contracts.errors import PlatformError
from contracts.manifest import Pointer
from contracts.names import Layout
from contracts.process_error import report_error
from contracts.replay import RefusedRow, Scored
from services.faults import Fault
from services.inference.loader import ServedModel, load_model
from services.inference.model_source import ModelSource
from services.inference.rows import Rows, model_input
from services.inference.scores import scores_by_row, scores_or_failures
from services.protocols.batch import batch_rows

MAX_REQUEST_ROWS = 1_000_000
"""More rows than any request of ours has; the limits of a service are for its clients."""
NO_SCORE = "the model gives no finite score for it"


def main() -> None:
    """Answer requests until the input ends."""
    var, pointer = sys.argv[1:]
    try:
        wanted = Pointer.read(pointer.encode(), "argument")
        directory = ModelSource(Layout(Path(var))).directory(wanted)
        served = load_model(directory, wanted)
        with contextlib.closing(served.session):
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
        rows = batch_rows(body, served.decoder, MAX_REQUEST_ROWS, lists_all=True)
    except Fault as fault:
        raise PlatformError(
            f"request: expected a body of /predict/batch, got {fault.message}"
        ) from fault
    return _answer(rows, _scores(served, rows, one_by_one=mode == b"single"))


def _scores(served: ServedModel, rows: Rows, *, one_by_one: bool) -> list[list[float] | Exception]:
    """The scores of each valid row, or the exception with which the model fails on it."""
    if not rows.features:
        return []
    run, dtype = served.session.run, served.session.dtype
    if one_by_one:
        return scores_by_row(run, model_input([rows], dtype))
    # A single row is doubled, so that it runs through the kernel for several rows.
    several = [rows, rows] if len(rows) == 1 else [rows]
    return scores_or_failures(run, model_input(several, dtype))[: len(rows)]


def _answer(rows: Rows, scores: Sequence[list[float] | Exception]) -> Scored:
    """Scores and refusals, in the order of the rows in the request."""
    scored: list[tuple[float, ...]] = []
    refused: list[RefusedRow] = []
    remaining = iter(scores)
    for index in range(len(rows) + len(rows.refused)):
        if index in rows.refused:
            refused.append(RefusedRow(row=index, reasons=_reasons(rows.refused[index])))
        elif isinstance(row := next(remaining), Exception):
            refused.append(RefusedRow(row=index, reasons=(NO_SCORE,)))
        else:
            scored.append(tuple(row))
    return Scored(scores=tuple(scored), refused=tuple(refused))


def _reasons(fault: Fault) -> tuple[str, ...]:
    """Why the schema refuses a row."""
    reasons = (f"{_feature(v.path)}: expected {v.expected}" for v in fault.violations)
    return tuple(dict.fromkeys(reasons)) or (fault.message,)


def _feature(path: str) -> str:
    """The feature that a path names: `age` for both `columns.age[3]` and `rows[3].age`."""
    return path.rpartition(".")[2].partition("[")[0] or path


if __name__ == "__main__":
    main()
