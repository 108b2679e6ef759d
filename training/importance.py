"""How much of a model's skill each feature carries, by permutation."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance
from sklearn.pipeline import Pipeline

from training.metrics import METRICS, Target
from training.pipeline import scores_of
from training.recipe import Recipe
from training.score_kind import score_kind_of
from training.targets import encoded_targets

MAX_ROWS = 1_000
REPEATS = 5
"""Shuffles of each feature, from which its standard deviation is computed."""


@dataclass(frozen=True)
class Importance:
    """Each input's share of the loss of skill when it is shuffled, and its deviation.

    Inputs are features, and the parts of timestamps.

    Shares are not negative and add up to one; all are zero if no feature matters. The standard
    deviation is between shuffles, in the same unit.
    """

    share: dict[str, float]
    standard_deviation: dict[str, float]


def importance_of(
    pipeline: Pipeline, recipe: Recipe, holdout: pd.DataFrame, targets: Target, seed: int
) -> Importance:
    """The permutation importance (Breiman 2001) of every feature, on held-out rows.

    The skill is minus the log loss, or minus the RMSE of a regression; without probabilities it
    is the accuracy. `targets` are as `targets_of` gives them; the first `MAX_ROWS` rows are used.
    """
    measured = {"probability": "log_loss", "value": "rmse"}
    name = measured.get(score_kind_of(pipeline, recipe), "accuracy")
    definition = METRICS[recipe.task][name]

    def skill(model: Any, matrix: pd.DataFrame, row_targets: Any) -> float:
        target = encoded_targets(recipe, np.asarray(row_targets))
        value = definition.value(target, scores_of(model, matrix, recipe), recipe.threshold)
        return definition.sign * value

    # Each feature is encoded by itself, so its codes are shuffled instead of encoding each time.
    matrix = pipeline.named_steps["encode"].transform(holdout.iloc[:MAX_ROWS])
    found = permutation_importance(
        pipeline.named_steps["model"],
        matrix,
        targets[:MAX_ROWS],
        scoring=skill,
        n_repeats=REPEATS,
        random_state=seed,
    )
    losses = np.maximum(found.importances_mean, 0.0)
    total = losses.sum() or 1.0
    names = [each.name for feature in recipe.schema.features for each in feature.inputs]
    index_of = {str(name): index for index, name in enumerate(matrix.columns)}
    return Importance(
        share={n: float(losses[index_of[n]] / total) for n in names},
        standard_deviation={n: float(found.importances_std[index_of[n]] / total) for n in names},
    )
