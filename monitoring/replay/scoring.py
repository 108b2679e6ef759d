"""Scores a block with the replayed version, and reproduces its own answers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from contracts.errors import InvalidDocument
from contracts.replay import Scored
from monitoring.baseline import Baseline
from monitoring.explanation.scoring_process import ScoringProcess
from monitoring.replay.blocks import Block
from monitoring.replay.comparison import ReplayedRows, logged_class_indices
from monitoring.replay.results import ReplayResults


def score_block(
    process: ScoringProcess, baseline: Baseline, block: Block, results: ReplayResults
) -> None:
    """Score a block with the version of `baseline`, and count what it answers and refuses.

    Raises:
        CorruptModel: the version cannot be loaded, or does not answer in time.

    """
    schema = baseline.manifest.schema
    refused = {
        row: [f"{v.path}: expected {v.expected}" for v in schema.violations(features)]
        for row, features in block.unknown_features.items()
    }
    rows = np.array([i for i in range(len(block)) if i not in refused], dtype=np.int64)
    if len(rows):
        scored = process.score(_columns(block, rows))
        refused |= {int(rows[row.row]): list(row.reasons) for row in scored.refused}
        replayed = _replayed(scored, rows, baseline)
        replayed = _reproduced(process, baseline, block, replayed, results)
        if len(replayed):
            results.add(block, replayed)
    results.refuse(block.ids, refused)


def _columns(block: Block, rows: NDArray[np.int64]) -> dict[str, Sequence[object]]:
    if len(rows) == len(block):
        return dict(block.features)
    return {name: [values[i] for i in rows] for name, values in block.features.items()}


def _replayed(scored: Scored, rows: NDArray[np.int64], baseline: Baseline) -> ReplayedRows:
    """The answers to `rows`, without those that were refused."""
    answered = np.delete(rows, [row.row for row in scored.refused])
    if len(scored.scores) != len(answered):
        raise InvalidDocument(
            f"services.replay: expected scores of {len(answered)} rows, got {len(scored.scores)}",
            remedy="its code is of another version of Slipway: make setup",
        )
    n_outputs = len(baseline.manifest.classes or baseline.manifest.outputs)
    scores = np.array(scored.scores, dtype=np.float64).reshape(len(answered), n_outputs)
    return ReplayedRows.of(baseline.manifest, answered, scores)


def _reproduced(
    process: ScoringProcess,
    baseline: Baseline,
    block: Block,
    replayed: ReplayedRows,
    results: ReplayResults,
) -> ReplayedRows:
    """The replayed rows, with those of the version itself scored as they were when answered.

    A linear model may give a row a different last bit singly than in a batch, and which of the
    two was logged depends on who else sent requests at that time. So a row that differs in a
    batch is also scored singly.
    """
    own = np.flatnonzero(block.versions[replayed.rows] == baseline.version)
    if not len(own):
        return replayed
    same = _identical(baseline, block, replayed.rows[own], replayed.scores[own])
    differing = own[~same]
    n_unbatched = 0
    if len(differing):
        scored = process.score(_columns(block, replayed.rows[differing]), one_by_one=True)
        singly = _replayed(scored, replayed.rows[differing], baseline)
        if len(singly) == len(differing):
            closer = _identical(baseline, block, singly.rows, singly.scores)
            scores = replayed.scores.copy()
            scores[differing[closer]] = singly.scores[closer]
            replayed = ReplayedRows.of(baseline.manifest, replayed.rows, scores)
            same[np.flatnonzero(~same)[closer]] = True
            n_unbatched = int(closer.sum())
    rest = own[~same]
    differences = np.abs(block.scores[replayed.rows[rest]] - replayed.scores[rest])
    # A score that the log does not have is NaN, and has no difference.
    max_difference = float(differences[np.isfinite(differences)].max(initial=0.0))
    results.reproduce(same, n_unbatched, max_difference)
    return replayed


def _identical(
    baseline: Baseline, block: Block, rows: NDArray[np.int64], scores: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether each row has the logged decision and the logged bits in every score."""
    replayed = ReplayedRows.of(baseline.manifest, rows, scores)
    logged = logged_class_indices(baseline.manifest, [block.predictions[i] for i in rows])
    return (logged == replayed.class_indices) & (block.scores[rows] == scores).all(axis=1)
