"""JSON lines as record batches: an object of features, and of other columns, per line."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from contracts.errors import preview
from contracts.schema import Violation, normalized
from services.batch.columns import with_form
from services.batch.file_batches import KEPT, FileBatch, WantedColumns, with_kept, with_partitions
from services.batch.input_files import InputFile
from services.batch.storage import Storage
from services.batch.text_blocks import LineStream
from services.faults import Fault
from services.inference.json_body import parse_json

OBJECT = "an object of features on one line"
_decode_lines = msgspec.json.Decoder(dict[str, Any]).decode_lines
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode
_NOT_FAST = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def jsonl_batches(storage: Storage, file: InputFile, wanted: WantedColumns) -> Iterator[FileBatch]:
    """The rows of a JSON lines file; a line is read as strictly as a body of `/predict`.

    A feature that a row has not, or that is null, is missing. Other columns are ignored.
    """
    start = 0
    with LineStream(storage, file) as lines:
        for block in lines:
            objects, known, n_rows = _objects(block, start)
            numbers = np.arange(start, start + n_rows)
            rows = np.setdiff1d(numbers, list(known)) if known else numbers
            start += n_rows
            for first in range(0, max(len(objects), 1), wanted.batch_rows):
                part = slice(first, first + wanted.batch_rows)
                batch = _batch(objects[part], wanted, file)
                yield FileBatch(batch, rows[part], {} if first else known, lines.done)
    if not start:
        yield FileBatch(_batch([], wanted, file), np.arange(0), {}, 1.0)


def _objects(block: bytes, start: int) -> tuple[list[dict[str, Any]], dict[int, Violation], int]:
    """The objects of a block's lines, why other lines are none, and the number of lines."""
    lines = [line for line in block.split(b"\n") if line and not line.isspace()]
    objects: list[dict[str, Any]] | None
    try:
        objects = _decode_lines(block)
    except _NOT_FAST:
        objects = None
    if objects is not None and len(objects) == len(lines) and _has_each_key_once(block, objects):
        return objects, {}, len(lines)
    found: list[dict[str, Any]] = []
    known: dict[int, Violation] = {}
    for row, line in enumerate(lines, start):
        read = _object(line)
        if isinstance(read, Violation):
            known[row] = read
        else:
            found.append(read)
    return found, known, len(lines)


def _has_each_key_once(block: bytes, objects: Sequence[dict[str, Any]]) -> bool:
    """Whether no key occurs twice in a line, and each is in NFC; False if that is not plain.

    As many colons as keys: there is no colon but those behind keys.
    """
    if block.count(b":") != sum(map(len, objects)):
        return False
    return all(name.isascii() for name in dict.fromkeys(chain.from_iterable(objects)))


def _object(line: bytes) -> dict[str, Any] | Violation:
    """The object of one line, or what is wrong with it."""
    try:
        read = _decode(line)
        if line.count(b":") == len(read) and all(name.isascii() for name in read):
            return read
    except _NOT_FAST:
        pass
    try:
        document = parse_json(line)
    except Fault as fault:
        if fault.violations:
            return fault.violations[0]
        return Violation("", OBJECT, fault.message.removeprefix("body: ")[:200])
    if not isinstance(document, dict):
        return Violation("", OBJECT, preview(document))
    return document


def _batch(objects: Sequence[dict[str, Any]], wanted: WantedColumns, file: InputFile) -> Any:
    """The wanted columns of objects; a column of values of several types is JSON."""
    arrays: list[Any] = []
    fields: list[Any] = []
    for name in wanted.schema.names:
        if name in file.partitions and not any(name in each for each in objects):
            continue
        array, field = _column(name, [each.get(name) for each in objects])
        arrays.append(array)
        fields.append(field)
    for name in wanted.keep:
        if name in file.partitions and not any(name in each for each in objects):
            continue
        key = normalized(name)
        arrays.append(pa.array([_kept_text(each.get(key)) for each in objects], pa.string()))
        fields.append(pa.field(KEPT + name, pa.string()))
    batch = pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))
    return with_kept(wanted, with_partitions(file, wanted, batch))


def _column(name: str, values: list[Any]) -> tuple[Any, Any]:
    try:
        array = pa.array(values)
    except (pa.ArrowException, OverflowError, ValueError, TypeError):
        return _json_column(name, values)
    if pa.types.is_floating(array.type) and bool in set(map(type, values)):
        # Arrow refuses a number behind a boolean, but makes a boolean behind a number 1.0.
        return _json_column(name, values)
    return array, pa.field(name, array.type)


def _json_column(name: str, values: list[Any]) -> tuple[Any, Any]:
    texts = [None if value is None else _encode(value).decode() for value in values]
    return pa.array(texts, pa.string()), with_form(pa.field(name, pa.string()), "json")


def _kept_text(value: Any) -> str | None:
    """A kept value as text: a file's lines may have values of several types."""
    return value if value is None or isinstance(value, str) else _encode(value).decode()
