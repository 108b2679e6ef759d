"""A request body as one JSON document, read exactly; and the fault for rows that break a schema."""

import json
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import NoReturn

import msgspec

from contracts.schema import Violation, normalized
from services.faults import Fault

TOO_DEEP = "body: expected a flat object, got deep nesting"
MAX_VIOLATIONS = 100
MAX_VIOLATIONS_BYTES = 24_000
"""Violations listed in one answer, and their JSON; the rest is left out."""
MAX_LOCATION_CHARS = 120
MAX_EXPECTED_CHARS = 1000
MAX_GOT_CHARS = 200
"""Longer texts of a violation are cut: names and values come from the request."""
MAX_DEPTH = 512
"""Lists and objects within each other; more would exhaust the stack where values are shown."""


def parse_json(body: bytes, *, nan_is_null: bool = False) -> object:
    """One JSON document in UTF-8, with every key once, in NFC, and every number finite.

    `nan_is_null`: read `NaN`, which JSON does not have but pandas writes, as null.

    Raises:
        Fault: `invalid_json`, or `invalid_request` where an object has a key twice.

    """
    try:
        parsed = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object_of,
            parse_constant=_only_nan if nan_is_null else _no_constant,
        )
        _check_depth(parsed, body)
        if b"\\u" in body:
            # Half a surrogate pair cannot be encoded again, so it could not be logged.
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


def invalid_request(violations: Iterable[Violation]) -> Fault:
    """The fault `invalid_request`; its message states the first violation.

    It lists at most `MAX_VIOLATIONS`, and reads no more of `violations` than that and one more.
    """
    found = [_cut(violation) for violation in islice(violations, MAX_VIOLATIONS + 1)]
    listed: list[Violation] = []
    n_bytes = 0
    for violation in found[:MAX_VIOLATIONS]:
        n_bytes += encoded_bytes(violation)
        if listed and n_bytes > MAX_VIOLATIONS_BYTES:
            break
        listed.append(violation)
    n_more = f"at least {MAX_VIOLATIONS}" if len(found) > MAX_VIOLATIONS else len(found) - 1
    more = f" (and {n_more} more)" if n_more else ""
    return Fault("invalid_request", f"{listed[0]}{more}", listed)


def encoded_bytes(violation: Violation) -> int:
    """The length of a violation as JSON."""
    return len(msgspec.json.encode(violation))


def repeated(names: Iterable[str]) -> list[str]:
    """The names that occur more than once, in order of appearance.

    >>> repeated(["b", "a", "b", "c", "a", "b"])
    ['b', 'a']
    """
    return [name for name, times in Counter(names).items() if times > 1]


def _cut(violation: Violation) -> Violation:
    """A violation whose texts are short, however long the names and values of the request."""
    return Violation(
        _shortened(violation.path, MAX_LOCATION_CHARS),
        _shortened(violation.expected, MAX_EXPECTED_CHARS),
        _shortened(violation.got, MAX_GOT_CHARS),
    )


def _shortened(text: str, max_chars: int) -> str:
    return text if len(text) <= max_chars else f"{text[: max_chars - 1]}…"


def _object_of(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = {normalized(name): value for name, value in pairs}
    if len(found) < len(pairs):
        names = repeated(normalized(name) for name, _ in pairs)
        raise invalid_request(Violation(name, "each key once", "it twice") for name in names)
    return found


def _check_depth(document: object, body: bytes) -> None:
    """Refuse lists and objects within each other that are nested deeper than `MAX_DEPTH`."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return
    level = [document]
    for _ in range(MAX_DEPTH + 1):
        level = [
            child
            for value in level
            if isinstance(value, dict | list)
            for child in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return
    raise Fault("invalid_json", TOO_DEEP)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name}, which JSON does not have")


def _only_nan(name: str) -> None:
    if name != "NaN":
        _no_constant(name)
