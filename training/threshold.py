"""The threshold of a binary model, chosen on validation rows by cost or F-score.

Every learned row is a validation row once: it is scored by a model that was fitted on the other
folds. The held-out rows have no part in the choice.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import DTypeLike, NDArray
from sklearn.model_selection import StratifiedKFold

from contracts.decision_rule import POSITIVE
from contracts.errors import InvalidData
from training.metrics import Target
from training.pipeline import errors_of_the_estimator, fitted_pipeline, scores_of
from training.recipe import Recipe
from training.targets import encoded_targets
from training.threshold_rule import Cost, ThresholdRule

FOLDS = 3
MAX_CURVE_POINTS = 201
"""Points of the stored curve, at quantiles of the scores."""


@dataclass(frozen=True)
class ThresholdCurve:
    """What each threshold would give on the validation rows, and which was chosen.

    `values` are costs per row (lower is better) or F-scores (greater is better).
    """

    rule: ThresholdRule
    chosen: float
    value: float
    value_at_half: float
    thresholds: tuple[float, ...]
    values: tuple[float, ...]
    n_rows: int

    @property
    def document(self) -> dict[str, Any]:
        """The curve for `threshold.json`."""
        return {"by": type(self.rule).__name__, **asdict(self)}


def chosen_threshold(
    recipe: Recipe,
    rule: ThresholdRule,
    train: pd.DataFrame,
    targets: Target,
    seed: int,
    dtype: DTypeLike,
) -> ThresholdCurve:
    """The best threshold by a rule; `train` and `targets` are the rows to learn.

    `dtype` is the type in which the model will be fitted.

    Raises:
        InvalidData: a class has fewer rows than there are folds.

    """
    truth = encoded_targets(recipe, targets)
    scores = _validation_scores(recipe, train, targets, truth, seed, dtype)
    return threshold_curve(rule, truth, scores)


def threshold_curve(
    rule: ThresholdRule, truth: NDArray[np.int64], scores: NDArray[np.float64]
) -> ThresholdCurve:
    """The curve of a rule; `truth` has 1 for the positive class, `scores` its probability.

    Of equally good thresholds it is the one in the middle. Here no fault at 0.35 to 0.6:

    >>> truth, scores = np.array([0, 0, 1]), np.array([0.1, 0.35, 0.6])
    >>> round(threshold_curve(Cost(fp=1, fn=20), truth, scores).chosen, 3)
    0.475
    """
    order = np.argsort(scores, kind="stable")
    ranked, is_positive = scores[order], truth[order] == 1
    # Between two neighbours lies a threshold; one below all and one above all.
    starts = np.flatnonzero(np.diff(ranked, prepend=-np.inf) > 0)
    n_positive = int(is_positive.sum())
    missed = np.concatenate([[0], np.cumsum(is_positive)])[[*starts, len(ranked)]]
    rejected = np.array([*starts, len(ranked)])
    true_positives = n_positive - missed
    false_positives = (len(ranked) - n_positive) - (rejected - missed)
    values = rule.values(true_positives, false_positives, missed)
    value_at_half = float(values[np.searchsorted(ranked[starts], 0.5, side="left")])
    thresholds = _between(np.array([0.0, *ranked[starts], 1.0]))
    # None accepts a score of 0, and none refuses a score of 1.
    is_possible = (thresholds > 0) & (thresholds < 1)
    thresholds, values = thresholds[is_possible], values[is_possible]
    best = values.min() if isinstance(rule, Cost) else values.max()
    winners = np.flatnonzero(values == best)
    winner = int(winners[len(winners) // 2])
    points = np.unique(
        np.linspace(0, len(values) - 1, min(MAX_CURVE_POINTS, len(values))).astype(int)
    )
    return ThresholdCurve(
        rule=rule,
        chosen=float(thresholds[winner]),
        value=float(best),
        value_at_half=value_at_half,
        thresholds=tuple(thresholds[points].tolist()),
        values=tuple(values[points].tolist()),
        n_rows=len(ranked),
    )


def _between(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """A threshold for each pair of neighbours: above the lower one, at most the upper one."""
    lower, upper = scores[:-1], scores[1:]
    middle = (lower + upper) / 2
    thresholds: NDArray[np.float64] = np.where(middle > lower, middle, upper)
    return thresholds


def _validation_scores(
    recipe: Recipe,
    train: pd.DataFrame,
    targets: Target,
    truth: NDArray[np.int64],
    seed: int,
    dtype: DTypeLike,
) -> NDArray[np.float64]:
    """The positive class's probability of each row, by a model that has not learned it."""
    fewest = int(np.bincount(truth, minlength=2).min())
    if fewest < FOLDS:
        raise InvalidData(
            f"recipe {recipe.name!r}: threshold: expected at least {FOLDS} learned rows of each "
            f"class to choose it on, got {fewest}",
            remedy="add rows, or set the threshold to a number",
        )
    scores = np.zeros(len(truth))
    for learned, validation in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(
        np.zeros(len(truth)), truth
    ):
        pipeline = fitted_pipeline(recipe, train.iloc[learned], targets[learned], seed, dtype)
        with errors_of_the_estimator(recipe, "threshold"):
            scores[validation] = scores_of(pipeline, train.iloc[validation], recipe)[:, POSITIVE]
    return scores
