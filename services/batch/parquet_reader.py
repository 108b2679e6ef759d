"""Parquet files as record batches."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from services.batch.file_batches import FileBatch, WantedColumns, with_kept, with_partitions
from services.batch.input_files import InputFile
from services.batch.storage import Storage

BUFFER_BYTES = 1_048_576
"""A column is read through a buffer of this size, so that a row group of any size fits."""


def parquet_batches(
    storage: Storage, file: InputFile, wanted: WantedColumns
) -> Iterator[FileBatch]:
    """The rows of a Parquet file; text of features comes as dictionaries, which is faster."""
    categories = {feature.name for feature in wanted.schema.features if feature.is_category}
    with storage.filesystem.open_input_file(file.location) as stream:
        metadata = pq.read_metadata(stream)
        found = metadata.schema.to_arrow_schema().names
        opened = pq.ParquetFile(
            stream,
            metadata=metadata,
            read_dictionary=[name for name in found if name in categories],
            # A store answers few large requests faster; a disk need not be read ahead.
            pre_buffer=not storage.is_local,
            buffer_size=BUFFER_BYTES,
        )
        columns = wanted.names([*found, *file.partitions], file.location)
        here = [name for name in columns if name in found]
        n_rows = metadata.num_rows
        start = 0
        batches = opened.iter_batches(wanted.batch_rows, columns=here, use_threads=True)
        for batch in batches:
            _check_dictionaries(batch)
            stop = start + batch.num_rows
            complete = with_kept(wanted, with_partitions(file, wanted, _top_level(batch, here)))
            yield FileBatch(complete, np.arange(start, stop), {}, stop / max(n_rows, 1))
            start = stop
        if not n_rows:
            empty = opened.schema_arrow.empty_table().select(here).to_batches()
            none = pa.RecordBatch.from_pylist([], schema=opened.schema_arrow).select(here)
            batch = empty[0] if empty else none
            yield FileBatch(
                with_kept(wanted, with_partitions(file, wanted, batch)), np.arange(0), {}, 1.0
            )


def parquet_rows(storage: Storage, file: InputFile) -> int:
    """The number of rows of a Parquet file, from its footer."""
    with storage.filesystem.open_input_file(file.location) as stream:
        return int(pq.read_metadata(stream).num_rows)


def _check_dictionaries(batch: pa.RecordBatch) -> None:
    """Refuse an index beyond its dictionary, which Arrow reads from a damaged file as it is.

    Raises:
        pa.ArrowInvalid: there is one.

    """
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_dictionary(column.type):
            ends = pc.min_max(column.indices)
            low, high = ends["min"].as_py(), ends["max"].as_py()
            if high is not None and not 0 <= low <= high < len(column.dictionary):
                raise pa.ArrowInvalid(
                    f"column {name!r}: expected indices below {len(column.dictionary)}, "
                    f"got {low} to {high}"
                )


def _top_level(batch: pa.RecordBatch, names: list[str]) -> pa.RecordBatch:
    """The batch with these columns only: a name with a dot also selects a nested column."""
    return batch if batch.schema.names == names else batch.select(names)
