"""The target of a drafted recipe: its task and its classes."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api import types

from contracts.errors import InvalidData
from contracts.manifest import Task
from training.class_names import class_name

MAX_INTEGER_CLASSES = 10
"""Whole numbers with more distinct values are drafted as a regression."""
MAX_CLASSES = 100
MIN_DRAFTED_CLASS_ROWS = 4
"""Rows of classes with fewer are left out by the draft: each needs rows on both sides."""
POSITIVE_WORDS = frozenset(
    {"1", "true", "yes", "y", "t", "positive", "pos", "default", "churn", "churned", "fraud"}
    | {"malignant", "died", "dead", "bad", "spam", "left", "failed", "sick", "ill", "ja", "oui"}
)


@dataclass(frozen=True)
class DraftedTarget:
    """The target: its task, its classes as the recipe names them, and the doubts about it."""

    name: str
    task: Task
    classes: tuple[str, ...]
    labels: pd.Series
    doubts: tuple[str, ...]
    filters: tuple[str, ...]

    @property
    def share(self) -> float:
        """The share of the most frequent class."""
        return float(self.labels.value_counts(normalize=True).iloc[0])


def drafted_target(table: pd.DataFrame, name: str, task: Task | None) -> DraftedTarget:
    """The target column as a target; `task` overrides what the column suggests.

    Raises:
        InvalidData: no such column, no values, one class only, or text of too many classes.

    """
    if name not in table.columns:
        raise InvalidData(
            f"--target: expected one of the columns {', '.join(map(str, table.columns))}, "
            f"got {name!r}",
            remedy="name the column that the model will predict",
        )
    column = table[name].dropna()
    n_missing = len(table) - len(column)
    doubts = [f"{n_missing:,} rows have no target and are left out"] if n_missing else []
    filters = [f"table = table.dropna(subset=[{name!r}])"] if n_missing else []
    is_number = types.is_numeric_dtype(column.dtype) and not types.is_bool_dtype(column.dtype)
    is_regression = task == "regression" or (task is None and is_number and not _is_coded(column))
    if is_regression:
        if not is_number or not np.isfinite(column.to_numpy(dtype=float)).all():
            raise InvalidData(
                f"{name}: expected finite numbers for a regression, got {column.dtype}",
                remedy="name another target, or --task binary or multiclass",
            )
        return DraftedTarget(name, "regression", (), column, tuple(doubts), tuple(filters))
    return _classified(name, column, task, doubts, filters)


def _is_coded(column: pd.Series) -> bool:
    values = column.unique()
    return len(values) <= MAX_INTEGER_CLASSES and bool(np.all(values == np.round(values)))


def _classified(
    name: str, column: pd.Series, task: Task | None, doubts: list[str], filters: list[str]
) -> DraftedTarget:
    values = column.map(class_name)
    counts = values.value_counts()
    rare = sorted(counts.index[counts < MIN_DRAFTED_CLASS_ROWS])
    classes = sorted(set(counts.index) - set(rare))
    if not 2 <= len(classes) <= MAX_CLASSES:  # noqa: PLR2004 - fewer is no task
        raise InvalidData(
            f"{name}: expected 2 to {MAX_CLASSES} classes of {MIN_DRAFTED_CLASS_ROWS} rows or "
            f"more, got {len(classes)}",
            remedy="name another target, or --task regression for numbers",
        )
    if rare:
        shown = ", ".join(repr(each) for each in rare[:5])
        doubts.append(
            f"{len(rare)} classes have fewer than {MIN_DRAFTED_CLASS_ROWS} rows and are left out: "
            f"{shown}"
        )
        kept = column[values.isin(classes)].unique().tolist()
        filters.append(f"table = table[table[{name!r}].isin({kept!r})]")
        column = column[values.isin(classes)]
        values = values[values.isin(classes)]
    found: Task = "binary" if len(classes) == 2 else "multiclass"  # noqa: PLR2004 - that is what binary means
    if task not in {None, found}:
        raise InvalidData(
            f"--task: expected {found} for {len(classes)} classes, got {task}",
            remedy="leave --task out",
        )
    if types.is_numeric_dtype(column.dtype) and len(classes) > 2:  # noqa: PLR2004 - codes, not a flag
        doubts.append(
            f"{len(classes)} whole numbers are taken as classes; if they are amounts or counts, "
            "use --task regression"
        )
    if found == "binary":
        classes = _positive_last(classes, values, doubts)
    return DraftedTarget(name, found, tuple(classes), values, tuple(doubts), tuple(filters))


def _positive_last(classes: list[str], values: pd.Series, doubts: list[str]) -> list[str]:
    positive = [each for each in classes if each.casefold() in POSITIVE_WORDS]
    if len(positive) != 1:
        positive = [str(values.value_counts().index[-1])]
        doubts.append(f"the rarer class {positive[0]!r} is taken as the positive one")
    return [*(each for each in classes if each != positive[0]), positive[0]]
