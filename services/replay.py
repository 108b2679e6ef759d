"""`python -m services.replay VAR POINTER`: score rows as a worker would, without a service.

Each line of standard input is a request: `together` or `alone`, a tab, and a body as the route
`/predict/batch` takes it. Each line of standard output is its answer, `contracts.replay.Scored`.
It is a process because who asks (monitoring) knows no model runtime; what scores is the
service's own decoder and session, so that the answers are those of the service.

Where nothing can be scored, the process ends with the error's exit code, and with a
`contracts.process_error.ProcessError` as the last line of standard error.

`alone` scores the rows one by one: a matrix of one row takes another kernel in onnxruntime
than one of several, and the last bit of a linear model's score may differ between the two.
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

MAX_ROWS = 1_000_000
"""Beyond any request that we write; the limit of a service is for strangers."""
FAILED = "the model gives no finite score for it"


def main() -> None:
    """Answer requests until the input ends; report the error if nothing can be answered."""
    var, pointer = sys.argv[1:]
    try:
        served = load(Layout(Path(var)), Pointer.read(pointer.encode(), "argument"))
        for line in sys.stdin.buffer:
            sys.stdout.buffer.write(msgspec.json.encode(scored(served, line)) + b"\n")
            sys.stdout.buffer.flush()
    except PlatformError as err:
        report_error(err)
        sys.exit(err.exit_code)


def scored(served: ServedModel, line: bytes) -> Scored:
    """The answer to one line.

    Raises:
        PlatformError: the line is no request; who wrote it is at fault, not a row.

    """
    word, _, body = line.partition(b"\t")
    try:
        parts = rows_of(body, served.decoder, MAX_ROWS)
    except Fault as fault:
        raise PlatformError(
            f"request: expected a body as /predict/batch takes it, got {fault.message}"
        ) from fault
    good = [part for part in parts if isinstance(part, Rows)]
    numbers = np.concatenate([np.asarray(part.numbers, dtype=np.float32) for part in good] or [_NO])
    scores = _scores(served, numbers, alone=word == b"alone")
    return _answer(parts, scores)


_NO = np.empty((0, 0), dtype=np.float32)


def _scores(
    served: ServedModel, numbers: NDArray[np.float32], *, alone: bool
) -> list[list[float] | None]:
    """The scores of each row; None where the model fails on it."""
    if not len(numbers):
        return []
    if not alone:
        # A row by itself is in company if it stands there twice.
        together = _run(served, np.resize(numbers, (max(len(numbers), 2), numbers.shape[1])))
        if together is not None:
            return list(together[: len(numbers)])
    # As in the service's batcher: a row that fails is tried alone, and fails alone.
    return [_first(_run(served, numbers[i : i + 1])) for i in range(len(numbers))]


def _run(served: ServedModel, numbers: NDArray[np.float32]) -> list[list[float]] | None:
    try:
        scores = served.session.run(numbers)
    except Exception:  # noqa: BLE001 - a model may fail in any way, and only its rows may fail
        return None
    return scores.tolist() if np.isfinite(scores).all() else None


def _first(scores: list[list[float]] | None) -> list[float] | None:
    return None if scores is None else scores[0]


def _answer(parts: Sequence[Rows | Fault], scores: Sequence[list[float] | None]) -> Scored:
    """Scores and refusals, by the rows' places in the request."""
    given: list[tuple[float, ...]] = []
    refused: list[RefusedRow] = []
    left = iter(scores)
    for place, reasons in enumerate(_reasons(parts)):
        if reasons:
            refused.append(RefusedRow(row=place, reasons=reasons))
        elif (row := next(left)) is None:
            refused.append(RefusedRow(row=place, reasons=(FAILED,)))
        else:
            given.append(tuple(row))
    return Scored(scores=tuple(given), refused=tuple(refused))


def _reasons(parts: Sequence[Rows | Fault]) -> Iterator[tuple[str, ...]]:
    """Why each row is refused by the schema; nothing for one that is not."""
    for part in parts:
        if isinstance(part, Rows):
            yield from ((),) * len(part)
        else:
            told = (f"{_name(each.path)}: expected {each.expected}" for each in part.violations)
            yield tuple(dict.fromkeys(told)) or (part.message,)


def _name(path: str) -> str:
    """The feature of a path: `columns.age[3]` and `rows[3].age` are both `age`."""
    return path.rpartition(".")[2].partition("[")[0] or path


if __name__ == "__main__":
    main()
