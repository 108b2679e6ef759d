"""Record batches become valid rows: whole columns where they are plainly good, else row by row.

The row decoder is the service's own (`services.inference.decode`), so a row gets the same answer,
or the same violations, as over HTTP. The columns only spare it the rows that they prove valid.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.errors import InvalidData
from contracts.flags import flag_of
from contracts.schema import Feature, Schema, normalized
from services.batch.columns import (
    CheckedColumn,
    ValueForm,
    checked_column,
    form_of,
    plain_array,
    values_as_json,
)
from services.faults import Fault
from services.inference.decode import Decoder, encode_lines
from services.inference.json_body import repeated
from services.inference.number_columns import RowMask
from services.inference.row_types import valid_row_struct
from services.inference.rows import Matrix
from services.inference.timestamp_values import input_places

ArrowColumn = Any
"""A `pyarrow.Array`."""
_NO_FAULTS: Mapping[int, Fault] = {}


@dataclass(frozen=True)
class DecodedBatch:
    """The valid rows of a record batch, and why the others are refused.

    `rows`: the places of the valid rows in the batch, shape `(n_valid,)`. `matrix`: the model's
    input, shape `(n_valid, n_features)`. `flags`: by flag, such as `clipped:age`, the valid rows
    that have it, in the order of the schema. `columns`: the features after their policies, by
    name, made when they are needed. `refused`: by place in the batch.
    """

    rows: NDArray[np.int64]
    matrix: Matrix
    flags: Mapping[str, RowMask]
    columns: Callable[[], dict[str, ArrowColumn]]
    refused: Mapping[int, Fault] = field(default_factory=lambda: _NO_FAULTS)


@dataclass
class _ByRow:
    """What the row decoder gave: rows that it accepts, and the faults of the others."""

    rows: list[int] = field(default_factory=list)
    numbers: list[Sequence[float]] = field(default_factory=list)
    flags: list[tuple[str, ...]] = field(default_factory=list)
    features: list[dict[str, Any]] = field(default_factory=list)
    faults: dict[int, Fault] = field(default_factory=dict)


class RecordBatchDecoder:
    """Decodes record batches of one schema; `decoder` is that of the served model."""

    def __init__(self, schema: Schema, decoder: Decoder) -> None:
        self._schema = schema
        self._decoder = decoder
        self._struct = valid_row_struct(schema.columns)
        self._n_inputs = len(schema.inputs)
        self._places = input_places(schema.columns)

    def decode(self, batch: Any) -> DecodedBatch:
        """The valid rows of a `pyarrow.RecordBatch`; columns that are no features are ignored.

        A nullable feature without a column is missing in each row.

        Raises:
            InvalidData: another feature has no column, or two columns have its name.

        """
        arrays = self._arrays(batch)
        columns = [checked_column(f, *arrays[f.name]) for f in self._schema.columns]
        doubtful = _any_doubtful(columns)
        matrix = np.empty((batch.num_rows, self._n_inputs), dtype=self._decoder.dtype)
        with np.errstate(over="ignore"):
            # Doubtful numbers may be beyond float32; they are replaced or left out.
            for i, column in zip(self._places, columns, strict=True):
                matrix[:, i] = column.values
        by_row = _ByRow()
        if doubtful is not None:
            by_row = self._by_row(np.flatnonzero(doubtful).tolist(), arrays)
            if by_row.rows:
                matrix[by_row.rows] = np.asarray(by_row.numbers, dtype=self._decoder.dtype)
        rows = np.arange(batch.num_rows)
        if by_row.faults:
            rows = np.delete(rows, list(by_row.faults))
            matrix = matrix[rows]
        return DecodedBatch(
            rows,
            matrix,
            self._flags(columns, doubtful, by_row, rows),
            lambda: self._features(columns, by_row, rows),
            by_row.faults,
        )

    def texts(self, decoded: DecodedBatch) -> list[bytes]:
        """The valid rows as JSON, for a model that takes rows."""
        columns = decoded.columns()
        listed = [_json_column(f, columns[f.name]) for f in self._schema.columns]
        rows = [self._struct(*values) for values in zip(*listed, strict=True)]
        return encode_lines(rows).split(b"\n")[:-1]

    def _arrays(self, batch: Any) -> dict[str, tuple[ArrowColumn, ValueForm]]:
        """The column of each feature, and its form."""
        places = feature_places(self._schema, batch.schema.names)
        missing = pa.nulls(batch.num_rows)
        return {
            name: (missing, "plain")
            if place is None
            else (plain_array(batch.column(place)), form_of(batch.schema.field(place)))
            for name, place in places.items()
        }

    def _by_row(
        self, doubtful: Sequence[int], arrays: Mapping[str, tuple[ArrowColumn, ValueForm]]
    ) -> _ByRow:
        places = pa.array(doubtful, pa.int64())
        listed = {
            f.name: values_as_json(f, arrays[f.name][0].take(places), arrays[f.name][1])
            for f in self._schema.features
        }
        found = _ByRow()
        for i, values in zip(doubtful, zip(*listed.values(), strict=True), strict=True):
            try:
                rows = self._decoder.exact(dict(zip(listed, values, strict=True)))
            except Fault as fault:
                found.faults[i] = fault
                continue
            found.rows.append(i)
            found.numbers.append(rows.numbers[0])
            found.flags.append(rows.flags[0])
            found.features.append(msgspec.json.decode(rows.features[0]))
        return found

    def _flags(
        self,
        columns: Sequence[CheckedColumn],
        doubtful: RowMask | None,
        by_row: _ByRow,
        rows: NDArray[np.int64],
    ) -> dict[str, RowMask]:
        named = dict(zip((f.name for f in self._schema.columns), columns, strict=True))
        flags: dict[str, RowMask] = {}
        for feature in self._schema.features:
            column = named[feature.name]
            mask = column.flagged
            if mask is not None and doubtful is not None:
                mask = mask & ~doubtful
            flag = flag_of(feature)
            decided = [
                i for i, found in zip(by_row.rows, by_row.flags, strict=True) if flag in found
            ]
            if decided:
                mask = np.zeros(len(column.values), dtype=bool) if mask is None else mask
                mask[decided] = True
            if mask is not None and mask.any():
                flags[flag] = mask[rows] if by_row.faults else mask
        return flags

    def _features(
        self, columns: Sequence[CheckedColumn], by_row: _ByRow, rows: NDArray[np.int64]
    ) -> dict[str, ArrowColumn]:
        named = dict(zip((f.name for f in self._schema.columns), columns, strict=True))
        found = {}
        for feature in self._schema.features:
            array = named[feature.name].logged()
            if by_row.rows:
                values = _plain_list(array)
                for i, features in zip(by_row.rows, by_row.features, strict=True):
                    values[i] = features[feature.name]
                array = _feature_array(feature, values)
            found[feature.name] = array.take(pa.array(rows)) if by_row.faults else array
        return found


def feature_places(schema: Schema, names: Sequence[str]) -> dict[str, int | None]:
    """The place of each feature among the names of columns; None for a nullable one without any.

    Raises:
        InvalidData: a feature that is not nullable has no column, or two columns have its name.

    """
    composed = [normalized(name) for name in names]
    twice = [name for name in repeated(composed) if name in schema.names]
    if twice:
        raise InvalidData(
            f"column {twice[0]!r}: expected it once, got it {composed.count(twice[0])} times",
            remedy="rename or remove the others",
        )
    places: dict[str, int | None] = {}
    for feature in schema.features:
        places[feature.name] = composed.index(feature.name) if feature.name in composed else None
        if places[feature.name] is None and not feature.nullable:
            raise InvalidData(
                f"column {feature.name!r}: expected {feature.expected}, got no such column",
                remedy=f"the model takes {', '.join(schema.names)}",
            )
    return places


def _any_doubtful(columns: Sequence[CheckedColumn]) -> RowMask | None:
    masks = [column.doubtful for column in columns if column.doubtful is not None]
    return np.logical_or.reduce(masks) if masks else None


def _plain_list(array: ArrowColumn) -> list[Any]:
    """The values of a feature; those of doubtful rows mean nothing, so they may be anything."""
    try:
        listed: list[Any] = array.to_pylist()
    except UnicodeDecodeError:
        listed = [None] * len(array)
    return listed


def _feature_array(feature: Feature, values: Sequence[Any]) -> ArrowColumn:
    if feature.is_category:
        kept = [v if isinstance(v, str) else None for v in values]
        return pa.array(kept, pa.string()).dictionary_encode()
    if feature.is_timestamp:
        return pa.array([v if isinstance(v, str) else None for v in values], pa.string())
    if feature.type == "bool":
        return pa.array([v if isinstance(v, bool) else None for v in values], pa.bool_())
    numbers = [None if v is None or isinstance(v, bool | str) else float(v) for v in values]
    return pa.array(numbers, pa.float64(), from_pandas=True)


def _json_column(feature: Feature, array: ArrowColumn) -> list[Any]:
    values: list[Any] = array.to_pylist()
    if feature.type == "int":
        return [None if v is None else int(v) for v in values]
    return values
