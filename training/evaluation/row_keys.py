"""Which rows of one table are copies of another table's rows, where rows have no ids."""

from collections import Counter

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contracts.errors import InvalidData
from contracts.schema import Schema
from training.dataset import features_of
from training.recipe import Recipe

Keys = NDArray[np.uint64]
"""One hash per row, shape `(n_rows,)`."""


def row_keys(recipe: Recipe, table: pd.DataFrame, schema: Schema, target: str) -> Keys:
    """One hash per row, of its features and its target; `target` names the column.

    Raises:
        InvalidData: a column does not have the type that the schema names.

    """
    try:
        features = features_of(table, schema)
    except (TypeError, ValueError) as err:
        raise InvalidData(
            f"recipe {recipe.name!r}: expected rows of the types that the version knows, got {err}",
            remedy="these rows and the version cannot be compared; promote with --force",
        ) from err
    dtype = "str" if recipe.is_classifier else "float64"
    keyed = features.assign(**{"label of the row": table[target].astype(dtype)})
    return pd.util.hash_pandas_object(keyed, index=False).to_numpy()


def copies(keys: Keys, of: Keys) -> NDArray[np.bool_]:
    """Which rows are copies of others, shape `(n_rows,)`.

    Of equal rows, as many are copies as the others have, the first ones.

    >>> rows, others = np.array([7, 8, 7, 7], np.uint64), np.array([7, 7, 9], np.uint64)
    >>> copies(rows, others).tolist()
    [True, False, True, False]
    """
    left = Counter(of.tolist())
    found = np.zeros(len(keys), dtype=bool)
    for index, key in enumerate(keys.tolist()):
        if left[key] > 0:
            left[key] -= 1
            found[index] = True
    return found
