"""Scores whole files within one call: what engines of clusters give to each of their workers.

A worker gets files of the input and gives tables of predictions and rejected rows. The reader and
the scorer are those of `slipway score`, so the rows have the same ids and the same bits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from contracts.manifest import Pointer
from services.batch.file_batches import WantedColumns
from services.batch.input_files import input_file, input_files, row_source
from services.batch.readers import read_file
from services.batch.scorer import RecordBatchScorer, ScoredBatch
from services.batch.storage import open_storage

FILE_SCHEMA = pa.schema([("location", pa.string()), ("path", pa.string()), ("size", pa.int64())])
"""A row per file of input, as engines hand them to their workers."""
FILE_COLUMN = "file"
ROW_COLUMN = "row"
VIOLATIONS = "violations"
"""Why a row has no prediction; null in a row that has one."""
_VIOLATION = pa.struct([("path", pa.string()), ("expected", pa.string()), ("got", pa.string())])


@dataclass
class FileScorer:
    """Scores files of an input, in one table: rows with a prediction, and rows with violations.

    It can be pickled; each worker opens the model once. `input` is that of the run, and
    `directory` the model directory, at the same path on each machine.
    """

    input: str
    directory: Path
    pointer: Pointer
    keep: Sequence[str] = ()
    _scorer: RecordBatchScorer | None = field(default=None, init=False, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_scorer": None}

    def files(self) -> pa.Table:
        """The files of the input, with the columns of `FILE_SCHEMA`.

        Raises:
            NotFoundHere: there are none.
            InvalidData: one is neither Parquet nor CSV nor JSON lines.

        """
        storage = open_storage(self.input)
        found = input_files(storage, self.input)
        rows = [{"location": f.location, "path": f.path, "size": f.size_bytes} for f in found]
        return pa.Table.from_pylist(rows, schema=FILE_SCHEMA)

    def schema(self) -> pa.Schema:
        """The columns of the results, found by reading the first rows of the first file.

        Raises:
            NotFoundHere: there is no file.
            CorruptModel: the model directory is not what was registered.

        """
        first = self.files().slice(0, 1).to_batches()[0]
        schema: pa.Schema = next(self.score(first)).schema
        return schema

    def score(self, files: Any) -> Iterator[Any]:
        """Record batches with a row for each row of some files, a `pyarrow.RecordBatch` of them.

        Each row has its `file` and `row`. Columns of the prediction are null where `violations`
        says why there is none.

        Raises:
            InvalidData: a file cannot be read, or has not the columns of the model.
            CorruptModel: the model directory is not what was registered.

        """
        if self._scorer is None:
            self._scorer = RecordBatchScorer(self.directory, self.pointer, self.keep)
        storage = open_storage(self.input)
        wanted = WantedColumns(self._scorer.served.manifest.schema, tuple(self.keep))
        for row in files.to_pylist():
            file = input_file(row["location"], row["path"], row["size"])
            source = row_source(storage, file)
            for read in read_file(storage, file, wanted):
                scored = self._scorer.score(read.batch, source, read.rows, read.known)
                yield _joined(scored, file.path)

    def close(self) -> None:
        """Release the model."""
        if self._scorer is not None:
            self._scorer.close()


def _joined(scored: ScoredBatch, path: str) -> pa.RecordBatch:
    """Predictions and violations as one record batch, in the order of the rows."""
    predictions = pa.Table.from_batches([_without_dictionaries(scored.predictions)])
    predictions = predictions.append_column(ROW_COLUMN, pa.array(scored.rows, pa.int64()))
    found: dict[int, list[dict[str, str]]] = {}
    for each in scored.rejected.to_pylist():
        found.setdefault(each["row"], []).append({k: each[k] for k in ("path", "expected", "got")})
    rejected = pa.table(
        {
            ROW_COLUMN: pa.array(list(found), pa.int64()),
            VIOLATIONS: pa.array(list(found.values()), pa.list_(_VIOLATION)),
        }
    )
    table = pa.concat_tables([predictions, rejected], promote_options="default")
    if found:
        table = table.sort_by(ROW_COLUMN)
    table = table.add_column(0, FILE_COLUMN, pa.array([path] * len(table), pa.string()))
    return table.combine_chunks().to_batches()[0] if len(table) else _no_rows(table.schema)


def _without_dictionaries(batch: Any) -> Any:
    """The batch with plain text: engines do not take Arrow's dictionaries."""
    arrays = [
        column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(arrays, batch.schema.names)


def _no_rows(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)
