"""Writers: record batches to a file that appears whole, under its name, or not at all."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv as arrow_csv

from services.batch.input_files import FileFormat, compression_of
from services.batch.json_lines import encoded_lines
from services.batch.storage import Storage, writing

ROW_GROUP_ROWS = 262_144
PLAIN = frozenset({"prediction_id"})
"""Columns whose texts all differ, so that a dictionary of them would only take time."""


class BatchWriter(Protocol):
    """Writes record batches to a stream."""

    def write(self, batch: Any, /) -> None:
        """Write a `pyarrow.RecordBatch`."""

    def close(self) -> None:
        """Write what is left; the stream stays open."""


class ParquetBatches:
    """Parquet, in row groups of some hundred thousand rows."""

    def __init__(self, stream: Any, schema: Any) -> None:
        names = [field.name for field in schema if field.name not in PLAIN and _repeats(field.type)]
        self._writer = pq.ParquetWriter(
            stream, schema, compression="snappy", use_dictionary=names, write_statistics=names
        )
        self._waiting: list[Any] = []
        self._n_waiting = 0

    def write(self, batch: Any, /) -> None:
        """Keep a batch until a row group is full."""
        self._waiting.append(batch)
        self._n_waiting += batch.num_rows
        if self._n_waiting >= ROW_GROUP_ROWS:
            self._write_group()

    def close(self) -> None:
        """Write the last row group and the footer."""
        if self._n_waiting:
            self._write_group()
        self._writer.close()

    def _write_group(self) -> None:
        table = pa.Table.from_batches(self._waiting)
        self._writer.write_table(table.unify_dictionaries(), row_group_size=ROW_GROUP_ROWS)
        self._waiting, self._n_waiting = [], 0


class CsvBatches:
    """CSV with a line of names; the flags of a row are joined by commas."""

    def __init__(self, stream: Any, schema: Any) -> None:
        fields = [pa.field(field.name, _csv_type(field.type)) for field in schema]
        self._schema = pa.schema(fields)
        self._writer = arrow_csv.CSVWriter(stream, self._schema)

    def write(self, batch: Any, /) -> None:
        """Write the rows of a batch."""
        arrays = [_csv_array(column) for column in batch.columns]
        self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


class JsonlBatches:
    """JSON lines: an object per row, with the scores and flags as in a response over HTTP."""

    def __init__(self, stream: Any, schema: Any) -> None:
        del schema
        self._stream = stream

    def write(self, batch: Any, /) -> None:
        """Write the rows of a batch."""
        self._stream.write(encoded_lines(batch))

    def close(self) -> None:
        """Write nothing: every row is written already."""


MAKE_WRITER: Mapping[FileFormat, Callable[[Any, Any], BatchWriter]] = {
    "parquet": ParquetBatches,
    "csv": CsvBatches,
    "jsonl": JsonlBatches,
}


class UnfinishedFile:
    """A file that is written in `folder` under a temporary name until `commit` gives it its own."""

    def __init__(self, storage: Storage, path: str, kind: FileFormat, folder: str) -> None:
        self._storage = storage
        self.path = path
        self._kind = kind
        self._temporary = storage.temporary(folder)
        self._stream: Any = None
        self._writer: BatchWriter | None = None

    def write(self, batch: Any) -> None:
        """Write a `pyarrow.RecordBatch`; the first one, which may be empty, gives the columns."""
        with writing(self.path):
            if self._writer is None:
                self._stream = self._storage.open_new(self._temporary, compression_of(self.path))
                self._writer = MAKE_WRITER[self._kind](self._stream, batch.schema)
            if batch.num_rows:
                self._writer.write(batch)

    def finish(self) -> None:
        """Write everything; the name is still the temporary one."""
        if self._writer is not None:
            with writing(self.path):
                self._writer.close()
                self._stream.close()

    def commit(self) -> None:
        """Give the finished file its name; without a batch no file stays there, old or new."""
        if self._writer is None:
            self._storage.remove(self.path)
        else:
            with writing(self.path):
                self._storage.put_in_place(self._temporary, self.path)

    def discard(self) -> None:
        """Remove what was written."""
        if self._stream is not None:
            # The error for which the file is discarded may be that it cannot be written.
            with suppress(OSError, pa.ArrowException):
                if self._writer is not None:
                    self._writer.close()
                self._stream.close()
            self._storage.remove(self._temporary)


def _repeats(kind: Any) -> bool:
    """Whether values of the type often occur more than once."""
    return not pa.types.is_floating(kind)


def _csv_type(kind: Any) -> Any:
    if pa.types.is_dictionary(kind):
        return kind.value_type
    return pa.string() if pa.types.is_nested(kind) else kind


def _csv_array(column: Any) -> Any:
    if pa.types.is_dictionary(column.type):
        return column.dictionary_decode()
    if pa.types.is_list(column.type) and pa.types.is_string(column.type.value_type):
        return pc.binary_join(column, ",")
    if pa.types.is_nested(column.type):
        return pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.string())
    return column
