"""Which rows a retraining learns: chosen among candidates, on validation rows that come later.

Besides the recent rows there are older ones. Where the relation between features and target has
changed they teach the wrong thing; where it has not, they are most of what is known. Where it
changes slowly, the newest rows are the best ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from metrics.alpha_spending import ALPHA
from training.dataset import MIN_TABLE_ROWS, encoded_targets, features_of, targets_of
from training.evaluation.bootstrap import paired_improvement
from training.evaluation.predictions import Predictions
from training.learned import with_learned_categories
from training.metrics import METRICS, Target
from training.pipeline import fitted_pipeline, scores_of
from training.recipe import Recipe
from training.retraining.partition import Partition
from training.score_kind import decision_threshold

SHARES = (1.0, 0.3, 0.1, 0.0)
"""The shares of the old rows that are tried, drawn at random."""
WINDOWS = (8.0, 4.0, 2.0, 0.5, 0.25)
"""The lengths of windows of the newest rows that are tried, in lengths of the recent rows."""
MIN_WINDOW_ROWS = 4 * MIN_TABLE_ROWS
"""A shorter window is not tried: its model would be noise."""
CONSTANT_BASELINE = "a constant"
"""The name of the simple baseline: the shares of the classes, or the mean, of the recent rows."""


@dataclass(frozen=True)
class RowChoice:
    """Which rows are learned: a random share of the old ones, or only the `newest` of all.

    With `newest`, the share is not used; the rows of the recipe's table are the oldest.
    """

    old_share: float = 1.0
    newest: int = 0

    @property
    def name(self) -> str:
        """The choice in words.

        >>> RowChoice(0.3).name, RowChoice(newest=4_000).name
        ('30% of the older rows', 'the newest 4,000 rows')
        """
        if self.newest:
            return f"the newest {self.newest:,} rows"
        return f"{self.old_share:.0%} of the older rows"

    def kept(self, old: pd.DataFrame, n_recent: int, seed: int) -> pd.DataFrame:
        """The old rows that are learned in addition to `n_recent` recent ones, in their order."""
        if self.newest:
            return old.iloc[len(old) - min(max(self.newest - n_recent, 0), len(old)) :]
        return _sampled(old, self.old_share, np.random.default_rng(seed))

    def learned(self, old: pd.DataFrame, recent: pd.DataFrame, seed: int) -> pd.DataFrame:
        """The rows that are learned, the recent ones last."""
        rows = pd.concat([self.kept(old, len(recent), seed), recent], ignore_index=True)
        return rows.iloc[-self.newest :].reset_index(drop=True) if self.newest else rows


@dataclass(frozen=True)
class Selection:
    """The choice, and the metric of every candidate on the validation rows by its name."""

    choice: RowChoice
    metrics: dict[str, float]


def select_rows(recipe: Recipe, found: Partition, seed: int) -> Selection:
    """The candidate with the most rows that is not significantly worse than the best.

    Rows are dropped only for a reason (95 %, paired bootstrap of blocks of time). If the world
    has not changed, all candidates are about as good, and the one with the most rows is the least
    noisy.
    """
    target = encoded_targets(recipe, targets_of(recipe, found.validation))
    candidates = dict(_predicted(recipe, found, seed))
    name = recipe.gates[0].metric
    metric = METRICS[recipe.task][name]
    values = {
        choice: metric.value(target, p.scores, p.threshold) for choice, p in candidates.items()
    }
    constant = _constant(recipe, found, len(target))
    named = {choice.name: float(value) for choice, value in values.items()}
    named[CONSTANT_BASELINE] = float(metric.value(target, constant.scores, constant.threshold))
    if not candidates:
        return Selection(RowChoice(), named)
    best = max(values, key=lambda choice: metric.sign * values[choice])
    for choice, predictions in candidates.items():
        if choice == best:
            break
        lead = paired_improvement(
            recipe.task,
            name,
            target,
            candidates[best],
            predictions,
            ALPHA,
            in_time_order=True,
        )
        if lead.low <= 0:
            return Selection(choice, named)
    return Selection(best, named)


def _choices(found: Partition) -> list[RowChoice]:
    """Every candidate, the one with the most rows first.

    Windows reach as far back as traffic does: the order of a recipe's table is not known.
    """
    n_recent = len(found.recent)
    sizes = {RowChoice(share): n_recent + round(share * len(found.old)) for share in SHARES}
    for length in WINDOWS:
        rows = round(length * n_recent)
        if MIN_WINDOW_ROWS <= rows < n_recent + found.earlier_rows:
            sizes[RowChoice(newest=rows)] = rows
    return sorted(sizes, key=lambda choice: -sizes[choice])


def _predicted(
    recipe: Recipe, found: Partition, seed: int
) -> Iterator[tuple[RowChoice, Predictions]]:
    """Each candidate with its predictions for the validation rows; none with too few rows."""
    validation = features_of(found.validation, recipe.schema)
    for choice in _choices(found):
        rows = choice.learned(found.old, found.recent, seed)
        if not can_be_learned(recipe, rows):
            continue
        targets, features = targets_of(recipe, rows), features_of(rows, recipe.schema)
        learned = with_learned_categories(recipe, features)
        pipeline = fitted_pipeline(learned, features, targets, seed)
        threshold = decision_threshold(pipeline.named_steps["model"], learned)
        yield choice, Predictions(scores_of(pipeline, validation, learned), threshold)


def _constant(recipe: Recipe, found: Partition, n_rows: int) -> Predictions:
    """What needs no features: the same scores for every row."""
    target: Target = encoded_targets(recipe, targets_of(recipe, found.recent))
    if recipe.is_classifier:
        scores = np.bincount(target, minlength=len(recipe.classes)) / len(target)
    else:
        scores = np.atleast_1d(target.mean(axis=0))
    return Predictions(np.tile(scores, (n_rows, 1)), recipe.threshold)


def _sampled(old: pd.DataFrame, share: float, rng: np.random.Generator) -> pd.DataFrame:
    """A share of the old rows, drawn at random, in their order."""
    if share >= 1:
        return old
    drawn = rng.permutation(len(old))[: round(share * len(old))]
    return old.iloc[np.sort(drawn)]


def can_be_learned(recipe: Recipe, rows: pd.DataFrame) -> bool:
    """Whether there are enough rows, and some of every class."""
    if len(rows) < MIN_TABLE_ROWS:
        return False
    if not recipe.is_classifier:
        return True
    return set(rows[recipe.targets[0]].astype(str)) == set(recipe.classes)
