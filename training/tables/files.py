"""Files of data as DataFrames: CSV, typed by the schema or by what the columns hold; Parquet."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa

from contracts.errors import InvalidData
from contracts.schema import Schema
from training.tables.column_names import with_unique_names
from training.tables.csv_columns import inferred_column, typed_column
from training.tables.csv_text import CsvText, csv_text
from training.tables.number_text import NumberFormat

PARQUET_SUFFIXES = frozenset({".parquet", ".pq"})
CSV_SUFFIXES = frozenset({".csv", ".tsv", ".txt"})


def read_csv(
    path: Path | str,
    schema: Schema | None = None,
    *,
    separator: str = "",
    encoding: str = "",
    decimal: str = ".",
    thousands: str = "",
    missing: Iterable[str] = ("",),
) -> pd.DataFrame:
    """A CSV file with a header as a DataFrame.

    Columns of the schema get the types of their features. Other columns are numbers, booleans
    or text by what they hold: a column is of numbers only if every value is one, without leading
    zeros. Text stays as it is: `NA`, `None` and `01234` are text.

    Args:
        path: the file.
        schema: the features; values that are none are refused here, with their line.
        separator: what separates fields; by default what the header shows, out of `, ; | TAB`.
        encoding: by default UTF-8, or what a byte order mark says.
        decimal: the decimal mark.
        thousands: what separates groups of three digits.
        missing: the fields that mean a missing value, exactly as they are in the file.

    Raises:
        InvalidData: no such file, another encoding, empty, a column twice, a line with more or
            fewer fields than the header, or a value that the schema's type does not have; with
            file, line, column, value and remedy.

    """
    text = csv_text(Path(path), separator=separator, encoding=encoding)
    return typed_table(text, schema, NumberFormat(decimal, thousands), frozenset(missing))


def typed_table(
    text: CsvText, schema: Schema | None, numbers: NumberFormat, missing: frozenset[str]
) -> pd.DataFrame:
    """The columns of a CSV file as `read_csv` types them.

    Raises:
        InvalidData: a value that the schema's type does not have.

    """
    features = {feature.name: feature for feature in schema.features} if schema else {}
    columns = {
        name: typed_column(text, index, features[name], numbers, missing)
        if name in features
        else inferred_column(text.column(index, missing), numbers, name)
        for index, name in enumerate(text.names)
    }
    table = pd.DataFrame(columns)
    table.attrs["source"] = str(text.path)
    return table


def read_parquet(path: Path | str) -> pd.DataFrame:
    """A Parquet file as a DataFrame; its columns are text in NFC.

    Raises:
        InvalidData: no such file, no Parquet, or two columns of one name.

    """
    file = Path(path)
    if not file.is_file():
        raise InvalidData(f"{file}: expected a Parquet file, got nothing", remedy="fix the path")
    try:
        table = pd.read_parquet(file)
    except (OSError, ValueError, pa.ArrowException) as err:
        raise InvalidData(
            f"{file}: expected Parquet, got {type(err).__name__}: {' '.join(str(err).split())}",
            remedy="write the file again",
        ) from err
    try:
        table = with_unique_names(table)
    except InvalidData as err:
        raise InvalidData(f"{file}: {err.what}", remedy=err.remedy) from err
    table.attrs["source"] = str(path)
    return table


def read_table(path: Path | str, schema: Schema | None = None) -> pd.DataFrame:
    """A CSV or Parquet file, by its suffix.

    Raises:
        InvalidData: as `read_csv` and `read_parquet` do, or the suffix is of neither.

    """
    suffix = Path(path).suffix.lower()
    if suffix in PARQUET_SUFFIXES:
        return read_parquet(path)
    if suffix in CSV_SUFFIXES:
        return read_csv(path, schema)
    raise InvalidData(
        f"{path}: expected a file named .csv, .tsv, .txt, .parquet or .pq, got {suffix or 'none'}",
        remedy="rename the file, or read it in the loader",
    )
