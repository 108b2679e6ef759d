"""Everything that a replay counts, in memory that does not grow with the rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.manifest import Manifest
from contracts.replay import RefusedReason, Reproduction
from monitoring.replay.blocks import Block
from monitoring.replay.comparison import ReplayedRows, compare
from monitoring.replay.examples import LargestChanges
from monitoring.replay.flips import FlipCounts
from monitoring.replay.shifts import ShiftCounts

MAX_REASONS = 50
OTHER = "(others)"


@dataclass
class _RefusedRows:
    """How many rows are refused for a reason, and the prediction id of the first."""

    example: str
    rows: int = 0


class ReplayResults:
    """The changes and refusals of all rows that are replayed.

    Args:
        manifest: of the version that scores them.
        segments: category features by which changed decisions are broken down.
        ends: the ends of the histograms of scores.

    """

    def __init__(
        self, manifest: Manifest, segments: Sequence[str], ends: tuple[float, float]
    ) -> None:
        self._manifest = manifest
        self.flips = FlipCounts(manifest, segments)
        self.shifts = ShiftCounts(ends)
        self.changes = LargestChanges(manifest)
        self.refused = 0
        self._reasons: dict[str, _RefusedRows] = {}
        self._n_own = self._n_identical = self._n_unbatched = 0
        self._max_difference = 0.0

    def add(self, block: Block, replayed: ReplayedRows) -> None:
        """Count rows that the version answers."""
        compared = compare(self._manifest, block, replayed)
        self.flips.add(compared)
        self.shifts.add(compared)
        self.changes.add(compared)

    def refuse(self, ids: Sequence[str], reasons: Mapping[int, Sequence[str]]) -> None:
        """Count rows that the version refuses: the reasons by row, and the ids of all rows."""
        self.refused += len(reasons)
        for row, of_row in reasons.items():
            for reason in of_row:
                is_known = reason in self._reasons or len(self._reasons) < MAX_REASONS
                known = reason if is_known else OTHER
                self._reasons.setdefault(known, _RefusedRows(ids[row])).rows += 1

    def reproduce(
        self, identical: NDArray[np.bool_], n_unbatched: int, max_difference: float
    ) -> None:
        """Count rows that the version itself had answered.

        Args:
            identical: which of them have the same bits, shape `(n_rows,)`.
            n_unbatched: how many of those only if scored one by one.
            max_difference: the largest difference of a score among the others.

        """
        self._n_own += len(identical)
        self._n_identical += int(identical.sum())
        self._n_unbatched += n_unbatched
        self._max_difference = max(self._max_difference, max_difference)

    @property
    def replayed(self) -> int:
        """Rows that the version answers."""
        return self.flips.n_rows

    def reproduction(self) -> Reproduction | None:
        """How the version reproduces its own answers; None if it had given none."""
        if not self._n_own:
            return None
        return Reproduction(
            rows=self._n_own,
            identical=self._n_identical,
            identical_unbatched=self._n_unbatched,
            max_difference=self._max_difference,
        )

    def refusals(self) -> Iterator[RefusedReason]:
        """Why rows are refused, the most frequent reason first."""
        for reason, refused in sorted(self._reasons.items(), key=lambda item: -item[1].rows):
            yield RefusedReason(reason=reason, rows=refused.rows, example=refused.example)
