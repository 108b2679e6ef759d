"""A CSV file as columns of text: encoding, separator, header, and as many fields in every line."""

import codecs
import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from contracts.errors import InvalidData, preview
from contracts.schema import normalized
from training.notes import add_note
from training.tables.column_names import repeated_name

SEPARATORS = (",", ";", "\t", "|")
SEPARATOR_NAMES = {"\t": "TAB"}
SAMPLE_LINES = 50
"""Lines from which the separator is guessed."""
ROWS_PER_CHUNK = 100_000
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks, longer ones first, and the encodings that they stand for."""


@dataclass(frozen=True)
class CsvText:
    """The fields of a CSV file, all as text.

    `columns` has one `str` column per name, `lines` the number of the line where each row ends,
    the header's being 1.
    """

    path: Path
    names: tuple[str, ...]
    columns: tuple[pd.Series, ...]
    lines: pd.Series
    separator: str
    encoding: str

    def column(self, index: int, missing: frozenset[str]) -> pd.Series:
        """A column's text, NaN where the field is one of `missing`."""
        texts = self.columns[index]
        return texts.mask(texts.isin(list(missing)))


def csv_text(path: Path, *, separator: str = "", encoding: str = "") -> CsvText:
    """The fields of a CSV file; the encoding and the separator are detected if they are empty.

    Raises:
        InvalidData: no such file, not in the encoding, empty, a column twice, or a line with more
            or fewer fields than the header.

    """
    data = file_content(path)
    encoding = encoding or _encoding(path, data)
    text = _decoded(path, data, encoding)
    separator = separator or _separator(path, text)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        names = _header(path, reader)
        columns, lines = _columns(path, reader, names, separator)
    except (csv.Error, TypeError) as err:
        raise InvalidData(
            f"{path}: expected CSV in UTF-8 with a header, got {err}", remedy="fix the file"
        ) from err
    return CsvText(path, names, columns, lines, separator, encoding)


def guessed_encoding(data: bytes) -> str:
    r"""The encoding of a file: by its mark, UTF-8, UTF-16 by its zero bytes, or Windows-1252.

    >>> [guessed_encoding(data) for data in (b"a", "a,b".encode("utf-16-le"), b"\xe4")]
    ['utf-8', 'utf-16-le', 'cp1252']
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name
    try:
        data.decode()
    except UnicodeDecodeError:
        is_utf8 = False
    else:
        is_utf8 = True
    head = data[:4096]
    if head[1::2].count(0) > len(head) // 4:
        return "utf-16-le"
    if head[::2].count(0) > len(head) // 4:
        return "utf-16-be"
    return "utf-8" if is_utf8 else "cp1252"


def file_content(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        InvalidData: there is no such file, or it cannot be read.

    """
    if not path.is_file():
        raise InvalidData(f"{path}: expected a CSV file, got nothing", remedy="fix the path")
    try:
        return path.read_bytes()
    except OSError as err:
        raise InvalidData(
            f"{path}: expected a file that can be read, got {err.strerror}", remedy="fix its mode"
        ) from err


def _encoding(path: Path, data: bytes) -> str:
    for mark, name in _MARKS:
        if data.startswith(mark):
            shown = "UTF-8" if name == "utf-8-sig" else name.upper()
            add_note(f"{path}: read as {shown}, as its byte order mark says")
            return name
    return "utf-8"


def _decoded(path: Path, data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as err:
        guess = guessed_encoding(data)
        line = data.count(b"\n", 0, err.start) + 1
        shown = data[max(err.start - 20, 0) : err.start + 20].decode(guess, "replace")
        raise InvalidData(
            f"{path}:{line}: expected CSV in {encoding.upper()} with a header, got byte "
            f"0x{data[err.start]:02x}",
            remedy=f"as {guess} it reads {preview(shown)}; if that is right, "
            f"read_csv(path, encoding={guess!r})",
        ) from err
    except LookupError as err:
        raise InvalidData(
            f"{path}: encoding: expected one that Python knows, got {encoding!r}",
            remedy="for example utf-8, utf-16 or cp1252",
        ) from err


def _separator(path: Path, text: str) -> str:
    """The separator with which most lines have as many fields as the header, at least two."""
    sample = text[: 1 << 16].splitlines()[:SAMPLE_LINES]
    best, best_score = ",", (0.0, 0)
    for each in SEPARATORS:
        try:
            rows = [row for row in csv.reader(sample, delimiter=each) if row]
        except csv.Error:
            continue
        n_fields = len(rows[0]) if rows else 0
        if n_fields > 1:
            share = sum(len(row) == n_fields for row in rows) / len(rows)
            if (share, n_fields) > best_score:
                best, best_score = each, (share, n_fields)
    if best != ",":
        add_note(f"{path}: read with the separator {SEPARATOR_NAMES.get(best, best)!r}")
    return best


def _header(path: Path, reader: Any) -> tuple[str, ...]:
    header: list[str] = next(reader, [])
    if not header:
        raise InvalidData(
            f"{path}: expected CSV in UTF-8 with a header, got no line", remedy="fix the file"
        )
    # As pandas names the column of row names that R and pandas write.
    names = [normalized(n) if n else f"Unnamed: {i}" for i, n in enumerate(header)]
    if repeated := repeated_name(names):
        name, places = repeated
        raise InvalidData(
            f"{path}:1: expected each column name once, got {name} in field {places}",
            remedy="rename one of them in the file",
        )
    return tuple(names)


def _columns(
    path: Path, reader: Any, names: tuple[str, ...], separator: str
) -> tuple[tuple[pd.Series, ...], pd.Series]:
    """The columns below the header, read in pieces, since Python's own text takes much memory."""
    pieces: list[list[pd.Series]] = [[pd.Series([], dtype="str")] for _ in names]
    lines: list[int] = []
    rows: list[list[str]] = []

    def flush() -> None:
        for piece, values in zip(pieces, zip(*rows, strict=True), strict=False):
            piece.append(pd.Series(list(values), dtype="str"))
        rows.clear()

    for row in reader:
        if not row:
            continue
        line = reader.line_num
        if len(row) != len(names):
            raise InvalidData(
                f"{path}:{line}: expected {len(names)} fields as in the header, got {len(row)}",
                remedy=f"fix the line; the separator is {separator!r}",
            )
        rows.append(row)
        lines.append(line)
        if len(rows) >= ROWS_PER_CHUNK:
            flush()
    flush()
    columns = tuple(pd.concat(each, ignore_index=True) for each in pieces)
    return columns, pd.Series(lines, dtype="int64")
