"""What a recipe leaves to the rows that are learned: categories, leaves of trees, threshold."""

from dataclasses import dataclass, replace

import pandas as pd
from numpy.typing import DTypeLike

from contracts.errors import InvalidData
from contracts.schema import Feature, Schema
from training.compression import CompressionReport, compressed_recipe
from training.metrics import Target
from training.notes import add_note
from training.recipe import Recipe
from training.threshold import ThresholdCurve, chosen_threshold


@dataclass(frozen=True)
class Learned:
    """A recipe with what its rows decided, and how: None where nothing was left to them."""

    recipe: Recipe
    threshold_curve: ThresholdCurve | None = None
    compression: CompressionReport | None = None


def learned_recipe(
    recipe: Recipe, train: pd.DataFrame, targets: Target, seed: int, dtype: DTypeLike
) -> Learned:
    """The recipe with what its rows decide.

    `dtype` is the type in which the model will be fitted.

    Raises:
        InvalidData: too few rows of a class to choose a threshold on, or no value of a `string`.
        InvalidRecipe: the model cannot be made as small as the recipe asks.

    """
    complete = with_learned_categories(recipe, train)
    report = None
    if complete.compression is not None:
        complete, report = compressed_recipe(
            complete, complete.compression, train, targets, seed, dtype
        )
    rule = complete.threshold_rule
    if rule is None:
        return Learned(complete, None, report)
    curve = chosen_threshold(complete, rule, train, targets, seed, dtype)
    add_note(
        f"threshold {curve.chosen:.4g} was chosen on {curve.n_rows:,} validation rows: {rule} "
        f"gives {curve.value:.4g}, with 0.5 it would be {curve.value_at_half:.4g}"
    )
    return Learned(complete.with_threshold(curve.chosen), curve, report)


def with_learned_categories(recipe: Recipe, rows: pd.DataFrame) -> Recipe:
    """The recipe with the most frequent values of each `string` feature as its categories.

    All other values are one: unseen. Of equally frequent values the first in the alphabet counts.

    Raises:
        InvalidData: a `string` feature has no value at all.

    """
    features = tuple(
        _with_frequent(recipe, feature, rows[feature.name]) if feature.max_categories else feature
        for feature in recipe.schema.features
    )
    if features == recipe.schema.features:
        return recipe
    return replace(recipe, schema=Schema(features=features))


def _with_frequent(recipe: Recipe, feature: Feature, column: pd.Series) -> Feature:
    counts = (
        column.value_counts().sort_index(kind="stable").sort_values(ascending=False, kind="stable")
    )
    if counts.empty:
        raise InvalidData(
            f"recipe {recipe.name!r}: {feature.name}: expected at least one value in the learned "
            "rows, got missing values only",
            remedy="leave the column out of the schema, or give rows that have it",
        )
    frequent = counts.index[: feature.max_categories]
    return feature.with_categories(tuple(sorted(str(value) for value in frequent)))
