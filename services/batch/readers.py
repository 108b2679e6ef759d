"""Reads a file of any format as record batches of the columns that are wanted.

Memory does not grow with the file. What cannot be read as a row is a violation of that row, and
harms no other.
"""

import csv
from collections.abc import Iterator, Mapping
from typing import Protocol

import pyarrow as pa

from contracts.errors import InvalidData
from services.batch.csv_reader import csv_batches
from services.batch.file_batches import FileBatch, WantedColumns
from services.batch.input_files import FileFormat, InputFile
from services.batch.jsonl_reader import jsonl_batches
from services.batch.parquet_reader import parquet_batches
from services.batch.storage import Storage


class ReadFile(Protocol):
    """Reads the files of one format."""

    def __call__(
        self, storage: Storage, file: InputFile, wanted: WantedColumns, /
    ) -> Iterator[FileBatch]:
        """The rows of a file, in order; at least one batch, which may have no rows."""


FILE_READERS: Mapping[FileFormat, ReadFile] = {
    "parquet": parquet_batches,
    "csv": csv_batches,
    "jsonl": jsonl_batches,
}


def read_file(storage: Storage, file: InputFile, wanted: WantedColumns) -> Iterator[FileBatch]:
    """The rows of a file in batches, in their order.

    Raises:
        InvalidData: the file cannot be read, or has not the columns that are wanted.

    """
    try:
        yield from FILE_READERS[file.format](storage, file, wanted)
    except (pa.ArrowException, OSError, EOFError, csv.Error) as err:
        raise InvalidData(
            f"{file.location}: expected a {file.format} file, got {str(err).splitlines()[0][:300]}",
            remedy="check the file; those before it are scored, and are skipped when you run it "
            "again",
        ) from err
