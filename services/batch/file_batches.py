"""Batches of a file: the wanted columns of its rows, with the numbers of the rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.errors import InvalidData
from contracts.schema import Schema, Violation
from services.batch.columns import with_form
from services.batch.decode import feature_places
from services.batch.input_files import InputFile

RECORD_BATCH_ROWS = 65_536
MAX_BATCH_CELLS = 4_194_304
"""Rows times features of a batch: a wide table has fewer rows per batch."""
MIN_BATCH_ROWS = 256
KEPT = "kept:"
"""Prefix of the copy of a column that is kept, next to the feature of the same name."""


@dataclass(frozen=True)
class FileBatch:
    """Rows of a file: a `pyarrow.RecordBatch`, the number of each of its rows in the file.

    `known`: rows in this part of the file that could not be read, by number. `n_rows` counts both.
    `done`: the share of the file that is read.
    """

    batch: Any
    rows: NDArray[np.int64]
    known: Mapping[int, Violation] = field(default_factory=dict)
    done: float = 0.0

    @property
    def n_rows(self) -> int:
        """Rows of the file in this part of it."""
        return len(self.rows) + len(self.known)


@dataclass(frozen=True)
class WantedColumns:
    """What is read of a file: the features of a schema, and columns that are kept."""

    schema: Schema
    keep: Sequence[str] = ()

    @property
    def batch_rows(self) -> int:
        """Rows per batch."""
        by_cells = MAX_BATCH_CELLS // len(self.schema.features)
        return max(MIN_BATCH_ROWS, min(RECORD_BATCH_ROWS, by_cells))

    def names(self, found: Sequence[str], location: str) -> list[str]:
        """The names of the columns to read, of those that a file has.

        Raises:
            InvalidData: a feature or a kept column is not there, or there twice.

        """
        try:
            places = feature_places(self.schema, found)
        except InvalidData as err:
            raise InvalidData(f"{location}: {err.what}", remedy=err.remedy) from err
        for name in self.keep:
            if found.count(name) > 1:
                raise InvalidData(
                    f"{location}: column {name!r}: expected it once, since it is kept, got it "
                    f"{found.count(name)} times",
                    remedy="rename or remove the others",
                )
            if name not in found:
                raise InvalidData(
                    f"{location}: column {name!r}: expected it, since it is kept, got no such "
                    "column",
                    remedy=f"one of {', '.join(found)[:500]}",
                )
        wanted = {found[place] for place in places.values() if place is not None}
        return [name for name in found if name in wanted or name in self.keep]


def with_partitions(file: InputFile, wanted: WantedColumns, batch: Any) -> Any:
    """A batch with the columns that the file's folders stand for, as texts."""
    names = [name for name in file.partitions if name not in batch.schema.names]
    for name in names:
        if name in wanted.schema.names or name in wanted.keep:
            column = pa.repeat(pa.scalar(file.partitions[name], pa.string()), batch.num_rows)
            text = with_form(pa.field(name, pa.string()), "text")
            batch = batch.append_column(text, column)
    return batch


def with_kept(wanted: WantedColumns, batch: Any) -> Any:
    """A batch with a copy of each kept column that the reader did not make itself."""
    for name in wanted.keep:
        if KEPT + name not in batch.schema.names:
            batch = batch.append_column(KEPT + name, batch.column(name))
    return batch


def kept_column(batch: Any, name: str) -> Any:
    """The column of a batch that is kept under this name."""
    return batch.column(KEPT + name if KEPT + name in batch.schema.names else name)
