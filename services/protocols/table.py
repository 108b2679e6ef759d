"""Tables as clients send them (rows, columns, both with names) become objects of features."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from contracts.schema import Violation
from services.faults import Fault
from services.inference.decode import Decoder, Rows, join_rows, refused

Place = Callable[[int, str], str]
"""Where a feature of a row stands in the body, for messages."""
MAX_VIOLATIONS = 100
"""So many violations are told at the most."""


@dataclass(frozen=True)
class Table:
    """Rows as they came, not yet checked."""

    rows: Sequence[Any]
    place: Place


def from_rows(rows: object, key: str) -> Table:
    """A list of objects of features."""
    if not isinstance(rows, list):
        raise refused([Violation(key, "a list of objects of features", type(rows).__name__)])
    return Table(rows, lambda index, name: f"{key}[{index}]" + (f".{name}" if name else ""))


def from_columns(columns: object, key: str) -> Table:
    """An object of lists, which are equally long."""
    if not isinstance(columns, dict) or not columns:
        raise refused([Violation(key, "an object of lists", _kind(columns))])
    wrong = [
        Violation(f"{key}.{name}", "a list of values", _kind(values))
        for name, values in columns.items()
        if not isinstance(values, list)
    ]
    if wrong:
        raise refused(wrong)
    n_rows = len(next(iter(columns.values())))
    uneven = [
        Violation(f"{key}.{name}", f"{n_rows} values, as the first has", str(len(values)))
        for name, values in columns.items()
        if len(values) != n_rows
    ]
    if uneven:
        raise refused(uneven)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return Table(rows, lambda index, name: f"{key}.{name}[{index}]")


def from_split(names: object, data: object, key: str) -> Table:
    """Names once, and a list of values for each row."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise refused([Violation(f"{key}.columns", "a list of names", _kind(names))])
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise refused([Violation(f"{key}.columns", "each name once", f"{twice!r} twice")])
    if not isinstance(data, list):
        raise refused([Violation(f"{key}.data", "a list of rows", _kind(data))])
    for index, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(names):
            got = f"{len(row)}" if isinstance(row, list) else _kind(row)
            raise refused([Violation(f"{key}.data[{index}]", f"{len(names)} values", got)])
    rows = [dict(zip(names, row, strict=True)) for row in data]
    return Table(rows, lambda index, name: f"{key}.data[{index}].{name}")


def checked(table: Table, decoder: Decoder, limit: int) -> Rows:
    """All rows of a table, valid.

    Raises:
        Fault: `invalid_request` with up to a hundred violations, or `body_too_large`.

    """
    demand_some(table, limit)
    rows: list[Rows] = []
    found: list[Violation] = []
    for each in each_checked(table, decoder):
        if isinstance(each, Rows):
            rows.append(each)
        else:
            found += each.violations
        if len(found) >= MAX_VIOLATIONS:
            break
    if found:
        raise refused(found[:MAX_VIOLATIONS])
    return join_rows(rows)


def each_checked(table: Table, decoder: Decoder) -> Sequence[Rows | Fault]:
    """Every row of a table, or what is wrong with it."""
    return [_row_or_fault(decoder, row, index, table.place) for index, row in enumerate(table.rows)]


def _row_or_fault(decoder: Decoder, row: object, index: int, place: Place) -> Rows | Fault:
    try:
        return decoder.exact(row)
    except Fault as fault:
        if not fault.violations:
            return fault
        return refused([_placed(violation, index, place) for violation in fault.violations])


def _placed(violation: Violation, index: int, place: Place) -> Violation:
    name = "" if violation.path == "body" else violation.path
    return msgspec.structs.replace(violation, path=place(index, name))


def demand_some(table: Table, limit: int) -> None:
    """Refuse a table without rows, or with more than `limit`."""
    if not table.rows:
        raise refused([Violation("rows", "at least one row", "none")])
    if len(table.rows) > limit:
        raise Fault("body_too_large", f"rows: expected up to {limit}, got {len(table.rows)}")


def _kind(value: object) -> str:
    return "an empty object" if value == {} else type(value).__name__


def only_key(document: object, known: Mapping[str, object], optional: Sequence[str] = ()) -> str:
    """The one key of `known` that an object has; of others only the `optional` may be there.

    Raises:
        Fault: `invalid_request`.

    """
    words = " or ".join(known)
    if not isinstance(document, dict):
        raise refused([Violation("body", f"an object with {words}", _kind(document))])
    given = [key for key in document if key in known]
    strange = [key for key in document if key not in known and key not in optional]
    if len(given) != 1 or strange:
        got = ", ".join(map(str, document)) or "an empty object"
        raise refused([Violation("body", f"an object with one of {words}", got[:200])])
    return given[0]
