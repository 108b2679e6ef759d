"""How much of a model's skill each feature carries."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from training.metrics import METRICS, Truth
from training.pipeline import scores_of
from training.recipe import Recipe

MOST_ROWS = 1_000
REPEATS = 2


def importance_of(
    pipeline: Pipeline,
    recipe: Recipe,
    holdout: pd.DataFrame,
    truth: Truth,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Share of each feature in the loss of skill when it is shuffled (Breiman 2001).

    Shares are not negative and add up to one (all zero if no feature matters at all).
    """
    rows, answers = holdout.iloc[:MOST_ROWS], truth[:MOST_ROWS]
    before = _loss(recipe, answers, scores_of(pipeline, rows, recipe))
    losses = {
        name: _shuffled_loss(pipeline, recipe, rows, answers, name, rng) - before
        for name in recipe.schema.names
    }
    total = sum(max(loss, 0.0) for loss in losses.values())
    return {name: max(loss, 0.0) / total if total else 0.0 for name, loss in losses.items()}


def _shuffled_loss(
    pipeline: Pipeline,
    recipe: Recipe,
    rows: pd.DataFrame,
    truth: Truth,
    name: str,
    rng: np.random.Generator,
) -> float:
    shuffled = pd.concat(
        rows.assign(**{name: rows[name].to_numpy()[rng.permutation(len(rows))]})
        for _ in range(REPEATS)
    )
    repeated = np.concatenate([truth] * REPEATS)
    return _loss(recipe, repeated, scores_of(pipeline, shuffled, recipe))


def _loss(recipe: Recipe, truth: Truth, scores: NDArray[np.float64]) -> float:
    name = "log_loss" if recipe.is_classifier else "rmse"
    return METRICS[recipe.task][name][0](truth, scores, recipe.threshold)
