"""The rows that a replay changes most: changed decisions first, then the largest shifts."""

import heapq

import numpy as np

from contracts.manifest import Manifest
from contracts.replay import Example, ScoredPrediction
from monitoring.replay.comparison import ComparedRows

MAX_EXAMPLES = 20


class LargestChanges:
    """Keeps the largest changes of all rows that are added; of equal ones the first."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._n_rows = 0
        self._heap: list[tuple[bool, float, int, Example]] = []

    def add(self, compared: ComparedRows) -> None:
        """Offer more rows."""
        sizes = np.nan_to_num(np.abs(compared.shifts))
        largest = np.lexsort((sizes, compared.flipped))[-MAX_EXAMPLES:]
        for i in map(int, largest):
            rank = (bool(compared.flipped[i]), float(sizes[i]))
            is_full = len(self._heap) == MAX_EXAMPLES
            if not any(rank) or (is_full and rank <= self._heap[0][:2]):
                continue
            entry = (*rank, self._n_rows + i, self._example(compared, i))
            (heapq.heappushpop if is_full else heapq.heappush)(self._heap, entry)
        self._n_rows += len(compared.shifts)

    def examples(self) -> tuple[Example, ...]:
        """Changed decisions first, the largest shift first."""
        return tuple(entry[-1] for entry in sorted(self._heap, reverse=True))

    def _example(self, compared: ComparedRows, i: int) -> Example:
        block, replayed = compared.block, compared.replayed
        row = int(replayed.rows[i])
        return Example(
            prediction_id=block.ids[row],
            time=block.times[row],
            version=int(block.versions[row]),
            variant=block.variants[row],
            features={name: values[row] for name, values in block.features.items()},
            answered=ScoredPrediction(
                prediction=block.predictions[row], score=float(block.score[row])
            ),
            replayed=ScoredPrediction(
                prediction=replayed.prediction(self._manifest, i),
                score=float(replayed.monitored[i]),
            ),
        )
