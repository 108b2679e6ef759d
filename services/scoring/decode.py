"""A request body becomes rows: decoded and validated in one step.

The fast way is a msgspec type made from the schema. It only says yes or no; whatever it does
not accept takes the exact way, `Schema.violations`, which knows everything that is wrong, and
has the last word. The fast way accepts nothing that the exact way would refuse.
"""

import json
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NoReturn

import msgspec
import numpy as np
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import astuple
from numpy.typing import NDArray

from contracts.schema import LARGEST, MISSING, UNSEEN, Feature, Schema, Violation
from services.faults import Fault

NAN = float("nan")
NO_FLAGS: tuple[tuple[str, ...], ...] = ((),)
INT64 = 2**63 - 1
TOO_DEEP = "body: expected a flat object, got deep nesting"
_NOT_FAST = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Rows:
    """Validated rows: what is logged of each, what the model is fed, what is flagged.

    `features` are objects that JSON writes as the features by name; `numbers` has the shape
    `(n_rows, n_features)`, as lists or as a float32 matrix.
    """

    features: Sequence[Any]
    numbers: Sequence[Sequence[float]] | NDArray[np.float32]
    flags: Sequence[tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.features)

    def alone(self) -> "list[Rows]":
        """Each row by itself."""
        return [
            Rows((features,), (numbers,), (flags,))
            for features, numbers, flags in zip(
                self.features, self.numbers, self.flags, strict=True
            )
        ]


def joined(parts: Sequence[Rows]) -> Rows:
    """Several rows as one."""
    return Rows(
        [features for part in parts for features in part.features],
        [numbers for part in parts for numbers in part.numbers],
        [flags for part in parts for flags in part.flags],
    )


class Decoder:
    """Rows of one schema."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        columns = schema.columns
        self._names = tuple(feature.name for feature in columns)
        types = [_type_of(feature) for feature in columns]
        row = _struct_of(columns, types)
        self._struct = _plain_struct_of(columns)
        table = _struct_of(columns, [_list_of(each) for each in types])
        self._nullable = [i for i, feature in enumerate(columns) if feature.nullable]
        self._decode_one = msgspec.json.Decoder(row).decode
        self._decode_rows = msgspec.json.Decoder(_with("rows", _list_of(row))).decode
        self._decode_raws = msgspec.json.Decoder(_with("rows", list[msgspec.Raw])).decode
        self._decode_columns = msgspec.json.Decoder(_with("columns", table)).decode
        self._code_maps = tuple(_codes_of(f) for f in columns if f.is_category)
        self._n_numbers = len(columns) - len(self._code_maps)
        lenient = [(i, f) for i, f in enumerate(columns) if f.policy != "reject"]
        self._ranges = [(i, f.low, f.high) for i, f in lenient if f.type in {"float", "int"}]
        self._words = [(i, frozenset([*f.categories, None])) for i, f in lenient if f.is_category]

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
            row = self._decode_one(body)
        except _NOT_FAST:
            return self.exact(parse(body))
        values = astuple(row)
        # As many colons as features, and each feature there: no key stands twice.
        if body.count(b":") != len(values) or any(values[i] is UNSET for i in self._nullable):
            return self.exact(parse(body))
        return self._one(_as_sent(body) or row, values)

    def quick_rows(self, body: bytes, limit: int) -> Rows | None:
        """The rows in `{"rows": [...]}`; None if there is anything that is not plain and valid."""
        try:
            rows = self._decode_rows(body).rows
        except _NOT_FAST:
            return None
        # The same proof as for one row; the colon more is the one after "rows".
        once = body.count(b":") == 1 + len(rows) * len(self._names)
        if not once or not 0 < len(rows) <= limit:
            return None
        columns = list(zip(*map(astuple, rows), strict=True))
        if any(UNSET in columns[i] for i in self._nullable):
            return None
        return self._many(rows, columns, self._decode_raws(body).rows if _is_line(body) else rows)

    def quick_columns(self, body: bytes, limit: int) -> Rows | None:
        """The same for `{"columns": {"age": [...], ...}}`."""
        try:
            columns = astuple(self._decode_columns(body).columns)
        except _NOT_FAST:
            return None
        once = body.count(b":") == 1 + len(self._names)
        if (
            not once
            or any(each is UNSET for each in columns)
            or len({len(values) for values in columns}) != 1
        ):
            return None
        if not 0 < len(columns[0]) <= limit:
            return None
        rows = [self._struct(*values) for values in zip(*columns, strict=True)]
        return self._many(rows, columns, rows)

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

    def _one(self, features: Any, values: tuple[Any, ...]) -> Rows:
        """A valid row; `features` are how JSON writes it, if nothing of it is to be changed."""
        if self._is_settled(values):
            return Rows((features,), (self._numbers(values),), NO_FLAGS)
        return self._settled(dict(zip(self._names, values, strict=True)))

    def _settled(self, row: dict[str, Any]) -> Rows:
        settled, flags = self._schema.settle(row)
        values = tuple(settled[name] for name in self._names)
        return Rows((self._struct(*values),), (self._numbers(values),), (flags,))

    def _many(
        self, rows: Sequence[Any], columns: Sequence[Sequence[Any]], features: Sequence[Any]
    ) -> Rows:
        """The same for valid rows, column by column."""
        if self._are_settled(columns):
            return Rows(features, self._matrix(columns, len(rows)), NO_FLAGS * len(rows))
        return joined([self._one(row, astuple(row)) for row in rows])

    def _is_settled(self, values: Sequence[Any]) -> bool:
        """Whether `Schema.settle` would change and flag nothing."""
        for index, low, high in self._ranges:
            value = values[index]
            if value is not None and not low <= value <= high:
                return False
        return all(values[index] in words for index, words in self._words)

    def _are_settled(self, columns: Sequence[Sequence[Any]]) -> bool:
        """The same for many rows."""
        for index, low, high in self._ranges:
            values = columns[index]
            given = [v for v in values if v is not None] if None in values else values
            if given and not low <= min(given) <= max(given) <= high:
                return False
        return all(words.issuperset(columns[index]) for index, words in self._words)

    def _matrix(self, columns: Sequence[Sequence[Any]], n_rows: int) -> NDArray[np.float32]:
        matrix = np.empty((n_rows, len(columns)), dtype=np.float32)
        cut = self._n_numbers
        for index, values in enumerate(columns[:cut]):
            if index in self._nullable and None in values:
                values = [NAN if value is None else value for value in values]  # noqa: PLW2901 - the same, as numbers
            # From Python's numbers, array is twice as quick as NumPy.
            matrix[:, index] = array("f", values)
        for index, table in enumerate(self._code_maps, cut):
            matrix[:, index] = [table.get(value, UNSEEN) for value in columns[index]]
        return matrix

    def _numbers(self, values: Sequence[Any]) -> list[float]:
        cut = self._n_numbers
        numbers = list(values[:cut])
        if None in numbers:
            numbers = [NAN if value is None else value for value in numbers]
        for table, value in zip(self._code_maps, values[cut:], strict=True):
            numbers.append(table.get(value, UNSEEN))
        return numbers


def _is_line(body: bytes) -> bool:
    """Whether a body may stand in a line of the log as it is."""
    return b"\n" not in body and b"\r" not in body


def _as_sent(body: bytes) -> msgspec.Raw | None:
    """A row as the client wrote it: writing it down so is cheaper than writing it anew."""
    return msgspec.Raw(body) if _is_line(body) else None


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


def _type_of(feature: Feature) -> Any:
    """The type of a feature; stricter than the schema where msgspec cannot say it exactly."""
    exact: Any
    if feature.type == "bool":
        exact = bool
    elif feature.is_category:
        exact = Literal[feature.categories] if feature.policy == "reject" else str
    elif feature.type == "int":
        low, high = _int_bounds(feature)
        exact = Annotated[int, Meta(ge=low, le=high)]
    elif feature.policy == "reject":
        exact = Annotated[float, Meta(ge=feature.low, le=feature.high)]
    else:
        exact = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
    return exact | None if feature.nullable else exact


def _int_bounds(feature: Feature) -> tuple[int, int]:
    """Whole bounds inside the range and inside 64 bits; beyond, the exact way decides."""
    if feature.policy != "reject":
        return -INT64, INT64
    low, high = -(-feature.low // 1), feature.high // 1
    return int(max(low, -INT64)), int(min(high, INT64))


def _codes_of(feature: Feature) -> Mapping[str | None, float]:
    codes: dict[str | None, float] = {c: float(i) for i, c in enumerate(feature.categories)}
    return codes | {None: MISSING}
