"""The reference sample: held-out rows that travel with a model, in `reference.parquet`."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from contracts.errors import InvalidDocument, first_line
from contracts.reference import CategoryReference, ColumnReference, Reference


@dataclass(frozen=True)
class ReferenceSample:
    """A model's held-out rows; the file is read when `rows` is first used, and once."""

    path: Path
    reference: Reference

    @cached_property
    def rows(self) -> pl.DataFrame:
        """The features, `prediction`, `score`, and `label` except in versions of old.

        Features have the types that the reference gives them, as traffic has: numbers are
        Float64, categories String, and booleans the texts `true` and `false`, though training
        writes them as 1.0 and 0.0. Null is missing. Other columns are as training wrote them.

        Raises:
            InvalidDocument: the file cannot be read, or lacks a feature of the reference.

        """
        features = self.reference.features
        try:
            rows = pl.read_parquet(self.path, glob=False)
            return rows.with_columns(
                _as_traffic(rows[name], column) for name, column in features.items()
            )
        except (OSError, pl.exceptions.PolarsError) as err:
            raise InvalidDocument(
                f"{self.path}: expected held-out rows in Parquet, got {first_line(err)}",
                remedy="fetch the version again: slipway pull",
            ) from err


def _as_traffic(values: pl.Series, column: ColumnReference) -> pl.Series:
    if not isinstance(column, CategoryReference):
        return values.cast(pl.Float64)
    if column.is_boolean and values.dtype != pl.String:
        return values.cast(pl.Boolean).cast(pl.String)
    return values.cast(pl.String)
