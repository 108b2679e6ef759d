"""From a request body to valid rows, in one step.

The fast path is a msgspec type made from the schema, which only says yes or no. A body that it
does not accept is checked by `Schema.violations`, which lists every violation and decides. The
fast path accepts nothing that the schema would refuse.
"""

import struct
from collections.abc import Iterable, Sequence
from itertools import chain
from operator import getitem
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET
from msgspec.structs import astuple

from contracts.onnx_session import FLOAT32
from contracts.schema import MISSING_CODE, UNSEEN_CODE, Feature, Schema
from contracts.timestamps import EXAMPLE
from services.faults import Fault
from services.inference.json_body import MAX_VIOLATIONS, TOO_DEEP, invalid_request, parse_json
from services.inference.row_types import (
    lenient_types,
    list_of,
    object_with,
    row_struct,
    strict_types,
    valid_row_struct,
)
from services.inference.rows import NO_FLAGS, Matrix, Rows, join_rows
from services.inference.timestamp_values import TimestampValues

NAN = float("nan")
COLON = ord(":")
_encode = msgspec.json.Encoder().encode
encode_lines = msgspec.json.Encoder().encode_lines
MAX_PADDING_FACTOR = 2
"""A row is logged as it came up to this many times the shortest row; else it is encoded again,
so that white space fills no disk."""
_NOT_FAST = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Reader:
    """Reads a body by a strict type, and what that rejects by a lenient one."""

    def __init__(self, strict: Any, lenient: Any) -> None:
        self._strict = msgspec.json.Decoder(strict).decode
        self._lenient = msgspec.json.Decoder(lenient).decode

    def __call__(self, body: bytes) -> tuple[Any, bool]:
        """The body, and whether `Schema.apply_policies` would change and flag nothing in it."""
        try:
            return self._strict(body), True
        except _NOT_FAST:
            return self._lenient(body), False


class Decoder:
    """Decodes bodies into rows of one schema; `dtype` is that of the model's input."""

    def __init__(self, schema: Schema, dtype: np.dtype[Any] = FLOAT32) -> None:
        self.dtype = dtype
        self._schema = schema
        columns = schema.columns
        self._names = tuple(feature.name for feature in columns)
        self._struct = valid_row_struct(columns)
        self._nullable = [i for i, feature in enumerate(columns) if feature.nullable]
        self._code_maps = tuple(_codes_of(f) for f in columns if f.is_category)
        self._n_inputs = len(schema.inputs)
        self._n_numbers = self._n_inputs - len(self._code_maps)
        self._timestamps = TimestampValues(columns)
        self._max_text_bytes = MAX_PADDING_FACTOR * _shortest_bytes(columns)
        self._needs_nan = any(f.nullable for f in columns if not f.is_category)
        self._has_timestamps = bool(self._timestamps)
        types = strict_types(columns), lenient_types(columns)
        self._read_one = _Reader(
            row_struct(columns, types[0], needs_all=True), row_struct(columns, types[1])
        )
        self._read_rows = _Reader(
            *(object_with("rows", list_of(row_struct(columns, each))) for each in types)
        )
        self._read_columns = _Reader(
            *(
                object_with("columns", row_struct(columns, [list_of(kind) for kind in each]))
                for each in types
            )
        )
        self._decode_raws = msgspec.json.Decoder(object_with("rows", list[msgspec.Raw])).decode

    @property
    def names(self) -> Sequence[str]:
        """The names of the features in the order of the schema."""
        return self._schema.names

    def one(self, body: bytes) -> Rows:
        """The row in a body that is one object of features.

        Raises:
            Fault: `invalid_json` or `invalid_request`, with the violations.

        """
        try:
            row, is_strict = self._read_one(body)
        except _NOT_FAST:
            return self.exact(parse_json(body))
        values = astuple(row)
        if self._has_timestamps:
            return self._one_with_timestamps(body, row, values, is_strict=is_strict)
        # As many colons as features, and each feature is present: no key occurs twice.
        if body.count(b":") != len(values):
            return self.exact(parse_json(body))
        if not is_strict:
            if UNSET in values:
                return self.exact(parse_json(body))
            return self._apply_policies(dict(zip(self._names, values, strict=True)))
        is_text = len(body) <= self._max_text_bytes and _is_one_line(body)
        text = body if is_text else _encode(row)
        return Rows((text,), (self._numbers(values),), NO_FLAGS)

    def _one_with_timestamps(
        self, body: bytes, row: object, values: Sequence[Any], *, is_strict: bool
    ) -> Rows:
        """As `one`: a row is valid if each key is there once, and its timestamps are in range."""
        n_colons = self._timestamps.n_colons(values) if is_strict else None
        # An escaped colon would hide a key that occurs twice.
        has_each_key_once = (
            n_colons is not None
            and b"\\" not in body
            and body.count(b":") == len(values) + n_colons
        )
        numbers = self._timestamps.numbers(values) if has_each_key_once else None
        if numbers is None:
            return self.exact(parse_json(body))
        is_text = len(body) <= self._max_text_bytes and _is_one_line(body)
        return Rows((body if is_text else _encode(row),), (self._numbers(numbers),), NO_FLAGS)

    def fast_rows(self, body: bytes, limit: int) -> Rows | None:
        """The rows in `{"rows": [...]}`; None unless all of them, at most `limit`, are valid."""
        try:
            read, is_strict = self._read_rows(body)
        except _NOT_FAST:
            return None
        rows = read.rows
        if not 0 < len(rows) <= limit:
            return None
        listed = [astuple(row) for row in rows]
        # The colons prove, as for one row, that no key occurs twice; one more follows "rows".
        if not self._has_colons(body, 1 + len(rows) * len(self._names), listed):
            return None
        columns = list(zip(*listed, strict=True))
        if not is_strict:
            return self._apply_policies_by_column(columns)
        numbers = self._matrix(columns)
        if numbers is None:
            return None
        is_text = len(body) <= self._max_text_bytes * len(rows) and _is_one_line(body)
        texts = self._decode_raws(body).rows if is_text else _lines_of(rows)
        return Rows(texts, numbers, NO_FLAGS * len(rows))

    def fast_columns(self, body: bytes, limit: int) -> Rows | None:
        """The rows in `{"columns": {"age": [...], ...}}`; None as in `fast_rows`."""
        try:
            read, is_strict = self._read_columns(body)
        except _NOT_FAST:
            return None
        columns = astuple(read.columns)
        if any(each is UNSET for each in columns) or len({len(each) for each in columns}) != 1:
            return None
        by_row = zip(*columns, strict=True) if self._has_timestamps else ()
        has_each_key_once = self._has_colons(body, 1 + len(self._names), by_row)
        if not has_each_key_once or not 0 < len(columns[0]) <= limit:
            return None
        if not is_strict:
            return self._apply_policies_by_column(columns)
        numbers = self._matrix(columns)
        if numbers is None:
            return None
        texts = _lines_of([self._struct(*values) for values in zip(*columns, strict=True)])
        return Rows(texts, numbers, NO_FLAGS * len(texts))

    def _has_colons(self, body: bytes, n_keys: int, rows: Iterable[Sequence[Any]]) -> bool:
        """Whether a body has a colon per key, and besides them only those of timestamps."""
        if not self._has_timestamps:
            return _count_colons(body) == n_keys
        n_colons = [self._timestamps.n_colons(row) for row in rows]
        # An escaped colon would hide a key that occurs twice.
        if None in n_colons or b"\\" in body:
            return False
        return _count_colons(body) == n_keys + sum(n for n in n_colons if n)

    def exact(self, row: object, max_violations: int = MAX_VIOLATIONS + 1) -> Rows:
        """A parsed row, checked by the schema itself, which stops at `max_violations`.

        Raises:
            Fault: `invalid_request` with the violations; `invalid_json` for deep nesting.

        """
        try:
            violations = self._schema.violations(row, limit=max_violations)
        except RecursionError as err:
            raise Fault("invalid_json", TOO_DEEP) from err
        if violations:
            raise invalid_request(violations)
        return self._apply_policies({name: row.get(name) for name in self._names})  # type: ignore[attr-defined]  # a row without violations is a mapping

    def _apply_policies(self, row: dict[str, Any]) -> Rows:
        """A valid row, clipped and flagged as the policies say."""
        applied, flags = self._schema.apply_policies(row)
        values = tuple(applied[name] for name in self._names)
        text = _encode(self._struct(*values))
        if self._has_timestamps:
            numbers = self._schema.matrix([applied], np.float64).tolist()
            return Rows((text,), numbers, (flags,))
        return Rows((text,), (self._numbers(values),), (flags,))

    def _apply_policies_by_column(self, columns: Sequence[Sequence[Any]]) -> Rows | None:
        """Valid rows by column, clipped and flagged; None if a feature is missing.

        None for timestamps, which are not valid for being text.
        """
        if self._has_timestamps or any(UNSET in columns[i] for i in self._nullable):
            return None
        rows = zip(*columns, strict=True)
        return join_rows(
            [self._apply_policies(dict(zip(self._names, row, strict=True))) for row in rows]
        )

    def _matrix(self, columns: Sequence[Sequence[Any]]) -> Matrix | None:
        """The model's input, shape `(n_rows, n_inputs)`; None if a feature is missing."""
        if self._has_timestamps:
            if any(UNSET in columns[i] for i in self._nullable):
                return None
            expanded = self._timestamps.columns(columns)
            if expanded is None:
                return None
            columns = [*map(_nulls_as_nan, expanded[: self._n_numbers])]
            columns += expanded[self._n_numbers :]
        try:
            packed = self._packed(columns)
        except (struct.error, KeyError):
            # Not a number: a feature that is null or missing.
            if any(UNSET in columns[i] for i in self._nullable):
                return None
            cut = self._n_numbers
            packed = self._packed([*map(_nulls_as_nan, columns[:cut]), *columns[cut:]])
        by_column = np.frombuffer(packed, dtype=self.dtype).reshape(self._n_inputs, -1)
        return np.ascontiguousarray(by_column.T)

    def _packed(self, columns: Sequence[Sequence[Any]]) -> bytes:
        """Column after column as bytes; NumPy takes twice as long from Python's numbers."""
        cut = self._n_numbers
        codes = (
            map(table.__getitem__, values)
            for table, values in zip(self._code_maps, columns[cut:], strict=True)
        )
        n_values = len(columns) * len(columns[0])
        return struct.pack(f"={n_values}{self.dtype.char}", *chain(*columns[:cut], *codes))

    def _numbers(self, values: Sequence[Any]) -> list[float]:
        cut = self._n_numbers
        numbers = values[:cut]
        if self._needs_nan and None in numbers:
            numbers = _nulls_as_nan(numbers)
        return [*numbers, *map(getitem, self._code_maps, values[cut:])]


def _nulls_as_nan(values: Sequence[Any]) -> list[float]:
    return [NAN if value is None else value for value in values]


def _lines_of(rows: Sequence[object]) -> list[bytes]:
    """Each row as JSON on one line."""
    return encode_lines(rows).split(b"\n")[:-1]


def _count_colons(body: bytes) -> int:
    """The number of colons; NumPy counts faster than `bytes.count` in a long body."""
    return int(np.count_nonzero(np.frombuffer(body, dtype=np.uint8) == COLON))


def _is_one_line(body: bytes) -> bool:
    """Whether a body may be part of a line of the traffic log as it is."""
    return b"\n" not in body and b"\r" not in body


def _shortest_bytes(columns: Sequence[Feature]) -> int:
    """The length of the shortest row as JSON: names, colons, commas, braces, and values."""
    named = 1 + sum(len(_encode(feature.name)) + 3 for feature in columns)
    return named + len(EXAMPLE) * sum(feature.is_timestamp for feature in columns)


class _Codes(dict[str | None, float]):
    """The code of each category."""

    def __missing__(self, value: object) -> float:
        if isinstance(value, str):
            return UNSEEN_CODE
        raise KeyError(value)


def _codes_of(feature: Feature) -> _Codes:
    codes = _Codes({c: float(i) for i, c in enumerate(feature.categories)})
    codes[None] = MISSING_CODE
    return codes
