"""A request body becomes rows: decoded and validated in one step.

The fast way is a msgspec type made from the schema. It only says yes or no; whatever it does
not accept takes the exact way, `Schema.violations`, which knows everything that is wrong, and
has the last word. The fast way accepts nothing that the exact way would refuse.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NoReturn

import msgspec
from msgspec import UNSET, Meta, UnsetType

from contracts.schema import LARGEST, MISSING, UNSEEN, Feature, Schema, Value, Violation
from services.faults import Fault

NAN = float("nan")
INT64 = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Row:
    """A validated row: its values by name, its numbers for the matrix, its flags."""

    features: dict[str, Value]
    numbers: tuple[float, ...]
    flags: tuple[str, ...]


class Decoder:
    """Rows of one schema."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._columns = schema.columns
        self._names = tuple(feature.name for feature in self._columns)
        self._struct = _struct_of(self._columns)
        self._decode_one = msgspec.json.Decoder(self._struct).decode
        self._codes = {f.name: _codes_of(f) for f in self._columns if f.is_category}
        self._settled = all(f.policy == "reject" or f.type == "bool" for f in self._columns)
        self._n_numbers = sum(not f.is_category for f in self._columns)
        self._code_maps = tuple(self._codes.values())

    def one(self, body: bytes) -> Row:
        """The row in a body that is one object of features.

        Raises:
            Fault: `invalid_json` or `invalid_request`, with every violation.

        """
        try:
            values = msgspec.structs.astuple(self._decode_one(body))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self.exact(parse(body))
        # As many colons as features, and each feature there: no key stands twice.
        if UNSET in values or body.count(b":") != len(values):
            return self.exact(parse(body))
        return self._row(values)

    def exact(self, row: object, path: str = "") -> Row:
        """A parsed row, checked against the schema itself.

        Raises:
            Fault: `invalid_request`.

        """
        violations = self._schema.violations(row, path)
        if violations:
            raise refused(violations)
        return self._row(tuple(row.get(name) for name in self._names))  # type: ignore[attr-defined]  # without violations it is a mapping

    def _row(self, values: tuple[Value, ...]) -> Row:
        features = dict(zip(self._names, values, strict=True))
        flags: tuple[str, ...] = ()
        if not self._settled:
            features, flags = self._schema.settle(features)
            values = tuple(features[name] for name in self._names)
        return Row(features, self._numbers(values), flags)

    def _numbers(self, values: tuple[Any, ...]) -> tuple[float, ...]:
        cut = self._n_numbers
        numbers = values[:cut]
        if None in numbers:
            numbers = tuple(NAN if value is None else value for value in numbers)
        codes = (
            table.get(value, UNSEEN)
            for table, value in zip(self._code_maps, values[cut:], strict=True)
        )
        return (*numbers, *codes)


def rows_of_batch(body: bytes, limit: int) -> Sequence[object]:
    """The rows of `{"rows": [...]}`, parsed but not yet checked.

    Raises:
        Fault: `invalid_json`, `invalid_request`, or `body_too_large` beyond `limit` rows.

    """
    parsed = parse(body)
    if not isinstance(parsed, dict) or not isinstance(parsed.get("rows"), list):
        got = "an object without rows" if isinstance(parsed, dict) else type(parsed).__name__
        raise refused([Violation("rows", "a list of objects of features", got)])
    extra = [Violation(name, "no such field", "a value") for name in parsed if name != "rows"]
    if extra:
        raise refused(extra)
    rows: list[object] = parsed["rows"]
    if not rows:
        raise refused([Violation("rows", "at least one row", "none")])
    if len(rows) > limit:
        raise Fault("body_too_large", f"rows: expected up to {limit}, got {len(rows)}")
    return rows


def parse(body: bytes) -> object:
    """One JSON document, with every key once and every number finite.

    Raises:
        Fault: `invalid_json`, or `invalid_request` where a key stands twice.

    """
    try:
        return json.loads(
            body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant
        )
    except UnicodeDecodeError as err:
        raise Fault("invalid_json", f"body: expected UTF-8, got byte {err.start}") from err
    except RecursionError as err:
        raise Fault("invalid_json", "body: expected a flat object, got deep nesting") from err
    except ValueError as err:
        raise Fault("invalid_json", f"body: expected JSON, got {str(err)[:120]}") from err


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


def _struct_of(columns: Sequence[Feature]) -> type[Any]:
    fields = [
        (f"f{index}", _type_of(feature) | UnsetType, UNSET) for index, feature in enumerate(columns)
    ]
    names = {f"f{index}": feature.name for index, feature in enumerate(columns)}
    return msgspec.defstruct("Features", fields, rename=names, forbid_unknown_fields=True)


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
