"""The step that prepares categories for gradient boosting, as a graph."""

import math
from typing import Any

import numpy as np

from training.features.native_categories import MISSING, UNSEEN
from training.translation.graph import GraphTensor, concat


def native_categories(step: Any, x: GraphTensor) -> GraphTensor:
    """`NativeCategories`: the position of each code among those of the fit, as a float."""
    names = list(step.feature_names_in_)
    columns = [x.take([index]) for index in range(len(names))]
    for name, values in step.categories_.items():
        index = names.index(name)
        columns[index] = _position(columns[index], values, as_integers=step.dtype == "int")
    return concat(columns)


def _position(column: GraphTensor, values: list[float], *, as_integers: bool) -> GraphTensor:
    absent: Any = math.nan
    if as_integers:
        coded = column.equals(float(MISSING)).where(float(MISSING), float(UNSEEN))
        # A boolean that is missing is NaN, which no number equals, itself included.
        absent = column.equals(column).where(coded, float(MISSING))
    if not values:
        return column.equals(column).where(absent, absent)
    hits = column.equals(np.asarray(values, dtype=np.float64).reshape(1, -1)).numbers()
    position = hits @ np.arange(len(values), dtype=np.float64).reshape(-1, 1)
    return (hits.sum() > 0.0).where(position, absent)
