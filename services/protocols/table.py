"""Tables in request bodies (rows, columns, or names with rows) as objects of features."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import msgspec

from contracts.schema import Violation, normalized
from services.faults import Fault
from services.inference.decode import Decoder
from services.inference.json_body import (
    MAX_VIOLATIONS,
    MAX_VIOLATIONS_BYTES,
    encoded_bytes,
    invalid_request,
    repeated,
)
from services.inference.rows import Rows, join_rows

UNLISTED = Fault("invalid_request", "the row breaks the schema, and too many violations are listed")
"""The fault of a row behind those whose violations an answer lists."""


class Locate(Protocol):
    """The location of a value in a body, for messages."""

    def __call__(self, row: int, name: str, /) -> str:
        """Such as `rows[3].age` or `columns.age[3]`; `name` is empty for the row itself."""


@dataclass(frozen=True)
class Table:
    """Rows as they came, not yet checked."""

    rows: Sequence[Any]
    locate: Locate


def from_rows(rows: object, key: str, limit: int) -> Table:
    """A list of objects of features.

    Raises:
        Fault: `invalid_request`.

    """
    if not isinstance(rows, list):
        raise invalid_request([Violation(key, "a list of objects of features", _kind(rows))])
    check_size(len(rows), limit)
    return Table(rows, lambda index, name: f"{key}[{index}]" + (f".{name}" if name else ""))


def from_columns(columns: object, key: str, limit: int) -> Table:
    """An object of lists of equal length.

    Raises:
        Fault: `invalid_request`.

    """
    if not isinstance(columns, dict) or not columns:
        raise invalid_request([Violation(key, "an object of lists", _kind(columns))])
    refuse_any(
        Violation(f"{key}.{name}", "a list of values", _kind(values))
        for name, values in columns.items()
        if not isinstance(values, list)
    )
    n_rows = len(next(iter(columns.values())))
    refuse_any(
        Violation(f"{key}.{name}", f"{n_rows} values, as the first has", str(len(values)))
        for name, values in columns.items()
        if len(values) != n_rows
    )
    check_size(n_rows, limit)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return Table(rows, lambda index, name: f"{key}.{name}[{index}]")


def from_split(names: object, data: object, key: str, limit: int) -> Table:
    """The names of the columns, and a list of values per row.

    Raises:
        Fault: `invalid_request`.

    """
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise invalid_request([Violation(f"{key}.columns", "a list of names", _kind(names))])
    names = [normalized(name) for name in names]
    twice = repeated(names)
    if twice:
        got = f"{twice[0]!r} more than once"
        raise invalid_request([Violation(f"{key}.columns", "each name once", got)])
    if not isinstance(data, list):
        raise invalid_request([Violation(f"{key}.data", "a list of rows", _kind(data))])
    check_size(len(data), limit)
    for index, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(names):
            got = f"{len(row)}" if isinstance(row, list) else _kind(row)
            location = f"{key}.data[{index}]"
            raise invalid_request([Violation(location, f"{len(names)} values", got)])
    rows = [dict(zip(names, row, strict=True)) for row in data]
    return Table(rows, lambda index, name: f"{key}.data[{index}].{name}")


def table_from(table: Table, first_row: int) -> Table:
    """The rows of a table as part of a larger one, in which the first of them is `first_row`."""
    return Table(table.rows, lambda row, name: table.locate(row + first_row, name))


def refuse_any(violations: Iterable[Violation]) -> None:
    """Refuse a request if it has violations; no more are searched than an answer lists.

    Raises:
        Fault: `invalid_request`.

    """
    violations = list(islice(violations, MAX_VIOLATIONS + 1))
    if violations:
        raise invalid_request(violations)


def valid_rows(table: Table, decoder: Decoder) -> Rows:
    """All rows of a table; one bad row refuses the whole table.

    Raises:
        Fault: `invalid_request` with at most `MAX_VIOLATIONS` violations, or `invalid_json` for
            a row that is nested too deep.

    """
    rows: list[Rows] = []
    found: list[Violation] = []
    for checked in _checked(table, decoder):
        if isinstance(checked, Rows):
            rows.append(checked)
        elif not checked.violations:
            raise checked
        else:
            found += checked.violations
        if len(found) >= MAX_VIOLATIONS:
            break
    if found:
        raise invalid_request(found)
    return join_rows(rows)


def checked_rows(table: Table, decoder: Decoder, *, lists_all: bool = False) -> Rows:
    """The valid rows of a table, and the faults of the others in `Rows.refused`.

    The violations of the first such rows are listed, at most `MAX_VIOLATIONS` in all; with
    `lists_all` those of all rows.
    """
    checked = list(enumerate(_checked(table, decoder, lists_all=lists_all)))
    return join_rows(
        [rows for _, rows in checked if isinstance(rows, Rows)],
        refused={index: fault for index, fault in checked if isinstance(fault, Fault)},
    )


def check_size(n_rows: int, limit: int) -> None:
    """Refuse a table without rows, or with more than `limit`, before its rows are made.

    Raises:
        Fault: `invalid_request` or `body_too_large`.

    """
    if not n_rows:
        raise invalid_request([Violation("rows", "at least one row", "none")])
    if n_rows > limit:
        raise Fault("body_too_large", f"rows: expected at most {limit}, got {n_rows}")


def only_key(document: object, known: Mapping[str, object], optional: Sequence[str] = ()) -> str:
    """The one key of `known` that an object has; of others, only `optional` ones are allowed.

    Raises:
        Fault: `invalid_request`.

    """
    names = " or ".join(known)
    if not isinstance(document, dict):
        raise invalid_request([Violation("body", f"an object with {names}", _kind(document))])
    found = [key for key in document if key in known]
    unknown = [key for key in document if key not in known and key not in optional]
    if len(found) != 1 or unknown:
        got = ", ".join(map(str, document)) or "an empty object"
        raise invalid_request([Violation("body", f"an object with one of {names}", got[:200])])
    return found[0]


def _checked(table: Table, decoder: Decoder, *, lists_all: bool = False) -> Iterator[Rows | Fault]:
    """Each row of a table, or what is wrong with it; as far as an answer lists it."""
    n_left, bytes_left = MAX_VIOLATIONS, MAX_VIOLATIONS_BYTES
    for index, row in enumerate(table.rows):
        is_listed = lists_all or (n_left > 0 and bytes_left > 0)
        try:
            yield decoder.exact(row, max(n_left, 1) if is_listed else 1)
        except Fault as fault:
            if not is_listed and fault.violations:
                yield UNLISTED
                continue
            located = _located(fault, index, table.locate)
            n_left -= len(located.violations)
            bytes_left -= sum(map(encoded_bytes, located.violations))
            yield located


def _located(fault: Fault, row: int, locate: Locate) -> Fault:
    """A fault of one row, with the locations of its violations in the body."""
    if not fault.violations:
        return fault
    return invalid_request(
        [
            msgspec.structs.replace(v, path=locate(row, "" if v.path == "body" else v.path))
            for v in fault.violations
        ]
    )


def _kind(value: object) -> str:
    return "an empty object" if value == {} else type(value).__name__
