"""Which rows of one table are copies of another's, when rows have no names."""

from collections import Counter

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contracts.errors import InvalidData
from contracts.schema import Schema
from training.dataset import features_of
from training.recipe import Recipe

Keys = NDArray[np.uint64]
"""One number a row, shape `(n_rows,)`."""


def keys_of(recipe: Recipe, table: pd.DataFrame, schema: Schema, label: str) -> Keys:
    """One number a row, from its features and its (first) label.

    Raises:
        InvalidData: a column has not the type that the schema names.

    """
    try:
        features = features_of(table, schema)
    except (TypeError, ValueError) as err:
        raise InvalidData(
            f"recipe {recipe.name!r}: expected rows of the types that the version knows, got {err}",
            remedy="two kinds of rows have no common exam; promote with --force",
        ) from err
    kind = "str" if recipe.is_classifier else "float64"
    keyed = features.assign(**{"label of the row": table[label].astype(kind)})
    return pd.util.hash_pandas_object(keyed, index=False).to_numpy()


def copies(keys: Keys, of: Keys) -> NDArray[np.bool_]:
    """Which rows are among others; of equal rows only as many, the first.

    >>> rows, others = np.array([7, 8, 7, 7], np.uint64), np.array([7, 7, 9], np.uint64)
    >>> copies(rows, others).tolist()
    [True, False, True, False]
    """
    left = Counter(of.tolist())
    found = np.zeros(len(keys), dtype=bool)
    for place, key in enumerate(keys.tolist()):
        if left[key] > 0:
            left[key] -= 1
            found[place] = True
    return found
