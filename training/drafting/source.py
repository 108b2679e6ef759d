"""How a file of data is written: what `read_csv` must know, found by trying."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from training.tables.csv_text import CsvText, csv_text, file_content, guessed_encoding
from training.tables.files import PARQUET_SUFFIXES, read_parquet, typed_table
from training.tables.number_text import POINT, NumberFormat

NUMBER_FORMATS = (
    POINT,
    NumberFormat(","),
    NumberFormat(",", "."),
    NumberFormat(".", ","),
    NumberFormat(",", " "),
    NumberFormat(".", "'"),
)
"""Ways to write numbers, likelier ones first."""
MISSING_WORDS = frozenset(
    {" ", "?", "-", "--", ".", "\\N", "#N/A", "#NULL!", "N/A", "n/a", "NA", "na", "NaN", "nan"}
    | {"NULL", "Null", "null", "None", "none", "missing", "unknown"}
)
"""What stands among numbers for a missing value."""
MIN_NUMBER_SHARE = 0.7
"""From this share of numbers on, a column is of numbers, and the rest are missing or mistakes."""


@dataclass(frozen=True)
class Source:
    """A file, its rows, and the arguments of `read_csv` that its text needs."""

    path: Path
    table: pd.DataFrame
    arguments: dict[str, str | tuple[str, ...]]
    doubts: tuple[str, ...]

    @property
    def is_parquet(self) -> bool:
        """Whether `read_parquet` reads the file."""
        return self.path.suffix.lower() in PARQUET_SUFFIXES


def read_source(path: Path) -> Source:
    """A file of data, read as its text suggests.

    Raises:
        InvalidData: as `read_csv` and `read_parquet` do.

    """
    if path.suffix.lower() in PARQUET_SUFFIXES:
        return Source(path, read_parquet(path).reset_index(drop=True), {}, ())
    encoding = guessed_encoding(file_content(path))
    text = csv_text(path, encoding=encoding)
    numbers, missing = _number_format(text)
    arguments: dict[str, str | tuple[str, ...]] = {}
    if text.separator != ",":
        arguments["separator"] = text.separator
    if encoding not in {"utf-8", "utf-8-sig"}:
        arguments["encoding"] = encoding
    if numbers.decimal != ".":
        arguments["decimal"] = numbers.decimal
    if numbers.thousands:
        arguments["thousands"] = numbers.thousands
    if missing:
        arguments["missing"] = ("", *missing)
    table = typed_table(text, None, numbers, frozenset({"", *missing}))
    return Source(path, table, arguments, tuple(_doubts(text, arguments, missing)))


def _number_format(text: CsvText) -> tuple[NumberFormat, tuple[str, ...]]:
    """The format in which most columns are numbers, and the words among them."""
    best, best_count = POINT, -1
    words: tuple[str, ...] = ()
    for numbers in NUMBER_FORMATS:
        found = [_words_among_numbers(column, numbers) for column in text.columns]
        count = sum(each is not None for each in found)
        if count > best_count:
            given = {word for each in found if each for word in each}
            best, best_count, words = numbers, count, tuple(sorted(given))
    return best, words


def _words_among_numbers(column: pd.Series, numbers: NumberFormat) -> frozenset[str] | None:
    """The words for missing values in a column of numbers; None if it is no such column."""
    given = column[column != ""]
    if given.empty:
        return None
    matches = numbers.matches(given)
    if matches.mean() < MIN_NUMBER_SHARE:
        return None
    others = frozenset(given[~matches].unique())
    return others if others <= MISSING_WORDS else None


def _doubts(
    text: CsvText, arguments: dict[str, str | tuple[str, ...]], missing: tuple[str, ...]
) -> Iterator[str]:
    names = {"separator": "separator", "decimal": "decimal mark", "thousands": "thousands mark"}
    for key, meaning in names.items():
        if key in arguments:
            yield f"the file's {meaning} seems to be {arguments[key]!r}"
    if "encoding" in arguments:
        yield f"the file is not UTF-8; it is read as {arguments['encoding']}: are names right?"
    for word in missing:
        texts = [
            name
            for name, column in zip(text.names, text.columns, strict=True)
            if (column == word).any() and POINT.matches(column[column != word]).mean() < 0.5  # noqa: PLR2004 - most are words
        ]
        also = f"; it would be missing in {', '.join(texts)} too" if texts else ""
        yield f"{word!r} stands among numbers and is read as missing{also}"
