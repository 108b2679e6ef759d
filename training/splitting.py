"""Which rows are learned and which are held out.

A quarter is held out at random, a classifier's classes in proportion.
"""

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from contracts.errors import InvalidData
from training.metrics import Target
from training.recipe import Recipe
from training.targets import targets_of

HOLDOUT_SHARE = 0.25

Positions = NDArray[np.int64]
Sides = tuple[Positions, Positions]


def held_out(recipe: Recipe, table: pd.DataFrame, seed: int) -> Sides:
    """The positions of the rows to learn, and of those held out.

    Raises:
        InvalidData: a class has one row only, or there are more classes than held-out rows.

    """
    targets = targets_of(recipe, table)
    if recipe.is_classifier:
        _check_class_sizes(recipe, targets)
    train, holdout = train_test_split(
        np.arange(len(table)),
        test_size=HOLDOUT_SHARE,
        random_state=seed,
        stratify=targets if recipe.is_classifier else None,
    )
    return train, holdout


def _check_class_sizes(recipe: Recipe, targets: Target) -> None:
    """Refuse what cannot be split with every class on both sides."""
    names, counts = np.unique(targets.astype(str), return_counts=True)
    if counts.min() < 2:  # noqa: PLR2004 - one row to train on and one to hold out
        raise InvalidData(
            f"recipe {recipe.name!r}: {recipe.targets[0]}: expected at least 2 rows of each class, "
            f"got 1 of {str(names[counts.argmin()])!r}",
            remedy="leave the class out of the recipe and the data, or add rows of it",
        )
    n_holdout = math.ceil(HOLDOUT_SHARE * len(targets))
    if n_holdout < len(names):
        raise InvalidData(
            f"recipe {recipe.name!r}: {recipe.targets[0]}: expected at most as many classes as "
            f"held-out rows ({n_holdout} of {len(targets)}), got {len(names)}",
            remedy="add rows, or merge classes",
        )
