"""Our own protocol for many rows: `{"rows": [...]}` or `{"columns": {...}}`.

A bad row has an error in its place and harms no other row.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from services.faults import Fault
from services.inference.batch_result import BatchResult
from services.inference.decode import Decoder
from services.inference.json_body import invalid_request, parse_json
from services.inference.loader import ServedModel
from services.inference.pending import Render
from services.inference.rows import Rows
from services.protocols.fault_body import RowFault, row_fault
from services.protocols.prediction import PredictionTemplate
from services.protocols.table import (
    UNLISTED,
    checked_rows,
    from_columns,
    from_rows,
    only_key,
    table_from,
)
from services.protocols.wire_protocol import ModelTypes, WireProtocol, reference

READERS = {"rows": from_rows, "columns": from_columns}
START_BYTES = 32
"""A body of columns is recognized by its first bytes; else it takes the slower path."""
MAX_ANSWER_FACTOR = 4
MAX_EXTRA_BYTES = 8_000
"""A batch is refused as a whole if its errors are longer than this factor times the body, and
these bytes."""


_TABLE = re.compile(rb'\s*\{\s*"(?:rows"\s*:\s*\[|columns"\s*:\s*\{)')
"""How a body of several rows begins. No row does, since no feature is a list or an object."""


class PredictBatch(WireProtocol):
    """Rows or columns in, a prediction or an error per row out."""

    paths: ClassVar[tuple[str, ...]] = ("/models/{model}/predict/batch", "/predict/batch")
    tag = "Predictions"
    summary = "A prediction or an error for each row."
    is_partial = True
    component_types = (RowFault,)

    def __init__(self, model: ServedModel) -> None:
        super().__init__(model)
        self._template = PredictionTemplate(model)

    def read(self, body: bytes, limit: int) -> tuple[Rows, Render]:
        """The valid rows of a body, and what encodes the results.

        Raises:
            Fault: `invalid_json`, `invalid_request`, or `body_too_large` for more than `limit`
                rows.

        """
        return batch_rows(body, self.model.decoder, limit), self._render

    def _render(self, result: BatchResult, rows: slice, refused: Mapping[int, Fault], /) -> bytes:
        if not refused:
            return b'{"results":[%b],"failed":0}' % self._template.many(result, rows)
        predictions = iter([self._template.one(result, i) for i in range(rows.start, rows.stop)])
        results = [
            row_fault(refused[index]) if index in refused else next(predictions)
            for index in range(rows.stop - rows.start + len(refused))
        ]
        return b'{"results":[%b],"failed":%d}' % (b",".join(results), len(refused))

    @classmethod
    def request_type(cls, types: ModelTypes) -> Any:
        """Rows, or columns."""
        rows = Annotated[list[types.row], Meta(min_length=1)]  # type: ignore[name-defined]  # a type made at run time
        return (
            _object(f"{types.name}Rows", "rows", rows),
            _object(f"{types.name}Columns", "columns", types.table),
        )

    @classmethod
    def response_type(cls, types: ModelTypes) -> Any:
        """A prediction or an error per row, and the number of errors."""
        result = reference(types.prediction.__name__, RowFault.__name__)
        fields = [("results", list[result]), ("failed", int)]  # type: ignore[valid-type]  # as above
        return msgspec.defstruct(f"{types.name}Results", fields)


def _object(name: str, field: str, content: Any) -> Any:
    """The type of an object with exactly one field."""
    return msgspec.defstruct(name, [(field, content)], forbid_unknown_fields=True)


def holds_table(body: bytes) -> bool:
    """Whether a body is one of several rows, where one of a single row may stand too.

    >>> holds_table(b'{"rows": [{"age": 40}]}'), holds_table(b'{"rows": 3}')
    (True, False)
    """
    return _TABLE.match(body) is not None


def batch_rows(
    body: bytes,
    decoder: Decoder,
    limit: int,
    *,
    lists_all: bool = False,
    first_row: int = 0,
    is_part: bool = False,
) -> Rows:
    """The valid rows of a body, and the faults of the others in `Rows.refused`.

    With `lists_all` each of these has its violations, however many there are: for a body of our
    own, not of a client. `first_row`: the number of the first row in messages. `is_part`: the
    body is a part of a larger one, which is not refused for the errors in this part.

    Raises:
        Fault: `invalid_json`, `invalid_request`, or `body_too_large` for more than `limit` rows.

    """
    has_columns = b'"columns"' in body[:START_BYTES]
    fast = decoder.fast_columns if has_columns else decoder.fast_rows
    rows = fast(body, limit)
    if rows is not None:
        return rows
    document = parse_json(body)
    key = only_key(document, READERS)
    table = READERS[key](document[key], key, limit)  # type: ignore[index]  # `only_key` proves that it is an object
    if first_row:
        table = table_from(table, first_row)
    rows = checked_rows(table, decoder, lists_all=lists_all)
    if not (lists_all or is_part) and (
        len(rows.refused) * len(row_fault(UNLISTED))
        > MAX_ANSWER_FACTOR * len(body) + MAX_EXTRA_BYTES
    ):
        raise invalid_request(v for fault in rows.refused.values() for v in fault.violations)
    return rows
