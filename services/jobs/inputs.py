"""The input of a job as chunks: bodies of the batch route, of some rows each.

A job is as long as its client likes; a chunk is one model call, one write to the traffic log and
one row of results, after which a killed worker's successor goes on. The rows are cut out of the
body as they came, so a chunk is decoded like a request with these rows.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from math import isinf
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from contracts.schema import Feature
from services.faults import Fault
from services.inference.json_body import parse_json
from services.jobs.job import InputKind
from services.jobs.json_row_count import count_json_rows
from services.protocols.batch import READERS
from services.protocols.invocations_csv import csv_rows
from services.protocols.table import check_size, only_key

MAX_PARSED_BYTES = 1024 * 1024
"""A longer body is not parsed in the service: that would hold up its other requests."""
Spans = list[tuple[int, int]]
"""Rows as pairs of the first and the one behind the last."""


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    """A body of which only the outermost structure is read."""

    rows: list[Raw] | UnsetType = UNSET
    columns: dict[str, Raw] | UnsetType = UNSET


_decode_body = msgspec.json.Decoder(_Body).decode
_decode_list = msgspec.json.Decoder(list[Raw]).decode
_encode = msgspec.json.Encoder().encode
_NOT_PLAIN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class ChunkBody(bytes):
    """The body of a chunk; `first_row` is the number of its first row in the job."""

    first_row: int

    @classmethod
    def of(cls, body: bytes, first_row: int) -> "ChunkBody":
        """`body`, which begins with the row `first_row`."""
        made = cls(body)
        made.first_row = first_row
        return made


class JobRows(msgspec.Struct, frozen=True):
    """The rows of a job: how many, and the body of a chunk by its span."""

    n_rows: int
    body_of: Callable[[int, int], bytes]

    def chunks(self, done: int, chunk_rows: int) -> Iterator[tuple[int, ChunkBody]]:
        """The chunks behind the first `done` rows: the number of rows, and the body."""
        for start, stop in spans(done, self.n_rows, chunk_rows):
            yield stop - start, ChunkBody.of(self.body_of(start, stop), start)


def spans(start: int, stop: int, chunk_rows: int) -> Spans:
    """Chunks of equal length, as few as possible.

    Equal, because a last chunk of one row would be scored by another kernel of onnxruntime than
    a request with all rows, and differ from it in the last bit.

    >>> spans(0, 7, 3)
    [(0, 2), (2, 4), (4, 7)]
    >>> spans(4, 7, 3), spans(7, 7, 3)
    ([(4, 7)], [])
    """
    n_rows = stop - start
    n_chunks = -(-n_rows // chunk_rows)
    ends = [start + n_rows * index // n_chunks for index in range(n_chunks + 1)] if n_chunks else []
    return list(pairwise(ends))


def count_rows(kind: InputKind, body: bytes, max_rows: int) -> int | None:
    """The number of rows of a body, checked only as far as that costs little.

    None where rows are counted when the job starts: in a table as CSV, and in a large body of
    which that is unclear. Of a large body, what is wrong within a row is found then, too.

    Raises:
        Fault: `invalid_json`, `invalid_csv`, `invalid_request`, `body_too_large`.

    """
    if kind == "json" and len(body) > MAX_PARSED_BYTES:
        n_rows = count_json_rows(body)
        if n_rows is not None:
            check_size(n_rows, max_rows)
        return n_rows
    if kind == "json":
        return json_rows(body, max_rows).n_rows
    try:
        body.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise Fault("invalid_csv", f"body: expected UTF-8, got byte {err.start}") from err
    return None


def json_rows(body: bytes, max_rows: int) -> JobRows:
    """The rows of `{"rows": [...]}` or `{"columns": {...}}`.

    Raises:
        Fault: `invalid_json`, `invalid_request`, or `body_too_large` for more than `max_rows`.

    """
    try:
        read = _decode_body(body)
        if read.rows is not UNSET and read.columns is UNSET and body.count(b'"rows"') == 1:
            check_size(len(read.rows), max_rows)
            return raw_rows(read.rows)
        # As many colons as keys: no key occurs twice.
        if (
            read.columns is not UNSET
            and read.rows is UNSET
            and body.count(b":") == 1 + len(read.columns)
        ):
            columns = {name: _decode_list(raw) for name, raw in read.columns.items()}
            lengths = {len(values) for values in columns.values()}
            if len(lengths) == 1:
                (n_rows,) = lengths
                check_size(n_rows, max_rows)
                return _of_columns(columns, n_rows)
    except _NOT_PLAIN:
        pass
    return _exact_rows(body, max_rows)


def _exact_rows(body: bytes, max_rows: int) -> JobRows:
    """The rows of a body that is not plain; what is wrong with it, the batch route says as well."""
    document = parse_json(body)
    key = only_key(document, READERS)
    content = document[key]  # type: ignore[index]  # `only_key` proves that it is an object
    READERS[key](content, key, max_rows)
    if key == "rows":
        return raw_rows([Raw(row_text(row)) for row in content])
    columns = {name: [Raw(_number_text(v)) for v in values] for name, values in content.items()}
    return _of_columns(columns, len(next(iter(content.values()))))


def csv_table_rows(body: bytes, features: Mapping[str, Feature], max_rows: int) -> JobRows:
    """The rows of a table as CSV, for a model with these features by name.

    Raises:
        Fault: `invalid_csv`, `invalid_request`, or `body_too_large` for more than `max_rows`.

    """
    return raw_rows([Raw(row_text(row)) for row in csv_rows(body, features, max_rows)])


def raw_rows(rows: list[Raw]) -> JobRows:
    """The rows of a job from the JSON of each."""

    def body_of(start: int, stop: int) -> bytes:
        return b'{"rows":[%b]}' % b",".join(rows[start:stop])

    return JobRows(len(rows), body_of)


def _of_columns(columns: Mapping[str, list[Raw]], n_rows: int) -> JobRows:
    names = {name: _encode(name) for name in columns}

    def body_of(start: int, stop: int) -> bytes:
        parts = (
            b"%b:[%b]" % (names[name], b",".join(values[start:stop]))
            for name, values in columns.items()
        )
        return b'{"columns":{%b}}' % b",".join(parts)

    return JobRows(n_rows, body_of)


def row_text(row: Any) -> bytes:
    """A row as JSON; a number beyond float64 stays one, so that the schema refuses it."""
    values = row.values() if isinstance(row, dict) else ()
    if not any(isinstance(value, float) and isinf(value) for value in values):
        return _encode(row)
    parts = (b"%b:%b" % (_encode(name), _number_text(value)) for name, value in row.items())
    return b"{%b}" % b",".join(parts)


def _number_text(value: object) -> bytes:
    if isinstance(value, float) and isinf(value):
        return b"1e999" if value > 0 else b"-1e999"
    return _encode(value)
