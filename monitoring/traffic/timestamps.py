"""Timestamps of traffic become the parts that the model got, as numeric columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from contracts.schema import Schema, timestamp_columns
from contracts.timestamps import parse_timestamps
from monitoring.traffic.decode import decoded_json, feature_key


@dataclass(frozen=True)
class TimestampColumn:
    """A timestamp of `n_rows` rows.

    `seconds` are Float64, `parts` the columns of its parts, and `texts` what was logged; null is
    missing or, in `mistyped` rows, no timestamp.
    """

    seconds: pl.Series
    parts: Mapping[str, pl.Series]
    texts: pl.Series
    mistyped: int

    def columns(self, name: str) -> dict[str, pl.Series]:
        """The columns of a table of traffic, by their keys."""
        columns = {feature_key(part): series for part, series in self.parts.items()}
        return columns | {feature_key(name): self.texts}


class TimestampReader:
    """Reads the timestamps of a schema; without one there are none."""

    def __init__(self, schema: Schema | None) -> None:
        features = schema.features if schema is not None else ()
        self._features = {feature.name: feature for feature in features if feature.is_timestamp}
        self.names = tuple(self._features)
        self.parts = frozenset(
            each.name for feature in self._features.values() for each in feature.inputs
        )

    def of_values(self, name: str, values: Sequence[object]) -> TimestampColumn:
        """A timestamp from values as they were logged, of any type."""
        feature = self._features[name]
        texts = [value if isinstance(value, str) else None for value in values]
        n_other = sum(
            text is None and value is not None for text, value in zip(texts, values, strict=True)
        )
        seconds, n_wrong = parse_timestamps(texts)
        numbers = {
            key: pl.Series(each, dtype=pl.Float64).fill_nan(None)
            for key, each in timestamp_columns(feature, seconds).items()
        }
        # What is no timestamp is null, as in any other column.
        known = [t if ok else None for t, ok in zip(texts, ~np.isnan(seconds), strict=True)]
        return TimestampColumn(
            numbers.pop(name), numbers, pl.Series(known, dtype=pl.String), n_other + n_wrong
        )

    def of_table(self, name: str, table: pl.DataFrame) -> TimestampColumn:
        """A timestamp from a Parquet file of traffic."""
        mixed, key = f"mixed.{name}", feature_key(name)
        values: Sequence[object] = [None] * len(table)
        if mixed in table.columns:
            values = decoded_json(table[mixed])
        elif key in table.columns:
            values = table[key].to_list()
        return self.of_values(name, values)
