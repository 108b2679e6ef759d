"""A logged prediction against the replayed one, row by row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.decision_rule import DecisionRule
from contracts.manifest import Manifest
from monitoring.replay.blocks import Block


@dataclass(frozen=True)
class ReplayedRows:
    """What a version answers to some rows of a block.

    `rows` are their indices in the block, shape `(n_rows,)`. `scores` has the shape
    `(n_rows, n_outputs)`; `monitored`, the score that is watched, and `class_indices`, the
    decision, have the shape `(n_rows,)`. A regression has the class index 0 in every row.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    monitored: NDArray[np.float64]
    class_indices: NDArray[np.int64]

    @classmethod
    def of(
        cls, manifest: Manifest, rows: NDArray[np.int64], scores: NDArray[np.float64]
    ) -> "ReplayedRows":
        """The rows with the decision and the monitored score that the service makes of scores."""
        rule = DecisionRule.of(manifest)
        return cls(rows, scores, rule.monitored_scores(scores), rule.class_indices(scores))

    def __len__(self) -> int:
        return len(self.rows)

    def prediction(self, manifest: Manifest, i: int) -> str | float:
        """The prediction of row `i`: a class, or a value."""
        classes = manifest.classes
        return classes[self.class_indices[i]] if classes else float(self.monitored[i])


def logged_class_indices(
    manifest: Manifest, predictions: Sequence[str | float]
) -> NDArray[np.int64]:
    """Logged predictions as class indices, -1 for an unknown class; 0 for a regression."""
    if not manifest.classes:
        return np.zeros(len(predictions), dtype=np.int64)
    index = {name: i for i, name in enumerate(manifest.classes)}
    return np.array([index.get(str(each), -1) for each in predictions], dtype=np.int64)


@dataclass(frozen=True)
class ComparedRows:
    """Rows of a block with the logged and the replayed answer.

    `flipped` and `shifts` have one entry per replayed row. A shift is the replayed monitored
    score minus the logged one, NaN if the logged scores are not those of the version's outputs.
    """

    block: Block
    replayed: ReplayedRows
    flipped: NDArray[np.bool_]
    shifts: NDArray[np.float64]


def compare(manifest: Manifest, block: Block, replayed: ReplayedRows) -> ComparedRows:
    """The replayed rows with their logged answers: which decisions flip, and by how much."""
    rows = replayed.rows
    logged = logged_class_indices(manifest, [block.predictions[i] for i in rows])
    has_scores = np.isfinite(block.scores[rows]).all(axis=1)
    shifts = np.where(has_scores, replayed.monitored - block.score[rows], np.nan)
    return ComparedRows(block, replayed, logged != replayed.class_indices, shifts)
