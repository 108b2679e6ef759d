"""The units of rows, such as users, in a fixed number of groups at random.

Rows of one unit resemble each other, so they say less than as many rows of different units. The
groups show by how much without a count per unit: their means vary as the means of independent
rows do, or more (random groups, Hansen, Hurwitz and Madow 1953).
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

UNIT_GROUPS = 64

UnitGroups = NDArray[np.int64]
"""The group of each row's unit, -1 where the row names none; shape `(n_rows,)`."""


def unit_groups(units: pl.Series) -> UnitGroups | None:
    """The groups of rows whose units are texts or null; None if no row names its unit."""
    if units.null_count() == len(units):
        return None
    groups = (units.hash(seed=0) % UNIT_GROUPS).cast(pl.Int64)
    return groups.zip_with(units.is_not_null(), pl.Series([-1], dtype=pl.Int64)).to_numpy()
