"""The threshold of a binary model, chosen on validation rows by cost or F-score.

Every learned row is a validation row once: it is scored by a model that was fitted on the other
folds. The held-out rows have no part in the choice.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from contracts.decision_rule import POSITIVE
from contracts.errors import InvalidData
from training.metrics import Target
from training.pipeline import fitted_pipeline, scores_of
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
    recipe: Recipe, rule: ThresholdRule, train: pd.DataFrame, targets: Target, seed: int
) -> ThresholdCurve:
    """The best threshold by a rule; `train` and `targets` are the rows to learn.

    Raises:
        InvalidData: a class has fewer rows than there are folds.

    """
    truth = encoded_targets(recipe, targets)
    scores = _validation_scores(recipe, train, targets, truth, seed)
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
    lower = np.concatenate([[0.0], ranked[starts]])
    upper = np.concatenate([ranked[starts], [1.0]])
    values = rule.values(true_positives, false_positives, missed)
    best = values.min() if isinstance(rule, Cost) else values.max()
    winners = np.flatnonzero(values == best)
    winner = int(winners[len(winners) // 2])
    thresholds = np.clip((lower + upper) / 2, 1e-6, 1 - 1e-6)
    points = np.unique(
        np.linspace(0, len(values) - 1, min(MAX_CURVE_POINTS, len(values))).astype(int)
    )
    at_half = int(np.searchsorted(ranked[starts], 0.5, side="left"))
    return ThresholdCurve(
        rule=rule,
        chosen=float(thresholds[winner]),
        value=float(best),
        value_at_half=float(values[at_half]),
        thresholds=tuple(thresholds[points].tolist()),
        values=tuple(values[points].tolist()),
        n_rows=len(ranked),
    )


def _validation_scores(
    recipe: Recipe, train: pd.DataFrame, targets: Target, truth: NDArray[np.int64], seed: int
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
        pipeline = fitted_pipeline(recipe, train.iloc[learned], targets[learned], seed)
        scores[validation] = scores_of(pipeline, train.iloc[validation], recipe)[:, POSITIVE]
    return scores
