"""CSV files as record batches of texts: a line of names, then rows, in UTF-8.

pyarrow parses a block of lines at a time. A block that it does not read as a whole is parsed by
Python's `csv`, row by row, so that only the rows at fault are rejected.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from contracts.errors import InvalidData
from contracts.schema import Violation
from services.batch.columns import with_form
from services.batch.file_batches import FileBatch, WantedColumns, with_kept, with_partitions
from services.batch.input_files import InputFile
from services.batch.storage import Storage
from services.batch.text_blocks import LineStream, first_record_end

QUOTE = b'"'
_Parsed = tuple[pa.RecordBatch, dict[int, Violation], int]
"""Rows, the rows that could not be read by number, and the number of both."""


@dataclass(frozen=True)
class _Columns:
    """All names of a file's header, and those to read."""

    all: Sequence[str]
    read: Sequence[str]


def csv_batches(storage: Storage, file: InputFile, wanted: WantedColumns) -> Iterator[FileBatch]:
    """The rows of a CSV file; a text is missing or a number as in MLflow's CSV over HTTP."""
    start = 0
    columns: _Columns | None = None
    with LineStream(storage, file, QUOTE) as lines:
        for whole in lines:
            block = whole
            if columns is None:
                header, block = _header(whole, file)
                read = wanted.names([*header, *file.partitions], file.location)
                columns = _Columns(header, [name for name in header if name in read])
            for batch, known, n_rows in _parsed(block, columns, start, wanted.batch_rows):
                rows = np.arange(start, start + n_rows)
                if known:
                    rows = np.setdiff1d(rows, list(known))
                yield FileBatch(
                    with_kept(wanted, with_partitions(file, wanted, batch)), rows, known, lines.done
                )
                start += n_rows
    if columns is None:
        raise InvalidData(
            f"{file.location}: expected a line of names, got an empty file",
            remedy="write the names of the columns into the first line",
        )


def _header(block: bytes, file: InputFile) -> tuple[list[str], bytes]:
    """The names in the first line that is not empty, and what comes after it."""
    block = block.lstrip(b"\r\n")
    end = first_record_end(block, QUOTE)
    try:
        records = [
            each for each in csv.reader(io.StringIO(block[:end].decode(), newline="")) if each
        ]
    except (UnicodeDecodeError, csv.Error) as err:
        raise InvalidData(
            f"{file.location}: expected a line of names in UTF-8, got {err}",
            remedy="write the file in UTF-8",
        ) from err
    if len(records) > 1:
        raise InvalidData(
            f"{file.location}: expected lines that end with LF or CRLF, got CR alone",
            remedy=f"tr '\\r' '\\n' < {file.location} > fixed.csv",
        )
    return (records[0] if records else []), block[end:]


def _parsed(block: bytes, columns: _Columns, start: int, batch_rows: int) -> Iterator[_Parsed]:
    """The rows of a block in batches."""
    table = _table(block, columns)
    if table is None:
        yield _row_by_row(block, columns, start)
        return
    for batch in table.to_batches(max_chunksize=batch_rows) or [_batch(columns, [])]:
        yield batch.replace_schema_metadata(None), {}, batch.num_rows


def _table(block: bytes, columns: _Columns) -> pa.Table | None:
    """A block as a table of texts; None if a line is no row of it."""
    if not columns.read or len(set(columns.all)) < len(columns.all):
        return None
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(block),
            arrow_csv.ReadOptions(column_names=columns.all, block_size=max(len(block), 1)),
            arrow_csv.ParseOptions(newlines_in_values=True),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(columns.all, pa.string()),
                include_columns=columns.read,
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        return None
    return table.cast(_schema(columns))


def _row_by_row(block: bytes, columns: _Columns, start: int) -> _Parsed:
    """A block as Python's `csv` reads it, with a violation for each line that is no row."""
    text = block.decode("utf-8", "surrogateescape")
    known: dict[int, Violation] = {}
    kept: list[list[str]] = []
    row = start
    for line in csv.reader(io.StringIO(text, newline="")):
        if not line:
            continue
        if len(line) != len(columns.all):
            expected = f"{len(columns.all)} values, as the first line has"
            known[row] = Violation("", expected, str(len(line)))
        elif any(not each.isascii() and _has_surrogates(each) for each in line):
            known[row] = Violation("", "text in UTF-8", "other bytes")
        else:
            kept.append(line)
        row += 1
    return _batch(columns, kept), known, row - start


def _batch(columns: _Columns, lines: Sequence[Sequence[str]]) -> pa.RecordBatch:
    places = [columns.all.index(name) for name in columns.read]
    arrays = [pa.array([line[place] for line in lines], pa.string()) for place in places]
    return pa.RecordBatch.from_arrays(arrays, schema=_schema(columns))


def _schema(columns: _Columns) -> pa.Schema:
    return pa.schema([with_form(pa.field(name, pa.string()), "text") for name in columns.read])


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)
