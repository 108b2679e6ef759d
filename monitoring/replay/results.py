"""What is counted while traffic is replayed: in memory that does not grow with the rows."""

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import special

from contracts.decision_rule import DecisionRule
from contracts.manifest import Manifest
from contracts.replay import (
    Distribution,
    Example,
    Flips,
    GroupFlips,
    RefusedReason,
    Reproduction,
    ScoredPrediction,
    SegmentFlips,
    Shift,
)
from contracts.schema import Value
from metrics.interval import Z95, wilson
from monitoring.replay.blocks import Block
from monitoring.reporting.sampling import Reservoir

CELLS = 40
SAMPLED = 100_000
"""Shifts that are kept for quantiles: at the median 0.3 points of rank, 95 times of 100."""
MOST_EXAMPLES = 20
MOST_REASONS = 50
PER_CENT = (1, 5, 25, 50, 75, 95, 99)
MISSING, UNSEEN, OTHER = "(missing)", "(unseen)", "(others)"


@dataclass(frozen=True)
class Answers:
    """What a version answers to rows: `decisions` are places among the classes.

    `scores` has the shape `(n_rows, n_outputs)`; `decisions` are all 0 for a regression.
    """

    scores: NDArray[np.float64]
    score: NDArray[np.float64]
    decisions: NDArray[np.int64]


def answers_of(manifest: Manifest, scores: NDArray[np.float64]) -> Answers:
    """The decision and the watched number of each row, as the service makes them."""
    rule = DecisionRule.of(manifest)
    return Answers(scores, rule.monitored_scores(scores), rule.class_indices(scores))


def decisions_of(manifest: Manifest, predictions: Sequence[str | float]) -> NDArray[np.int64]:
    """Logged predictions as places among the classes, -1 for another class; 0 for a value."""
    if not manifest.classes:
        return np.zeros(len(predictions), dtype=np.int64)
    places = {word: i for i, word in enumerate(manifest.classes)}
    return np.array([places.get(str(word), -1) for word in predictions], dtype=np.int64)


@dataclass(frozen=True)
class _Compared:
    """Rows of a block with both answers: all but the block have the length of `rows`."""

    block: Block
    rows: NDArray[np.int64]
    answers: Answers
    flipped: NDArray[np.bool_]
    shifts: NDArray[np.float64]


@dataclass
class _Tally:
    """Rows, flips and the sum of shifts of some of the rows."""

    rows: int = 0
    flips: int = 0
    shift: float = 0.0

    def add(self, flipped: NDArray[np.bool_], shifts: NDArray[np.float64]) -> None:
        self.rows += len(flipped)
        self.flips += int(flipped.sum())
        self.shift += float(np.nansum(shifts))

    def told(self, z: float = Z95) -> Flips:
        low, high = wilson(self.flips, self.rows, z)
        share = self.flips / max(self.rows, 1)
        return Flips(rows=self.rows, flips=self.flips, share=share, low=low, high=high)

    @property
    def mean_shift(self) -> float:
        return self.shift / max(self.rows, 1)


@dataclass
class _Reason:
    """How often something refuses a row, and the first that it refused."""

    example: str
    rows: int = 0


class ReplayCounts:
    """Everything a replay tells of rows that were answered both times."""

    def __init__(
        self, manifest: Manifest, version: int, segments: Sequence[str], ends: tuple[float, float]
    ) -> None:
        self._manifest = manifest
        self._version = version
        self._words = {
            name: frozenset(manifest.schema.feature(name).categories) for name in segments
        }
        self._whole = _Tally()
        self._groups: dict[tuple[int, str], _Tally] = {}
        self._segments: dict[tuple[str, str], _Tally] = {}
        self.transitions: Counter[str] = Counter()
        self._sums = np.zeros(4)
        self._largest = 0.0
        self._sample = Reservoir(SAMPLED)
        self._edges = np.linspace(*ends, CELLS + 1)
        self._cells = np.zeros((2, CELLS), dtype=np.int64)
        self._own = self._identical = self._alone = 0
        self._own_largest = 0.0
        self._examples: list[tuple[bool, float, int, Example]] = []
        self._reasons: dict[str, _Reason] = {}
        self.refused = 0

    @property
    def replayed(self) -> int:
        """Rows that were answered both times."""
        return self._whole.rows

    def refuse(self, ids: Sequence[str], reasons: Mapping[int, Sequence[str]]) -> None:
        """Count rows that are not answered, by their place among `ids`."""
        self.refused += len(reasons)
        for row, words in reasons.items():
            for word in words:
                known = word if word in self._reasons or not self._is_full else OTHER
                self._reasons.setdefault(known, _Reason(ids[row])).rows += 1

    @property
    def _is_full(self) -> bool:
        return len(self._reasons) >= MOST_REASONS

    def reproduce(self, identical: NDArray[np.bool_], n_alone: int, differences: float) -> None:
        """Count rows that the version answered itself, and how many it answers the same."""
        self._own += len(identical)
        self._identical += int(identical.sum())
        self._alone += n_alone
        self._own_largest = max(self._own_largest, differences)

    def add(self, block: Block, rows: NDArray[np.int64], answers: Answers) -> None:
        """Count the block's `rows`, to which `answers` belong."""
        before = decisions_of(self._manifest, [block.predictions[i] for i in rows])
        flipped = before != answers.decisions
        # Scores of other classes are other numbers: no shift is told between them.
        like = np.isfinite(block.scores[rows]).all(axis=1)
        shifts = np.where(like, answers.score - block.score[rows], np.nan)
        self._whole.add(flipped, shifts)
        self._add_shifts(shifts[like])
        self._add_cells(block.score[rows][like], answers.score[like])
        both = _Compared(block, rows, answers, flipped, shifts)
        self._add_groups(both)
        self._add_segments(both)
        self._add_transitions(both)
        self._add_examples(both)

    def _add_shifts(self, shifts: NDArray[np.float64]) -> None:
        self._sums += [len(shifts), shifts.sum(), np.abs(shifts).sum(), (shifts**2).sum()]
        if len(shifts):
            largest = float(shifts[np.abs(shifts).argmax()])
            self._largest = max(self._largest, largest, key=abs)
            self._sample.add(pl.DataFrame({"shift": shifts}))

    def _add_cells(self, answered: NDArray[np.float64], replayed: NDArray[np.float64]) -> None:
        for side, values in enumerate((answered, replayed)):
            places = np.searchsorted(self._edges[1:-1], values, side="right")
            self._cells[side] += np.bincount(places, minlength=CELLS)

    def _add_groups(self, both: _Compared) -> None:
        keys = [(int(both.block.versions[i]), both.block.variants[i]) for i in both.rows]
        for key in dict.fromkeys(keys):
            mine = np.array([k == key for k in keys])
            self._groups.setdefault(key, _Tally()).add(both.flipped[mine], both.shifts[mine])

    def _add_segments(self, both: _Compared) -> None:
        for name, words in self._words.items():
            values = np.array([_word(both.block.features[name][i], words) for i in both.rows])
            for value in np.unique(values):
                mine = values == value
                tally = self._segments.setdefault((name, str(value)), _Tally())
                tally.add(both.flipped[mine], both.shifts[mine])

    def _add_transitions(self, both: _Compared) -> None:
        for place in np.flatnonzero(both.flipped):
            before = both.block.predictions[both.rows[place]]
            self.transitions[f"{before} -> {self._prediction(both.answers, int(place))}"] += 1

    def _add_examples(self, both: _Compared) -> None:
        sizes = np.nan_to_num(np.abs(both.shifts))
        best = np.lexsort((sizes, both.flipped))[-MOST_EXAMPLES:]
        for place in best:
            rank = (bool(both.flipped[place]), float(sizes[place]))
            if not any(rank):
                continue
            if len(self._examples) == MOST_EXAMPLES and rank <= self._examples[0][:2]:
                continue
            order = self._whole.rows - len(both.rows) + int(place)
            example = self._example(both.block, int(both.rows[place]), int(place), both.answers)
            push = heapq.heappush if len(self._examples) < MOST_EXAMPLES else heapq.heappushpop
            push(self._examples, (*rank, order, example))

    def _example(self, block: Block, row: int, place: int, answers: Answers) -> Example:
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
                prediction=self._prediction(answers, place), score=float(answers.score[place])
            ),
        )

    def _prediction(self, answers: Answers, place: int) -> str | float:
        classes = self._manifest.classes
        return classes[answers.decisions[place]] if classes else float(answers.score[place])

    # what came of it

    def flips(self) -> Flips:
        """All rows."""
        return self._whole.told()

    def shift(self) -> Shift:
        """By how much the score changes."""
        n, total, absolute, squares = self._sums.tolist()
        mean = total / max(n, 1)
        sample = self._sample.frame()
        kept = sample["shift"].to_numpy() if len(sample) else np.zeros(1)
        values = np.quantile(kept, np.array(PER_CENT) / 100)
        return Shift(
            mean=mean,
            mean_absolute=absolute / max(n, 1),
            std=float(np.sqrt(max(squares / max(n, 1) - mean**2, 0.0))),
            extreme=self._largest,
            quantiles={str(p): float(v) for p, v in zip(PER_CENT, values, strict=True)},
            sampled=len(sample),
        )

    def distribution(self) -> Distribution:
        """The scores of both times."""
        answered, replayed = (tuple(side) for side in self._cells.tolist())
        low, high = float(self._edges[0]), float(self._edges[-1])
        return Distribution(low=low, high=high, answered=answered, replayed=replayed)

    def segments(self) -> tuple[SegmentFlips, ...]:
        """Each value of each segment, the largest share of flips first."""
        # Bonferroni: all intervals together hold with 95 %.
        z = float(special.ndtri(1 - 0.025 / max(len(self._segments), 1)))
        found = [
            SegmentFlips(segment=name, value=value, flips=t.told(z), mean_shift=t.mean_shift)
            for (name, value), t in self._segments.items()
        ]
        return tuple(sorted(found, key=lambda s: (-s.flips.share, -abs(s.mean_shift), s.value)))

    def groups(self) -> tuple[GroupFlips, ...]:
        """Each version and variant that answered."""
        return tuple(
            GroupFlips(version=v, variant=variant, flips=t.told(), mean_shift=t.mean_shift)
            for (v, variant), t in sorted(self._groups.items())
        )

    def reproduction(self) -> Reproduction | None:
        """How the version reproduces itself; None where it answered nothing."""
        if not self._own:
            return None
        return Reproduction(
            rows=self._own,
            identical=self._identical,
            identical_unbatched=self._alone,
            max_difference=self._own_largest,
        )

    def examples(self) -> tuple[Example, ...]:
        """Flipped rows first, the largest shift first."""
        return tuple(entry[-1] for entry in sorted(self._examples, reverse=True))

    def refusals(self) -> Iterator[RefusedReason]:
        """Why rows are not answered, the most frequent reason first."""
        for words, reason in sorted(self._reasons.items(), key=lambda item: -item[1].rows):
            yield RefusedReason(reason=words, rows=reason.rows, example=reason.example)


def _word(value: Value, words: frozenset[str]) -> str:
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if value in words else UNSEEN
