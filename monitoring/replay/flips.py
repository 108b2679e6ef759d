"""Decisions that a replay changes: in all rows, by segment, by version, and which to which."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from contracts.manifest import Manifest
from contracts.replay import Flips, GroupFlips, SegmentFlips
from contracts.schema import Value
from metrics.interval import Z95, wilson
from monitoring.replay.comparison import ComparedRows

MISSING, UNSEEN = "(missing)", "(unseen)"


@dataclass
class _FlipCount:
    """Rows, flips and the sum of shifts of some of the rows."""

    n_rows: int = 0
    n_flips: int = 0
    shift_sum: float = 0.0

    def add(self, flipped: NDArray[np.bool_], shifts: NDArray[np.float64]) -> None:
        self.n_rows += len(flipped)
        self.n_flips += int(flipped.sum())
        self.shift_sum += float(np.nansum(shifts))

    def flips(self, z: float = Z95) -> Flips:
        low, high = wilson(self.n_flips, self.n_rows, z)
        share = self.n_flips / max(self.n_rows, 1)
        return Flips(rows=self.n_rows, flips=self.n_flips, share=share, low=low, high=high)

    @property
    def mean_shift(self) -> float:
        return self.shift_sum / max(self.n_rows, 1)


class FlipCounts:
    """Counts changed decisions; `segments` are the category features to break them down by."""

    def __init__(self, manifest: Manifest, segments: Sequence[str]) -> None:
        self._manifest = manifest
        self._categories = {
            name: frozenset(manifest.schema.feature(name).categories) for name in segments
        }
        self._whole = _FlipCount()
        self._groups: dict[tuple[int, str], _FlipCount] = {}
        self._segments: dict[tuple[str, str], _FlipCount] = {}
        self.transitions: Counter[str] = Counter()

    @property
    def n_rows(self) -> int:
        """Rows that were compared."""
        return self._whole.n_rows

    def add(self, compared: ComparedRows) -> None:
        """Count more rows."""
        self._whole.add(compared.flipped, compared.shifts)
        self._add_groups(compared)
        self._add_segments(compared)
        self._add_transitions(compared)

    def flips(self) -> Flips:
        """The changed decisions of all rows."""
        return self._whole.flips()

    def groups(self) -> tuple[GroupFlips, ...]:
        """The changed decisions by the version and variant that answered."""
        return tuple(
            GroupFlips(version=v, variant=variant, flips=c.flips(), mean_shift=c.mean_shift)
            for (v, variant), c in sorted(self._groups.items())
        )

    def segments(self) -> tuple[SegmentFlips, ...]:
        """The changed decisions by segment, the largest share of flips first."""
        # Bonferroni: all intervals together hold with 95 %.
        z = float(special.ndtri(1 - 0.025 / max(len(self._segments), 1)))
        found = [
            SegmentFlips(segment=name, value=value, flips=c.flips(z), mean_shift=c.mean_shift)
            for (name, value), c in self._segments.items()
        ]
        return tuple(sorted(found, key=lambda s: (-s.flips.share, -abs(s.mean_shift), s.value)))

    def _add_groups(self, compared: ComparedRows) -> None:
        block = compared.block
        keys = [(int(block.versions[i]), block.variants[i]) for i in compared.replayed.rows]
        for key in dict.fromkeys(keys):
            mine = np.array([k == key for k in keys])
            count = self._groups.setdefault(key, _FlipCount())
            count.add(compared.flipped[mine], compared.shifts[mine])

    def _add_segments(self, compared: ComparedRows) -> None:
        rows = compared.replayed.rows
        for name, categories in self._categories.items():
            column = compared.block.features[name]
            values = np.array([_segment_value(column[i], categories) for i in rows])
            for value in np.unique(values):
                mine = values == value
                count = self._segments.setdefault((name, str(value)), _FlipCount())
                count.add(compared.flipped[mine], compared.shifts[mine])

    def _add_transitions(self, compared: ComparedRows) -> None:
        for i in np.flatnonzero(compared.flipped):
            before = compared.block.predictions[compared.replayed.rows[i]]
            now = compared.replayed.prediction(self._manifest, int(i))
            self.transitions[f"{before} -> {now}"] += 1


def _segment_value(value: Value, categories: frozenset[str]) -> str:
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if value in categories else UNSEEN
