"""From columns of numbers and strings to valid rows: what tensors and Arrow tables carry.

Like the fast path of the decoder, this one only says yes or no, column by column with NumPy. What
it does not accept is checked row by row, which lists every violation and decides. The rows that it
accepts are those that `Decoder.exact` would make, byte for byte.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.flags import flag_of
from contracts.onnx_session import FLOAT32
from contracts.schema import MISSING_CODE, UNSEEN_CODE, Feature, Schema, normalized
from services.inference.decode import encode_lines
from services.inference.number_columns import check_numbers
from services.inference.row_types import valid_row_struct
from services.inference.rows import NO_FLAGS, Rows
from services.inference.timestamp_values import input_places, timestamp_column

FeatureColumn = NDArray[Any] | list[str]
"""The values of one feature, shape `(n_rows,)`: numbers of any type, NaN where one is missing and
a category as its index; or the strings of a category or timestamp."""
FeatureColumns = Mapping[str, FeatureColumn]
"""FeatureColumns by the name of their feature, all of one length."""
MIN_COLUMN_ROWS = 8
"""Fewer rows are read faster one by one."""

_Flags = tuple[str, NDArray[np.bool_]]
"""A flag, and the rows that have it, shape `(n_rows,)`."""


class _Accepted(msgspec.Struct, frozen=True):
    """A column that breaks nothing.

    `values`: as they are logged, shape `(n_rows,)`. `numbers`: as the model gets them, float64 of
    the same shape, or `(n_rows, n_parts)` for a timestamp. `flags`: of the rows that were
    clipped or flagged, or None.
    """

    values: Sequence[Any]
    numbers: NDArray[np.float64]
    flags: _Flags | None = None


class ColumnDecoder:
    """Decodes columns into rows of one schema; `dtype` is that of the model's input."""

    def __init__(self, schema: Schema, dtype: np.dtype[Any] = FLOAT32) -> None:
        self._dtype = dtype
        self._columns = schema.columns
        self._n_inputs = len(schema.inputs)
        self._places = input_places(self._columns)
        self._in_schema = [self._columns.index(feature) for feature in schema.features]
        self._struct = valid_row_struct(self._columns)
        self._categories = {f.name: _Categories(f) for f in self._columns if f.is_category}

    def rows(self, columns: FeatureColumns, n_rows: int) -> Rows | None:
        """The rows in some columns of length `n_rows`; None unless all of them are valid."""
        # Casts of NaN in any of its forms are no news.
        with np.errstate(invalid="ignore"):
            accepted = self._accepted(columns, n_rows)
        if accepted is None:
            return None
        numbers = np.empty((n_rows, self._n_inputs), self._dtype)
        for index, each in zip(self._places, accepted, strict=True):
            numbers[:, index] = each.numbers
        values = zip(*(each.values for each in accepted), strict=True)
        texts = encode_lines([self._struct(*row) for row in values]).split(b"\n")[:-1]
        flags = [accepted[index].flags for index in self._in_schema]
        return Rows(texts, numbers, _flags_by_row(filter(None, flags), n_rows))

    def _accepted(self, columns: FeatureColumns, n_rows: int) -> list[_Accepted] | None:
        """What each column gives, in the order of the matrix; None if any breaks the schema."""
        accepted: list[_Accepted] = []
        for feature in self._columns:
            column = columns.get(feature.name)
            read = self._missing(feature, n_rows) if column is None else self._read(feature, column)
            if read is None:
                return None
            accepted.append(read)
        return accepted

    def _read(self, feature: Feature, column: FeatureColumn) -> _Accepted | None:
        if feature.is_category:
            return self._categories[feature.name].read(column)
        if feature.is_timestamp:
            return _read_timestamps(feature, column)
        if isinstance(column, list):
            return None
        return _read_booleans(feature, column) if feature.type == "bool" else _read(feature, column)

    def _missing(self, feature: Feature, n_rows: int) -> _Accepted | None:
        """A column that was not sent."""
        if not feature.nullable:
            return None
        if feature.is_timestamp:
            return _Accepted([None] * n_rows, np.full((n_rows, len(feature.parts)), np.nan))
        number = MISSING_CODE if feature.is_category else np.nan
        return _Accepted([None] * n_rows, np.full(n_rows, number))


def _read_timestamps(feature: Feature, column: FeatureColumn) -> _Accepted | None:
    """A column of texts, all in range; what is clipped or flagged is decoded row by row."""
    if not isinstance(column, list):
        return None
    parts = timestamp_column(feature, column)
    return None if parts is None else _Accepted(column, parts)


def _read(feature: Feature, column: NDArray[Any]) -> _Accepted | None:
    """A column of a number, float or int."""
    if column.dtype.kind == "b":
        return None
    is_whole = feature.type == "int" or column.dtype.kind != "f"
    numbers = column.astype(np.float64)
    checked = check_numbers(feature, numbers, is_exact=not is_whole)
    if checked.doubtful is not None:
        return None
    missing = np.isnan(numbers)
    logged: NDArray[Any] = checked.values
    if feature.type == "int":
        logged = np.where(missing, 0, logged).astype(np.int64)
    elif is_whole:
        logged = column
    values: list[Any] = logged.tolist()
    if missing.any():
        _replace(values, missing, [None] * len(values))
    if checked.outside is None:
        return _Accepted(values, checked.values)
    if feature.type != "int" and feature.policy == "clip":
        # A bound is logged as the schema has it: 1 or 1.0.
        is_low = numbers[checked.outside] < feature.low
        bounds = [feature.low if low else feature.high for low in is_low.tolist()]
        _replace(values, checked.outside, bounds)
    return _Accepted(values, checked.values, (flag_of(feature), checked.outside))


def _read_booleans(feature: Feature, column: NDArray[Any]) -> _Accepted | None:
    """A column of a boolean: 0 and 1."""
    numbers = column.astype(np.float64)
    missing = np.isnan(numbers)
    if not ((numbers == 0) | (numbers == 1) | (missing & feature.nullable)).all():
        return None
    values: list[Any] = (numbers == 1).tolist()
    if missing.any():
        _replace(values, missing, [None] * len(values))
    return _Accepted(values, numbers + 0.0)  # -0.0 is false, and the model gets 0.0


class _Categories:
    """Reads the columns of one category: strings, or their indices in the schema's list."""

    def __init__(self, feature: Feature) -> None:
        self._feature = feature
        self._codes = {category: float(i) for i, category in enumerate(feature.categories)}
        # The last one is at index -1, MISSING_CODE.
        self._by_code = np.array([*feature.categories, None], dtype=object)

    def read(self, column: FeatureColumn) -> _Accepted | None:
        """The column; None if it breaks the schema."""
        return self._strings(column) if isinstance(column, list) else self._indices(column)

    def _strings(self, column: list[str]) -> _Accepted | None:
        codes = self._codes
        if codes.keys() >= set(column):
            return _Accepted(column, np.array([codes[each] for each in column]))
        column = [normalized(each) for each in column]
        numbers = np.array([codes.get(each, UNSEEN_CODE) for each in column])
        unseen = numbers == UNSEEN_CODE
        if not unseen.any():
            return _Accepted(column, numbers)
        if self._feature.policy == "reject":
            return None
        return _Accepted(column, numbers, (flag_of(self._feature), unseen))

    def _indices(self, column: NDArray[Any]) -> _Accepted | None:
        numbers = column.astype(np.float64)
        numbers = np.where(np.isnan(numbers), MISSING_CODE, numbers)
        lowest = MISSING_CODE if self._feature.nullable else 0
        is_known = (numbers >= lowest) & (numbers < len(self._codes))
        is_known &= numbers == np.trunc(numbers)
        if not is_known.all():
            return None
        return _Accepted(self._by_code[numbers.astype(np.intp)].tolist(), numbers + 0.0)


def _replace(values: list[Any], where: NDArray[np.bool_], others: Iterable[Any]) -> None:
    """Put one value after the other where `where` is true."""
    for index, other in zip(np.flatnonzero(where).tolist(), others, strict=False):
        values[index] = other


def _flags_by_row(flags: Iterable[_Flags], n_rows: int) -> Sequence[tuple[str, ...]]:
    """The flags of each row, in the order of the schema."""
    flags = list(flags)
    if not flags:
        return NO_FLAGS * n_rows
    by_row: list[tuple[str, ...]] = list(NO_FLAGS * n_rows)
    for flag, where in flags:
        for index in np.flatnonzero(where).tolist():
            by_row[index] += (flag,)
    return by_row
