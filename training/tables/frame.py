"""Any table as a DataFrame whose columns have one name each."""

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from contracts.errors import InvalidData, preview
from contracts.schema import Schema, normalized
from training.tables.files import read_table


def data_frame(table: object, schema: Schema) -> pd.DataFrame:
    """A table of pandas, polars or Arrow, or the path of a file, as a DataFrame.

    Its columns are text in NFC, each name once; its index is kept.

    Raises:
        InvalidData: it is something else, or two columns have one name.

    """
    if isinstance(table, str | Path):
        return read_table(table, schema)
    return _with_unique_names(_converted(table))


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


def _with_unique_names(table: pd.DataFrame) -> pd.DataFrame:
    if isinstance(table.columns, pd.MultiIndex):
        raise InvalidData(
            f"expected one name per column, got {table.columns.nlevels} levels of names",
            remedy="join the levels in the loader: "
            "table.columns = ['_'.join(map(str, names)) for names in table.columns]",
        )
    names = [normalized(str(name)) for name in table.columns]
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        places = [str(index + 1) for index, name in enumerate(names) if name == twice[0]]
        raise InvalidData(
            f"expected each column name once, got {preview(twice[0])} as column "
            f"{' and '.join(places)}",
            remedy="rename or drop one of them in the loader",
        )
    return table if names == list(table.columns) else table.set_axis(names, axis="columns")
