"""Whether a peer answers what the fitted pipeline answers; wrong answers are not timed."""

from collections.abc import Sequence
from math import inf, isfinite

import msgspec

from benchmarks.serving.peer import Peer
from benchmarks.serving.server import Server
from benchmarks.serving.testbed import BATCH_ROWS, Row, Work
from contracts.errors import PlatformError

TOLERANCE = 1e-5
N_SINGLES = 16


def check_answers(peer: Peer, server: Server, work: Work) -> float:
    """Ask rows alone and together; gives the largest difference, relative beyond 1.

    Raises:
        PlatformError: it is not within `TOLERANCE`, or answers are missing.

    """
    got: list[float | None] = []
    for row in work.singles[:N_SINGLES]:
        got += ask(peer, server, work.model, [row], batch=False)
    expected = list(work.expected[:N_SINGLES])
    if peer.takes_batches and work.model == "loan":
        got += ask(peer, server, work.model, list(work.batches[0]), batch=True)
        expected += work.expected[:BATCH_ROWS]
    if not got and not peer.predicts:
        return 0.0
    if len(got) != len(expected):
        raise PlatformError(
            f"{peer.name}: expected {len(expected)} answers, got {len(got)}",
            remedy=f"see how {type(peer).__module__} asks {peer.name}",
        )
    pairs = zip(got, expected, strict=True)
    largest = max(_difference(g, e) for g, e in pairs)
    if largest > TOLERANCE:
        raise PlatformError(
            f"{peer.name}: expected the pipeline's answers within {TOLERANCE}, "
            f"got {largest:.2g} off",
            remedy="see whether versions of scikit-learn agree",
        )
    return largest


def _difference(got: float | None, expected: float) -> float:
    """Relative beyond 1; infinite for an answer that is no number."""
    if got is None or not isfinite(got):
        return inf
    return abs(got - expected) / max(1.0, abs(expected))


def ask(
    peer: Peer, server: Server, model: str, rows: list[Row], *, batch: bool
) -> Sequence[float | None]:
    """The peer's numbers for these rows."""
    body = msgspec.json.encode(peer.body(rows, batch=batch))
    answer = server.post(peer.path(model, batch=batch), body)
    return peer.scores(msgspec.json.decode(answer), batch=batch)
