"""What is wrong with a column of a table: which row, what was expected, what came."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from contracts.errors import preview
from training.tables.number_text import Mask


@dataclass(frozen=True)
class ColumnFault:
    """What is wrong with a column: `row` is the position of the first bad row, or None for all."""

    row: int | None
    expected: str
    got: str
    remedy: str
    n_rows: int = 0

    def described(self, column: str) -> str:
        """What is wrong with the column of this name: where, what was expected, what came."""
        if self.row is None:
            return f"column {column!r}: expected {self.expected}, got {self.got}"
        more = f" (and {self.n_rows - 1} more rows)" if self.n_rows > 1 else ""
        return f"rows[{self.row}].{column}: expected {self.expected}, got {self.got}{more}"


def first_fault(column: pd.Series, expected: str, bad: Mask, remedy: str) -> ColumnFault:
    """The fault of a column of which some rows are `bad`, shape `(n_rows,)`."""
    row = int(np.argmax(bad))
    return ColumnFault(row, expected, shown_value(column.iloc[row]), remedy, int(bad.sum()))


def shown_value(value: Any) -> str:
    """A value for people, at most a line long."""
    return preview(value.item() if isinstance(value, np.generic) else value)
