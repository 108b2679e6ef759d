"""Divides a table: about a quarter of the rows is held out, the others are learned.

* at random, a classifier's classes in proportion (the default);
* by time (`Recipe.time`): the newest rows are held out;
* by group (`Recipe.group`): a group is on one side only;
* as a column of the table says (`Recipe.holdout`).

Rows that are copies of each other in everything but the target are on one side.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, train_test_split

from contracts.errors import InvalidData, preview
from contracts.schema import boolean
from training.metrics import Target
from training.notes import add_note
from training.recipe import Recipe
from training.rows import row_hashes
from training.tables.column_fault import ColumnFault
from training.tables.times import times_of
from training.tables.typed import typed_values
from training.targets import encoded_targets, targets_of

HOLDOUT_SHARE = 0.25
MIN_GROUPS = round(1 / HOLDOUT_SHARE)
SHARE_WITH_COPIES = (0.1, 0.4)
"""The held-out share that is accepted so that copies stay together."""

Positions = NDArray[np.int64]
Sides = tuple[Positions, Positions]


def held_out(recipe: Recipe, table: pd.DataFrame, seed: int) -> Sides:
    """The positions of the rows to learn, and of those held out.

    `table` is as `load_table` returns it. The same table and seed give the same rows.

    Raises:
        InvalidData: a class has one row only, there are more classes than held-out rows, or too
            few groups; a class is on one side only; the column of times, groups or sides cannot
            be read.

    """
    targets = targets_of(recipe, table)
    if recipe.is_classifier:
        _check_class_sizes(recipe, targets)
    if recipe.time:
        sides = _by_time(recipe, table)
    elif recipe.group:
        sides = _by_group(recipe, table, targets, seed)
    elif recipe.holdout:
        sides = _by_column(recipe, table)
    else:
        return _at_random(recipe, table, targets, seed)
    _check_sides(recipe, targets, sides)
    return _shuffled(sides, seed)


def _shuffled(sides: Sides, seed: int) -> Sides:
    """Both sides in random order: where only the first rows are used, they stand for all."""
    rng = np.random.default_rng(seed)
    return rng.permutation(sides[0]), rng.permutation(sides[1])


def _at_random(recipe: Recipe, table: pd.DataFrame, targets: Target, seed: int) -> Sides:
    copies = _copies(recipe, table)
    first = pd.Series(np.arange(len(table))).groupby(copies, sort=False).first().to_numpy()
    if len(first) < len(table):
        sides = _together(recipe, targets, copies, first, seed)
        if sides is not None:
            return _shuffled(sides, seed)
        add_note(
            f"{len(table) - len(first):,} of {len(table):,} rows are copies of others; they are "
            "split row by row, because too few rows are distinct to keep copies together"
        )
    train, holdout = train_test_split(
        np.arange(len(table)),
        test_size=HOLDOUT_SHARE,
        random_state=seed,
        stratify=targets if recipe.is_classifier else None,
    )
    return train, holdout


def _together(
    recipe: Recipe, targets: Target, copies: Positions, first: Positions, seed: int
) -> Sides | None:
    """A split of distinct rows, each with its copies; None if it would be lopsided."""
    strata = targets[first] if recipe.is_classifier else None
    try:
        _, chosen = train_test_split(
            first, test_size=HOLDOUT_SHARE, random_state=seed, stratify=strata
        )
    except ValueError:
        return None
    is_held_out = np.isin(copies, copies[chosen])
    low, high = SHARE_WITH_COPIES
    if not low <= is_held_out.mean() <= high:
        return None
    sides = np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)
    if recipe.is_classifier and any(set(targets[side]) != set(targets) for side in sides):
        return None
    add_note(
        f"{len(targets) - len(first):,} of {len(targets):,} rows are copies of others in all but "
        "the target; copies are on one side of the split"
    )
    return sides


def _copies(recipe: Recipe, table: pd.DataFrame, *others: str) -> Positions:
    """The number of each row's set of copies, shape `(n_rows,)`."""
    compared = table.drop(columns=[*recipe.targets, *others])
    return np.asarray(pd.factorize(row_hashes(compared))[0], dtype=np.int64)


def _by_time(recipe: Recipe, table: pd.DataFrame) -> Sides:
    """The newest quarter is held out, with all rows of the time at which it begins."""
    times = times_of(table[recipe.time])
    if isinstance(times, ColumnFault):
        raise _column_fault(recipe, "time", recipe.time, times)
    order = np.argsort(times, kind="stable")
    cut = times[order[len(order) - math.ceil(HOLDOUT_SHARE * len(order))]]
    is_held_out = times >= cut
    if is_held_out.all():
        raise InvalidData(
            f"recipe {recipe.name!r}: time: expected rows of several times in {recipe.time!r}, got "
            "the same time in three quarters of the rows",
            remedy="name another column, or leave time out",
        )
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


def _by_group(recipe: Recipe, table: pd.DataFrame, targets: Target, seed: int) -> Sides:
    column = table[recipe.group]
    if column.isna().any():
        row = int(np.argmax(column.isna()))
        fault = ColumnFault(row, "a group", "nothing", "fill the column in the loader")
        raise _column_fault(recipe, "group", recipe.group, fault)
    groups = pd.factorize(column.map(repr) if column.dtype == object else column)[0]
    n_groups = int(groups.max()) + 1
    if n_groups < MIN_GROUPS:
        raise InvalidData(
            f"recipe {recipe.name!r}: group: expected at least {MIN_GROUPS} groups in "
            f"{recipe.group!r}, got {n_groups}",
            remedy="name a column with more groups, or leave group out",
        )
    train, holdout = next(_group_folds(recipe, targets, groups, seed))
    return train, holdout


def _group_folds(recipe: Recipe, targets: Target, groups: Positions, seed: int) -> Iterator[Sides]:
    """The folds of scikit-learn, with classes in proportion as far as the groups allow."""
    rows = np.zeros(len(groups))
    if recipe.is_classifier:
        folds = StratifiedGroupKFold(MIN_GROUPS, shuffle=True, random_state=seed)
        with suppress(ValueError), warnings.catch_warnings():
            # It warns of a class with fewer rows than folds, and refuses if all classes are so.
            warnings.simplefilter("ignore")
            return iter(list(folds.split(rows, encoded_targets(recipe, targets), groups)))
    plain = GroupKFold(MIN_GROUPS, shuffle=True, random_state=seed)
    return iter(plain.split(rows, groups=groups))


def _by_column(recipe: Recipe, table: pd.DataFrame) -> Sides:
    """As the user says; copies of held-out rows are not learned."""
    values = typed_values(table[recipe.holdout], boolean(recipe.holdout))
    if not isinstance(values, ColumnFault) and values.isna().any():
        row = int(np.argmax(values.isna()))
        values = ColumnFault(row, "true (held out) or false", "nothing", "fill the column")
    if isinstance(values, ColumnFault):
        raise _column_fault(recipe, "holdout", recipe.holdout, values)
    is_held_out = values.to_numpy() == 1.0
    copies = _copies(recipe, table, recipe.holdout)
    is_copy = np.isin(copies, copies[is_held_out]) & ~is_held_out
    if is_copy.any():
        add_note(f"{int(is_copy.sum()):,} rows are copies of held-out rows and are not learned")
    return np.flatnonzero(~is_held_out & ~is_copy), np.flatnonzero(is_held_out)


def _column_fault(recipe: Recipe, field: str, column: str, fault: ColumnFault) -> InvalidData:
    where = f"rows[{fault.row}].{column}" if fault.row is not None else f"column {column!r}"
    return InvalidData(
        f"recipe {recipe.name!r}: {field}: {where}: expected {fault.expected}, got {fault.got}",
        remedy=fault.remedy,
    )


def _check_sides(recipe: Recipe, targets: Target, sides: Sides) -> None:
    for rows, use in zip(sides, ("learned", "held out"), strict=True):
        if not len(rows):
            raise InvalidData(
                f"recipe {recipe.name!r}: expected rows to be {use}, got none",
                remedy="split the rows in another way: time, group or holdout",
            )
        absent = sorted(set(recipe.classes) - set(targets[rows])) if recipe.is_classifier else []
        if absent:
            raise InvalidData(
                f"recipe {recipe.name!r}: {recipe.targets[0]}: expected rows of every class to be "
                f"{use}, got none of {preview(absent[0])[1:-1]!r}",
                remedy="add rows of the class, or split the rows in another way",
            )


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
