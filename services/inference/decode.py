"""A request body becomes rows: decoded and validated in one step.

The fast way is a msgspec type made from the schema. It only says yes or no; whatever it does
not accept takes the exact way, `Schema.violations`, which knows everything that is wrong, and
has the last word. The fast way accepts nothing that the exact way would refuse.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any, Literal, NoReturn

import msgspec
import numpy as np
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import astuple
from numpy.typing import NDArray

from contracts.schema import (
    FLOAT32_MAX,
    MISSING_CODE,
    UNSEEN_CODE,
    Feature,
    Policy,
    Schema,
    Violation,
)
from services.faults import Fault

NAN = float("nan")
COLON = ord(":")
NO_FLAGS: tuple[tuple[str, ...], ...] = ((),)
INT64 = 2**63 - 1
TOO_DEEP = "body: expected a flat object, got deep nesting"
encode = msgspec.json.Encoder().encode
encode_lines = msgspec.json.Encoder().encode_lines
_NOT_FAST = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

Text = bytes | msgspec.Raw
"""What may be a part of other bytes."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Validated rows: what is logged of each, what the model is fed, what is flagged.

    `features` are JSON texts, the features of a row by name; `numbers` has the shape
    `(n_rows, n_features)`, as lists or as a float32 matrix.
    """

    features: Sequence[Text]
    numbers: Sequence[Sequence[float]] | NDArray[np.float32]
    flags: Sequence[tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.features)

    def split(self) -> "list[Rows]":
        """Each row by itself."""
        return [
            Rows((features,), (numbers,), (flags,))
            for features, numbers, flags in zip(
                self.features, self.numbers, self.flags, strict=True
            )
        ]


def join_rows(parts: Sequence[Rows]) -> Rows:
    """Several rows as one."""
    return Rows(
        [features for part in parts for features in part.features],
        [numbers for part in parts for numbers in part.numbers],
        [flags for part in parts for flags in part.flags],
    )


class _Reader:
    """Reads a body as the type of what is settled, or else as a type of what can be settled."""

    def __init__(self, settled: Any, lenient: Any) -> None:
        self._settled = msgspec.json.Decoder(settled).decode
        self._lenient = msgspec.json.Decoder(lenient).decode

    def __call__(self, body: bytes) -> tuple[Any, bool]:
        """What stands in a body, and whether `Schema.settle` would change and flag nothing."""
        try:
            return self._settled(body), True
        except _NOT_FAST:
            return self._lenient(body), False


class Decoder:
    """Rows of one schema."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        columns = schema.columns
        self._names = tuple(feature.name for feature in columns)
        self._struct = _plain_struct_of(columns)
        self._nullable = [i for i, feature in enumerate(columns) if feature.nullable]
        self._code_maps = tuple(_codes_of(f) for f in columns if f.is_category)
        self._n_numbers = len(columns) - len(self._code_maps)
        settled = [_type_of(feature, "reject") for feature in columns]
        lenient = [_type_of(feature, feature.policy) for feature in columns]
        self._read_one = _Reader(*(_struct_of(columns, each) for each in (settled, lenient)))
        self._read_rows = _Reader(
            *(_with("rows", _list_of(_struct_of(columns, each))) for each in (settled, lenient))
        )
        self._read_columns = _Reader(
            *(
                _with("columns", _struct_of(columns, [_list_of(kind) for kind in each]))
                for each in (settled, lenient)
            )
        )
        self._decode_raws = msgspec.json.Decoder(_with("rows", list[msgspec.Raw])).decode

    @property
    def names(self) -> Sequence[str]:
        """The features in the order of the schema."""
        return self._schema.names

    def one(self, body: bytes) -> Rows:
        """The row in a body that is one object of features.

        Raises:
            Fault: `invalid_json` or `invalid_request`, with every violation.

        """
        try:
            row, is_settled = self._read_one(body)
        except _NOT_FAST:
            return self.exact(parse(body))
        values = astuple(row)
        # As many colons as features, and each feature there: no key stands twice.
        if body.count(b":") != len(values) or any(values[i] is UNSET for i in self._nullable):
            return self.exact(parse(body))
        if not is_settled:
            return self._settled(dict(zip(self._names, values, strict=True)))
        text = body if _is_line(body) else encode(row)
        return Rows((text,), (self._numbers(values),), NO_FLAGS)

    def quick_rows(self, body: bytes, limit: int) -> Rows | None:
        """The rows in `{"rows": [...]}`; None if there is anything that is not plain and valid."""
        try:
            read, is_settled = self._read_rows(body)
        except _NOT_FAST:
            return None
        rows = read.rows
        # The same proof as for one row; the colon more is the one after "rows".
        once = _colons(body) == 1 + len(rows) * len(self._names)
        if not once or not 0 < len(rows) <= limit:
            return None
        columns = list(zip(*map(astuple, rows), strict=True))
        if not is_settled:
            return self._settled_columns(columns)
        numbers = self._matrix(columns)
        if numbers is None:
            return None
        texts = self._decode_raws(body).rows if _is_line(body) else _lines_of(rows)
        return Rows(texts, numbers, NO_FLAGS * len(rows))

    def quick_columns(self, body: bytes, limit: int) -> Rows | None:
        """The same for `{"columns": {"age": [...], ...}}`."""
        try:
            read, is_settled = self._read_columns(body)
        except _NOT_FAST:
            return None
        columns = astuple(read.columns)
        once = _colons(body) == 1 + len(self._names)
        if (
            not once
            or any(each is UNSET for each in columns)
            or len({len(values) for values in columns}) != 1
        ):
            return None
        if not 0 < len(columns[0]) <= limit:
            return None
        if not is_settled:
            return self._settled_columns(columns)
        numbers = self._matrix(columns)
        if numbers is None:
            return None
        texts = _lines_of([self._struct(*values) for values in zip(*columns, strict=True)])
        return Rows(texts, numbers, NO_FLAGS * len(texts))

    def exact(self, row: object) -> Rows:
        """A parsed row, checked against the schema itself.

        Raises:
            Fault: `invalid_request`, or `invalid_json` for one that is nested too deep to tell.

        """
        try:
            violations = self._schema.violations(row)
        except RecursionError as err:
            raise Fault("invalid_json", TOO_DEEP) from err
        if violations:
            raise refused(violations)
        return self._settled({name: row.get(name) for name in self._names})  # type: ignore[attr-defined]  # without violations it is a mapping

    def _settled(self, row: dict[str, Any]) -> Rows:
        """A valid row, clipped and flagged as the policies say."""
        applied, flags = self._schema.apply_policies(row)
        values = tuple(applied[name] for name in self._names)
        return Rows((encode(self._struct(*values)),), (self._numbers(values),), (flags,))

    def _settled_columns(self, columns: Sequence[Sequence[Any]]) -> Rows | None:
        """The same for many; None if a feature is not there."""
        if any(UNSET in columns[i] for i in self._nullable):
            return None
        rows = zip(*columns, strict=True)
        return join_rows([self._settled(dict(zip(self._names, row, strict=True))) for row in rows])

    def _matrix(self, columns: Sequence[Sequence[Any]]) -> NDArray[np.float32] | None:
        """What the model is fed, shape `(n_rows, n_features)`; None if a feature is not there."""
        try:
            packed = self._packed(columns)
        except (struct.error, KeyError):
            # Something that is no number: a feature that is null, or not there.
            if any(UNSET in columns[i] for i in self._nullable):
                return None
            cut = self._n_numbers
            packed = self._packed([*map(_nulls_as_nan, columns[:cut]), *columns[cut:]])
        by_column = np.frombuffer(packed, dtype=np.float32).reshape(len(columns), -1)
        return np.ascontiguousarray(by_column.T)

    def _packed(self, columns: Sequence[Sequence[Any]]) -> bytes:
        """Column after column as float32; from Python's numbers, NumPy takes twice as long."""
        cut = self._n_numbers
        codes = (
            map(table.__getitem__, values)
            for table, values in zip(self._code_maps, columns[cut:], strict=True)
        )
        return struct.pack(f"={len(columns) * len(columns[0])}f", *chain(*columns[:cut], *codes))

    def _numbers(self, values: Sequence[Any]) -> list[float]:
        cut = self._n_numbers
        numbers = list(values[:cut])
        if None in numbers:
            numbers = _nulls_as_nan(numbers)
        for table, value in zip(self._code_maps, values[cut:], strict=True):
            numbers.append(table[value])
        return numbers


def _nulls_as_nan(values: Sequence[Any]) -> list[float]:
    return [NAN if value is None else value for value in values]


def _lines_of(rows: Sequence[object]) -> list[bytes]:
    """Each row as a JSON text of one line."""
    return encode_lines(rows).split(b"\n")[:-1]


def _colons(body: bytes) -> int:
    """How many colons there are; in a long body NumPy is the quicker counter."""
    return int(np.count_nonzero(np.frombuffer(body, dtype=np.uint8) == COLON))


def _is_line(body: bytes) -> bool:
    """Whether a body may stand in a line of the log as it is."""
    return b"\n" not in body and b"\r" not in body


def parse(body: bytes, *, nan_is_null: bool = False) -> object:
    """One JSON document, with every key once and every number finite.

    `nan_is_null`: the word NaN, which JSON does not have but pandas writes, means missing.

    Raises:
        Fault: `invalid_json`, or `invalid_request` where a key stands twice.

    """
    try:
        parsed = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_once,
            parse_constant=_only_nan if nan_is_null else _no_constant,
        )
        if b"\\u" in body:
            # Half a surrogate pair is a text that nobody could write down again.
            json.dumps(parsed, ensure_ascii=False).encode()
    except UnicodeDecodeError as err:
        raise Fault("invalid_json", f"body: expected UTF-8, got byte {err.start}") from err
    except UnicodeEncodeError as err:
        raise Fault("invalid_json", "body: expected text, got half a surrogate pair") from err
    except RecursionError as err:
        raise Fault("invalid_json", TOO_DEEP) from err
    except ValueError as err:
        raise Fault("invalid_json", f"body: expected JSON, got {str(err)[:120]}") from err
    return parsed


def refused(violations: Sequence[Violation]) -> Fault:
    """The fault that tells these violations; the first is in its message."""
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return Fault("invalid_request", f"{violations[0]}{more}", violations)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = [name for name in found if names.count(name) > 1]
        raise refused([Violation(name, "each key once", "it twice") for name in twice])
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name}, which JSON does not have")


def _only_nan(name: str) -> None:
    if name != "NaN":
        _no_constant(name)


def _struct_of(columns: Sequence[Feature], types: Sequence[Any]) -> type[Any]:
    fields: list[Any] = [
        (f"f{index}", each | UnsetType, UNSET) if feature.nullable else (f"f{index}", each)
        for index, (feature, each) in enumerate(zip(columns, types, strict=True))
    ]
    names = {f"f{index}": feature.name for index, feature in enumerate(columns)}
    return msgspec.defstruct(
        "Features", fields, rename=names, forbid_unknown_fields=True, kw_only=True, gc=False
    )


def _plain_struct_of(columns: Sequence[Feature]) -> type[Any]:
    """The same without types, for values that are known to be right."""
    names = {f"f{index}": feature.name for index, feature in enumerate(columns)}
    return msgspec.defstruct("Settled", [(field, Any) for field in names], rename=names, gc=False)


def _list_of(kind: Any) -> Any:
    return list[kind]


def _with(name: str, kind: Any) -> type[Any]:
    """An object with one field."""
    return msgspec.defstruct("Body", [(name, kind)], forbid_unknown_fields=True)


def _type_of(feature: Feature, policy: Policy) -> Any:
    """The type of a feature; stricter than the schema where msgspec cannot say it exactly."""
    exact: Any
    if feature.type == "bool":
        exact = bool
    elif feature.is_category:
        exact = Literal[feature.categories] if policy == "reject" else str
    elif feature.type == "int":
        low, high = _int_bounds(feature, policy)
        exact = Annotated[int, Meta(ge=low, le=high)]
    elif policy == "reject":
        exact = Annotated[float, Meta(ge=feature.low, le=feature.high)]
    else:
        exact = Annotated[float, Meta(ge=-FLOAT32_MAX, le=FLOAT32_MAX)]
    return exact | None if feature.nullable else exact


def _int_bounds(feature: Feature, policy: Policy) -> tuple[int, int]:
    """Whole bounds inside the range and inside 64 bits; beyond, the exact way decides."""
    if policy != "reject":
        return -INT64, INT64
    low, high = -(-feature.low // 1), feature.high // 1
    return int(max(low, -INT64)), int(min(high, INT64))


class _Codes(dict[str | None, float]):
    """The number of each category."""

    def __missing__(self, value: object) -> float:
        if isinstance(value, str):
            return UNSEEN_CODE
        raise KeyError(value)


def _codes_of(feature: Feature) -> _Codes:
    codes = _Codes({c: float(i) for i, c in enumerate(feature.categories)})
    codes[None] = MISSING_CODE
    return codes
