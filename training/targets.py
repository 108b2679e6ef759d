"""The targets of a recipe's rows: checked, and as classes or values."""

import numpy as np
import pandas as pd
from pandas.api import types

from contracts.errors import InvalidData, preview
from training.class_names import class_name
from training.metrics import Target
from training.recipe import Recipe
from training.tables.column_fault import ColumnFault
from training.tables.typed import number_values

MAX_CLASSES_SHOWN = 10


def typed_target(recipe: Recipe, target: str, column: pd.Series) -> pd.Series:
    """A target column, checked: class names as `recipe.classes` spells them, or numbers.

    A class that is an integer, a boolean or a whole float is spelled as JSON spells it: `1`,
    `true`.

    Raises:
        InvalidData: a target is missing, no finite number, or of a class that the recipe does not
            name; or a class of the recipe never occurs.

    """
    missing = column.isna()
    if missing.any():
        raise InvalidData(
            f"rows[{int(np.argmax(missing))}].{target}: expected a label, got nothing"
            + (f" (and {int(missing.sum()) - 1} more rows)" if missing.sum() > 1 else ""),
            remedy="leave rows without a label out of the training data",
        )
    return _classes(recipe, target, column) if recipe.is_classifier else _values(target, column)


def targets_of(recipe: Recipe, table: pd.DataFrame) -> Target:
    """The targets of a table's rows: class names, or values.

    The shape is `(n_rows,)`, and `(n_rows, n_targets)` for several targets.
    """
    if recipe.is_classifier:
        return table[recipe.targets[0]].astype(str).to_numpy(dtype=object)
    values = table[list(recipe.targets)].to_numpy(dtype=float)
    return values[:, 0] if len(recipe.targets) == 1 else values


def encoded_targets(recipe: Recipe, targets: Target) -> Target:
    """Targets as metrics take them: class indices of class names; values as they are.

    A class index is the position of the class in `recipe.classes`.
    """
    if not recipe.is_classifier:
        return targets
    index_of = {name: index for index, name in enumerate(recipe.classes)}
    return np.array([index_of[name] for name in targets])


def _classes(recipe: Recipe, target: str, column: pd.Series) -> pd.Series:
    spelled = [_class_of(recipe, value) for value in column.tolist()]
    names = pd.Series(spelled, index=column.index, dtype="str")
    got = sorted(names.unique())
    if set(got) != set(recipe.classes):
        shown = [preview(name)[1:-1] for name in got[:MAX_CLASSES_SHOWN]]
        more = f" and {len(got) - len(shown)} more" if len(got) > len(shown) else ""
        raise InvalidData(
            f"{target}: expected the classes {', '.join(recipe.classes)}, "
            f"got {', '.join(shown)}{more}",
            remedy="name every class of the data in the recipe, and no other",
        )
    return names


def _class_of(recipe: Recipe, value: object) -> str:
    # Recipes of earlier releases name the classes as Python spells the values: "True", "1.0".
    text = str(value)
    return text if text in recipe.classes else class_name(value)


def _values(target: str, column: pd.Series) -> pd.Series:
    values = number_values(column, "a finite number")
    if isinstance(values, ColumnFault):
        raise InvalidData(values.described(target), remedy=values.remedy)
    # The digest of an evaluation is of the values as they came.
    return column if types.is_numeric_dtype(column.dtype) else values
