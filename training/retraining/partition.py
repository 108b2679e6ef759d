"""The rows of a retraining, divided by time so that no row is both learned and held out.

The labelled traffic of a request lies in time as `earlier | recent | validation | holdout`.
Candidates that keep more or less of the old rows (the recipe's own, and earlier traffic) are
fitted on `old` and `recent` and compared on `validation`; see `training.retraining.row_choice`.
No model sees the held-out rows before the gate.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contracts.errors import InvalidData
from contracts.retraining import RetrainingRequest
from training.dataset import MIN_TABLE_ROWS, load_table, suspects_of
from training.evaluation.row_keys import Keys, copies, row_keys
from training.recipe import Recipe
from training.rows import seconds_of

VALIDATION_SHARE = 0.3
"""Of the recent rows before the held-out ones, the newest, on which candidates are compared."""
MIN_CLASS_ROWS = 10


@dataclass(frozen=True)
class Partition:
    """The rows of a retraining, with features and targets; no row is in two of them.

    The last `earlier_rows` of the old ones are traffic, in the order of time.
    """

    old: pd.DataFrame
    recent: pd.DataFrame
    validation: pd.DataFrame
    holdout: pd.DataFrame
    earlier_rows: int = 0


def partition(recipe: Recipe, request: RetrainingRequest, labelled: pd.DataFrame) -> Partition:
    """The recipe's rows and the request's labelled traffic, divided by time.

    Copies of held-out rows (a request that was sent twice, a row of the recipe's data that
    returned as traffic) are taken out elsewhere, as many as there are held-out ones; the same
    holds for copies of validation rows.

    Raises:
        InvalidData: the recipe's rows cannot be read, or too few labelled rows are left.

    """
    n_holdout, n_recent = request.evaluation_rows, request.recent_rows
    holdout = _as_table(recipe, labelled.iloc[-n_holdout:])
    before = _as_table(recipe, labelled.iloc[-n_recent:-n_holdout])
    earlier = _as_table(recipe, labelled.iloc[:-n_recent])
    cut = round(len(before) * (1 - VALIDATION_SHARE))
    table = load_table(recipe)[[*recipe.schema.names, *recipe.targets]]
    old = pd.concat([table, earlier], ignore_index=True)
    validation = _without(recipe, before.iloc[cut:], holdout)
    recent = _without(recipe, before.iloc[:cut], holdout, validation)
    is_kept = ~_are_copies(recipe, old, holdout, validation)
    found = Partition(
        old[is_kept].reset_index(drop=True),
        recent,
        validation,
        holdout,
        earlier_rows=int(is_kept[len(table) :].sum()),
    )
    _check_enough(recipe, request, found)
    return found


def _as_table(recipe: Recipe, labelled: pd.DataFrame) -> pd.DataFrame:
    """Labelled traffic as the recipe's loader would return it, oldest first.

    A feature that is new in the recipe is missing in old traffic. Rows that today's schema
    refuses, and labels that are none of today's classes, are left out.
    """
    if len(recipe.targets) != 1:
        raise InvalidData(
            f"recipe {recipe.name!r}: expected one target, since a label is one value, got "
            f"{', '.join(recipe.targets)}",
            remedy="train it on the recipe's own data: slipway train",
        )
    target = recipe.targets[0]
    table = labelled.rename(columns={"truth": target})
    absent = {name: None for name in recipe.schema.names if name not in table.columns}
    table = table.assign(**absent).reset_index(drop=True)
    if recipe.is_classifier:
        table = table[table[target].isin(recipe.classes)].reset_index(drop=True)
    valid = table.drop(index=suspects_of(table, recipe.schema)).reset_index(drop=True)
    for feature in recipe.schema.features:
        if feature.is_timestamp:
            valid[feature.name] = seconds_of(valid[feature.name])
    return valid[[*recipe.schema.names, target]]


def _without(recipe: Recipe, rows: pd.DataFrame, *others: pd.DataFrame) -> pd.DataFrame:
    """The rows without copies of others: of each as many as the others have of it."""
    return rows[~_are_copies(recipe, rows, *others)].reset_index(drop=True)


def _are_copies(recipe: Recipe, rows: pd.DataFrame, *others: pd.DataFrame) -> NDArray[np.bool_]:
    known = np.concatenate([_keys(recipe, other) for other in others])
    return copies(_keys(recipe, rows), known)


def _keys(recipe: Recipe, rows: pd.DataFrame) -> Keys:
    return row_keys(recipe, rows, recipe.schema, recipe.targets[0])


def _check_enough(recipe: Recipe, request: RetrainingRequest, found: Partition) -> None:
    counts = {
        "to learn": len(found.recent),
        "to choose": len(found.validation),
        "for the exam": len(found.holdout),
    }
    min_class_rows = MIN_CLASS_ROWS if recipe.is_classifier else 1
    too_few = min(counts.values()) < MIN_TABLE_ROWS // 2
    for rows in (found.validation, found.holdout) if recipe.task == "binary" else ():
        class_counts = rows[recipe.targets[0]].astype(str).value_counts()
        too_few |= any(class_counts.get(name, 0) < min_class_rows for name in recipe.classes)
    if too_few:
        got = ", ".join(f"{n} {use}" for use, n in counts.items())
        raise InvalidData(
            f"retraining {request.retraining_id}: expected labelled rows since "
            f"{request.recent_start}, {MIN_TABLE_ROWS // 2} for each use and {min_class_rows} of "
            f"each class, got {got}",
            remedy="wait for more labels",
        )
