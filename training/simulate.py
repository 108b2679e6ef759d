"""Generated load: rows like the recipe's data, and rows as they might be after a change."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from contracts.schema import Feature, Value
from training.dataset import features_of, load_table, plain_rows
from training.recipe import Recipe


@dataclass(frozen=True)
class SimulatedRows:
    """Rows to send, and the true outcome of each: a class, or a number (of the first target)."""

    rows: list[dict[str, Value]]
    truths: list[str | float]


def simulate_rows(recipe: Recipe, n: int, seed: int, *, are_drifted: bool) -> SimulatedRows:
    """`n` rows as `like_training` or `drifted` gives them, with their outcomes.

    The outcome of a drifted row is that of the row which was changed: what the model sees has
    changed, and what happens has not.
    """
    rows = (drifted if are_drifted else like_training)(recipe, n, seed)
    table = load_table(recipe)
    positions = _positions(len(table), n, np.random.default_rng(seed))
    truths: list[Any] = table[recipe.targets[0]].iloc[positions].tolist()
    return SimulatedRows(rows, truths)


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
    return table.iloc[_positions(len(table), n, rng)].reset_index(drop=True)


def _positions(n_rows: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Of `n` rows, drawn with replacement."""
    return rng.integers(0, n_rows, n)


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
