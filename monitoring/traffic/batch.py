"""Rows of traffic side by side: what readers give and counters take."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

Times = NDArray[np.int64]
"""Microseconds since 1970 in UTC, shape `(n_rows,)`."""


@dataclass(frozen=True)
class TrafficBatch:
    """A piece of a window, column by column.

    `columns` has one series of `times`' length for each column of the reference: numbers as
    Float64, words as String or Categorical, booleans as Boolean; null is missing. A value of
    the wrong type is null there and counted in `mistyped`; a feature that the reference does
    not know is counted in `unknown_features`; `flags` are counted.
    """

    times: Times
    ids: pl.Series
    columns: Mapping[str, pl.Series]
    mistyped: Mapping[str, int] = field(default_factory=dict)
    unknown_features: Mapping[str, int] = field(default_factory=dict)
    flags: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.times)
