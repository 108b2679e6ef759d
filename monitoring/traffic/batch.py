"""A batch of traffic in columns: what a reader gives to those who count."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from monitoring.traffic.units import UnitGroups

Times = NDArray[np.int64]
"""Microseconds since 1970 in UTC, shape `(n_rows,)`."""


@dataclass(frozen=True)
class TrafficBatch:
    """Rows of a window, column by column.

    `columns` has one series of length `n_rows` per column of the reference: numbers as
    Float64, categories as String or Categorical, booleans as Boolean or as the texts `true`
    and `false`; null is missing. A value of another type is null there and counted in
    `mistyped`, by column; `unknown_features` counts the values of features that the reference
    does not know; `flags` counts flags. `frame` is the table of the same rows, in which
    features are named `features.<name>`. `timestamps` are seconds since 1970, Float64, by name
    of the feature; their parts are among the columns. `unit_groups` is None if no row names its
    unit.
    """

    times: Times
    ids: pl.Series
    columns: Mapping[str, pl.Series]
    mistyped: Mapping[str, int] = field(default_factory=dict)
    unknown_features: Mapping[str, int] = field(default_factory=dict)
    flags: Mapping[str, int] = field(default_factory=dict)
    frame: pl.DataFrame = field(default_factory=pl.DataFrame)
    unit_groups: UnitGroups | None = None
    timestamps: Mapping[str, pl.Series] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.times)
