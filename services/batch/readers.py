"""Reads a file of any format as record batches of the columns that are wanted.

Memory does not grow with the file. What cannot be read as a row is a violation of that row, and
harms no other.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import pyarrow as pa

from contracts.errors import InvalidData, first_line
from services.batch.csv_reader import csv_batches
from services.batch.file_batches import FileBatch, WantedColumns
from services.batch.input_files import FileFormat, InputFile
from services.batch.jsonl_reader import jsonl_batches
from services.batch.parquet_reader import parquet_batches, parquet_rows
from services.batch.storage import Storage


class ReadFile(Protocol):
    """Reads the files of one format."""

    def __call__(
        self, storage: Storage, file: InputFile, wanted: WantedColumns, /
    ) -> Iterator[FileBatch]:
        """The rows of a file, in order; at least one batch, which may have no rows."""


UNREADABLE = (pa.ArrowException, OSError, EOFError, csv.Error, UnicodeDecodeError)
"""What reading a damaged file may raise."""
FILE_READERS: Mapping[FileFormat, ReadFile] = {
    "parquet": parquet_batches,
    "csv": csv_batches,
    "jsonl": jsonl_batches,
}


def total_rows(storage: Storage, files: Sequence[InputFile]) -> int | None:
    """The rows of all files, if that can be known without reading them.

    Raises:
        InvalidData: a file cannot be read.

    """
    if any(file.format != "parquet" for file in files):
        return None
    n_rows = 0
    for file in files:
        with _reading(file):
            n_rows += parquet_rows(storage, file)
    return n_rows


def read_file(storage: Storage, file: InputFile, wanted: WantedColumns) -> Iterator[FileBatch]:
    """The rows of a file in batches, in their order.

    Raises:
        InvalidData: the file cannot be read, or has not the columns that are wanted.

    """
    with _reading(file):
        yield from FILE_READERS[file.format](storage, file, wanted)


@contextmanager
def _reading(file: InputFile) -> Iterator[None]:
    """Turn what a library raises on a damaged file into our error."""
    try:
        yield
    except UNREADABLE as err:
        raise InvalidData(
            f"{file.location}: expected a {file.format} file, got {first_line(err)[:300]}",
            remedy="check the file; those before it are scored, and are skipped when you run it "
            "again",
        ) from err
