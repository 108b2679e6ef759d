"""Our own batch: `{"rows": [...]}` or `{"columns": {...}}`, in which a bad row fails alone."""

from collections.abc import Sequence

from services.faults import Fault
from services.inference.decode import Decoder, Rows, parse
from services.protocols.table import (
    demand_some,
    each_checked,
    from_columns,
    from_rows,
    only_key,
)

READERS = {"rows": from_rows, "columns": from_columns}
HEAD = 32
"""The word `columns` stands in the first bytes of a body, or the exact way finds it."""


def quick_rows_of(body: bytes, decoder: Decoder, limit: int) -> Rows | None:
    """The rows of a body in which all is plain and valid; None for any other."""
    quick = decoder.quick_columns if b'"columns"' in body[:HEAD] else decoder.quick_rows
    return quick(body, limit)


def rows_of(body: bytes, decoder: Decoder, limit: int) -> Sequence[Rows | Fault]:
    """The rows of a body, in good pieces; for each bad one, what is wrong with it.

    Raises:
        Fault: `invalid_json`, `invalid_request`, or `body_too_large` beyond `limit` rows.

    """
    rows = quick_rows_of(body, decoder, limit)
    if rows is not None:
        return [rows]
    document = parse(body)
    key = only_key(document, READERS)
    table = READERS[key](document[key], key)  # type: ignore[index]  # `only_key` says it is an object
    demand_some(table, limit)
    return each_checked(table, decoder)
