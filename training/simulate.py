"""Generated load: rows like the recipe's data, and rows as they might be after a change."""

import numpy as np
import pandas as pd

from contracts.schema import Feature, Value
from training.dataset import features_of, load_table, plain_rows
from training.recipe import Recipe


def like_training(recipe: Recipe, n: int, seed: int) -> list[dict[str, Value]]:
    """`n` rows drawn from the recipe's data, with replacement."""
    return plain_rows(_drawn(recipe, n, np.random.default_rng(seed)), recipe.schema)


def drifted(recipe: Recipe, n: int, seed: int) -> list[dict[str, Value]]:
    """`n` rows changed by the recipe's `drift`, else shifted; all are within the schema."""
    rng = np.random.default_rng(seed)
    rows = _drawn(recipe, n, rng)
    changed = recipe.drift(rows, rng) if recipe.drift else _shifted(rows, recipe, rng)
    return plain_rows(_kept_valid(changed, recipe), recipe.schema)


def _drawn(recipe: Recipe, n: int, rng: np.random.Generator) -> pd.DataFrame:
    table = features_of(load_table(recipe), recipe.schema)
    return table.iloc[rng.integers(0, len(table), n)].reset_index(drop=True)


def _shifted(rows: pd.DataFrame, recipe: Recipe, rng: np.random.Generator) -> pd.DataFrame:
    """Every other number half a deviation higher; a third of the rows in each last category."""
    numbers = [f.name for f in recipe.schema.features if f.type in {"float", "int"}]
    moved = {name: rows[name] + 0.5 * rows[name].std() for name in numbers[::2]}
    for feature in recipe.schema.features:
        if feature.categories:
            changed = rng.random(len(rows)) < 1 / 3
            moved[feature.name] = rows[feature.name].mask(changed, feature.categories[-1])
    return rows.assign(**moved)


def _kept_valid(rows: pd.DataFrame, recipe: Recipe) -> pd.DataFrame:
    return rows.assign(
        **{f.name: _bounded(rows[f.name], f) for f in recipe.schema.features if not f.is_category}
    )


def _bounded(column: pd.Series, feature: Feature) -> pd.Series:
    inside = column.clip(feature.minimum, feature.maximum)
    return inside.round() if feature.type == "int" else inside
