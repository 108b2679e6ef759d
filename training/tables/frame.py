"""Any table as a DataFrame whose columns have one name each."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from contracts.errors import InvalidData
from contracts.schema import Schema
from training.tables.column_names import with_unique_names
from training.tables.files import read_table


def data_frame(table: object, schema: Schema) -> pd.DataFrame:
    """A table of pandas, polars or Arrow, or the path of a file, as a DataFrame.

    Its columns are text in NFC, each name once; its index is kept.

    Raises:
        InvalidData: it is something else, or two columns have one name.

    """
    if isinstance(table, str | Path):
        return read_table(table, schema)
    return with_unique_names(_converted(table))


def _converted(table: Any) -> pd.DataFrame:
    if isinstance(table, pd.DataFrame):
        return table
    if hasattr(table, "__arrow_c_stream__") and not isinstance(table, pd.Series):
        try:
            return pa.table(table).to_pandas()
        except (pa.ArrowException, TypeError, ValueError) as err:
            raise InvalidData(
                f"expected a table, got {_kind(table)}, which Arrow cannot convert: {err}",
                remedy="return a pandas DataFrame",
            ) from err
    if callable(getattr(table, "collect", None)):
        raise InvalidData(
            f"expected a DataFrame, got {_kind(table)}", remedy="return its .collect()"
        )
    raise InvalidData(
        f"expected a DataFrame, got {type(table).__name__}",
        remedy="return a table of pandas, polars or Arrow, or the path of a CSV or Parquet file",
    )


def _kind(table: object) -> str:
    library = type(table).__module__.partition(".")[0]
    return f"a {library} {type(table).__name__}"
