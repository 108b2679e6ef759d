"""What a recipe leaves to the rows that are learned: categories of strings, the threshold."""

import pandas as pd

from contracts.schema import Schema
from training.metrics import Target
from training.notes import add_note
from training.recipe import Recipe
from training.threshold import ThresholdCurve, chosen_threshold


def learned_recipe(
    recipe: Recipe, train: pd.DataFrame, targets: Target, seed: int
) -> tuple[Recipe, ThresholdCurve | None]:
    """The recipe with what its rows decide, and the curve from which a threshold was chosen.

    Raises:
        InvalidData: too few rows of a class to choose a threshold on.

    """
    complete = with_learned_categories(recipe, train)
    rule = complete.threshold_rule
    if rule is None:
        return complete, None
    curve = chosen_threshold(complete, rule, train, targets, seed)
    add_note(
        f"threshold {curve.chosen:.4g} was chosen on {curve.n_rows:,} validation rows: {rule} "
        f"gives {curve.value:.4g}, with 0.5 it would be {curve.value_at_half:.4g}"
    )
    return Recipe(**(vars(complete) | {"threshold": curve.chosen})), curve


def with_learned_categories(recipe: Recipe, rows: pd.DataFrame) -> Recipe:
    """The recipe with the most frequent values of each `string` feature as its categories.

    All other values are one: unseen. Of equally frequent values the first in the alphabet counts.
    """
    features = tuple(
        feature.with_categories(_frequent(rows[feature.name], feature.max_categories))
        if feature.max_categories
        else feature
        for feature in recipe.schema.features
    )
    if features == recipe.schema.features:
        return recipe
    return Recipe(**(vars(recipe) | {"schema": Schema(features=features)}))


def _frequent(column: pd.Series, n: int) -> tuple[str, ...]:
    counts = (
        column.value_counts().sort_index(kind="stable").sort_values(ascending=False, kind="stable")
    )
    return tuple(sorted(str(value) for value in counts.index[:n]))
