"""Files as the input of jobs: `{"input": "path"}` names one below the configured folder.

The format follows from the name: `.csv`, `.jsonl`, `.json` (a body of the batch route) and, where
pyarrow is installed, `.parquet`. `slipway score` is for files that are larger than memory.
"""

import hashlib
import io
from collections.abc import Mapping
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw

from contracts.schema import Feature, Violation, normalized
from services.faults import Fault
from services.inference.json_body import invalid_request
from services.inference.text_values import value_of_text
from services.jobs.inputs import JobRows, csv_table_rows, json_rows, raw_rows, row_text
from services.protocols.table import check_size

INPUT_SUFFIXES = (".csv", ".json", ".jsonl", ".parquet")
MAX_INPUT_BYTES = 512 * 1024 * 1024
MAX_REFERENCE_BYTES = 8 * 1024
"""A longer body is no reference to a file."""


class _Reference(msgspec.Struct, forbid_unknown_fields=True):
    """A body that names a file."""

    input: str


_decode = msgspec.json.Decoder(_Reference).decode


def referenced_path(body: bytes) -> str | None:
    """The path in a body that names a file; None if the body has rows itself."""
    if len(body) > MAX_REFERENCE_BYTES:
        return None
    try:
        return _decode(body).input
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def referenced_file(folder: str, name: str) -> Path:
    """The file that a client names, below the folder of inputs.

    Raises:
        Fault: `invalid_request`; it is outside, of another kind, too large or not there.

    """
    if not folder:
        expected = "rows or columns, because SLIPWAY_SERVICE_JOBS_INPUT_FOLDER is not set"
        raise _refused(expected, name)
    root = Path(folder).resolve()
    try:
        path = (root / name).resolve()
        is_inside = path.is_relative_to(root) and not Path(name).is_absolute() and path.is_file()
    except (OSError, ValueError, RuntimeError):  # too long, a zero byte, a loop of links
        is_inside = False
    if not is_inside or path.suffix not in INPUT_SUFFIXES:
        # One message for all: it must not say whether a file outside exists.
        raise _refused(f"a file below the folder of inputs ({', '.join(INPUT_SUFFIXES)})", name)
    if path.stat().st_size > MAX_INPUT_BYTES:
        message = f"input: expected at most {MAX_INPUT_BYTES} bytes, got more; use slipway score"
        raise Fault("body_too_large", message)
    return path


def file_rows(path: Path, features: Mapping[str, Feature], max_rows: int) -> tuple[JobRows, str]:
    """The rows of a file, and the sha256 of its bytes.

    Raises:
        Fault: as the readers of bodies raise it; `invalid_request` if the file cannot be read.

    """
    try:
        data = path.read_bytes()
    except OSError as err:
        raise _refused("a readable file", f"{path.name}: {err.strerror}") from err
    digest = hashlib.sha256(data).hexdigest()
    if path.suffix == ".csv":
        return csv_table_rows(data, features, max_rows), digest
    if path.suffix == ".json":
        return json_rows(data, max_rows), digest
    is_lines = path.suffix == ".jsonl"
    if is_lines:
        return raw_rows(_lines(data, max_rows)), digest
    return raw_rows(_parquet_rows(path.name, data, features, max_rows)), digest


def _lines(data: bytes, max_rows: int) -> list[Raw]:
    """One row per line; what is no JSON is no row, and refuses the file."""
    filled = (line for line in map(bytes.strip, io.BytesIO(data)) if line)
    lines = list(islice(filled, max_rows + 1))
    check_size(len(lines), max_rows)
    for number, line in enumerate(lines):
        try:
            msgspec.json.decode(line, type=Raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as err:
            message = f"rows[{number}]: expected a line of JSON, got {str(err)[:120]}"
            raise Fault("invalid_json", message) from err
    return [Raw(line) for line in lines]


def _parquet_rows(
    name: str, data: bytes, features: Mapping[str, Feature], max_rows: int
) -> list[Raw]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as err:
        raise _refused("a format other than Parquet: pyarrow is not installed", name) from err
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        check_size(file.metadata.num_rows, max_rows)
        table: list[dict[str, Any]] = _in_microseconds(file.read()).to_pylist()
        return [Raw(row_text(_with_texts(row, features))) for row in table]
    except (pa.ArrowException, OSError, OverflowError, TypeError, ValueError) as err:
        raise _refused("a Parquet file of numbers and texts", str(err)[:120]) from err


def _in_microseconds(table: Any) -> Any:
    """An Arrow table whose times Python has a type for; those with a zone are in UTC.

    Nanoseconds are cut off downwards, as in texts.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for place, column in enumerate(table.columns):
        if pa.types.is_timestamp(column.type):
            kind = pa.timestamp("us", column.type.tz and "UTC")
            times = column
            if column.type.unit == "ns":
                # Without its zone a time is in UTC, and needs no data of zones here.
                floored = pc.floor_temporal(column.cast(pa.timestamp("ns")), unit="microsecond")
                times = floored.cast(pa.timestamp("us")).cast(pa.int64())
            times = times.cast(kind)
            table = table.set_column(place, table.column_names[place], times)
    return table


def _with_texts(row: dict[str, Any], features: Mapping[str, Feature]) -> dict[str, Any]:
    """The row with times and dates as the texts that JSON has for them."""
    return {
        name: value_of_text(features.get(normalized(name)), value.isoformat())
        if isinstance(value, date)
        else value
        for name, value in row.items()
    }


def _refused(expected: str, got: str) -> Fault:
    return invalid_request([Violation("input", expected, repr(got[:80]))])
