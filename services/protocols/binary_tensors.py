"""The binary tensor extension of the Open Inference Protocol: tensors as bytes behind the JSON.

Source: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
A tensor's values are little-endian, in row-major order, without gaps. A string is its length as
uint32 and then its bytes. The tensors follow each other in the order of the JSON.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from contracts.schema import Violation
from services.inference.decode_columns import FeatureColumn
from services.inference.json_body import invalid_request

BINARY_SIZE = "binary_data_size"
"""The parameter of a tensor that says how many of the bytes are its own."""
BINARY_OUTPUT, ALL_BINARY = "binary_data", "binary_data_output"
"""The parameters by which a request asks for one output, or for all, as bytes."""
DTYPES: Mapping[str, str] = {
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
    **{f"INT{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"UINT{8 * size}": f"<u{size}" for size in (1, 2, 4, 8)},
    "BOOL": "<u1",
}
"""NumPy's name for each datatype but BYTES."""
ITEM_BYTES = {name: np.dtype(kind).itemsize for name, kind in DTYPES.items()}
"""The size of a value of each datatype but BYTES."""
_LENGTH = struct.Struct("<I")


class TensorBody(bytes):
    """A body of JSON and tensors; its first `json_bytes` bytes are the JSON."""

    json_bytes: int

    @classmethod
    def of(cls, body: bytes, json_bytes: int) -> "TensorBody":
        """`body`, whose first `json_bytes` bytes are JSON."""
        made = cls(body)
        made.json_bytes = json_bytes
        return made


class BinaryData:
    """The bytes behind the JSON of a request, which its tensors take one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._start = 0

    def take(self, size: object, location: str) -> memoryview:
        """The next `size` bytes.

        Raises:
            Fault: `invalid_request`, `size` is no number of bytes, or more than there are.

        """
        left = len(self._data) - self._start
        if type(size) is not int or not 0 <= size <= left:
            shown = size if type(size) is int and 0 <= size < 2**63 else type(size).__name__
            path = f"{location}.parameters.{BINARY_SIZE}"
            raise invalid_request([Violation(path, f"at most {left} bytes", str(shown))])
        taken = self._data[self._start : self._start + size]
        self._start += size
        return taken

    def require_end(self) -> None:
        """Refuse bytes that no tensor has taken.

        Raises:
            Fault: `invalid_request`.

        """
        left = len(self._data) - self._start
        if left:
            expected = f"the sum of all {BINARY_SIZE}, {self._start} bytes, behind the JSON"
            raise invalid_request([Violation("body", expected, f"{left} bytes more")])


def check_binary_size(datatype: str, shape: Sequence[int], data: memoryview, location: str) -> None:
    """Refuse bytes that are fewer or more than a tensor of this shape has.

    Raises:
        Fault: `invalid_request`.

    """
    n_values = prod(shape)
    if datatype not in DTYPES:
        if datatype != "BYTES":
            expected = " or ".join([*DTYPES, "BYTES"])
            raise invalid_request([Violation(f"{location}.datatype", expected, datatype)])
        if n_values * _LENGTH.size > len(data):
            expected = f"at least {n_values * _LENGTH.size} for the shape"
            raise _wrong_size(location, expected, len(data))
        return
    size = n_values * ITEM_BYTES[datatype]
    if size != len(data):
        raise _wrong_size(location, f"{size} for the shape", len(data))


def column_of(
    datatype: str, shape: Sequence[int], data: memoryview, location: str
) -> FeatureColumn:
    """The values of a tensor: an array, or strings.

    Raises:
        Fault: `invalid_request`, for strings that do not fill the bytes, or are not UTF-8.

    """
    if datatype == "BYTES":
        return _strings(prod(shape), data, location)
    return np.frombuffer(data, dtype=DTYPES[datatype])


def json_values(datatype: str, column: FeatureColumn) -> list[Any]:
    """The values of a tensor as JSON has them; NaN, which stands for a missing value, is None."""
    if isinstance(column, list):
        return column
    values: list[Any] = column.tolist()
    if datatype == "BOOL":
        # Any other number is no boolean of JSON, and the schema says so.
        return [bool(value) if value in {0, 1} else value for value in values]
    if column.dtype.kind == "f" and any(value != value for value in values):  # noqa: PLR0124 - as below
        return [None if value != value else value for value in values]  # noqa: PLR0124 - only NaN differs from itself
    return values


def packed_strings(strings: Iterable[bytes]) -> bytes:
    """The bytes of a tensor of strings in UTF-8."""
    return b"".join(_LENGTH.pack(len(each)) + each for each in strings)


class _Texts(dict[bytes, str]):
    """Strings by their bytes, length included: most are one of few categories."""

    def __missing__(self, record: bytes) -> str:
        (size,) = _LENGTH.unpack_from(record)
        if len(record) != _LENGTH.size + size:
            raise LookupError
        text = self[record] = record[_LENGTH.size :].decode()
        return text


def _strings(n_values: int, data: memoryview, location: str) -> list[str]:
    found = _short_strings(n_values, bytes(data))
    return _any_strings(n_values, data, location) if found is None else found


def _short_strings(n_values: int, given: bytes) -> list[str] | None:
    """Strings of less than 256 bytes each, in one pass; None if there are others, or a fault."""
    texts, strings, start = _Texts(), [], 0
    try:
        for _ in range(n_values):
            end = start + 4 + given[start]
            strings.append(texts[given[start:end]])
            start = end
    except (LookupError, struct.error, UnicodeDecodeError):
        return None
    return strings if start == len(given) else None


def _any_strings(n_values: int, data: memoryview, location: str) -> list[str]:
    given, length_at = bytes(data), _LENGTH.unpack_from
    strings: list[bytes] = []
    start = 0
    try:
        for _ in range(n_values):
            end = start + 4 + length_at(given, start)[0]
            strings.append(given[start + 4 : end])
            start = end
    except struct.error:
        start = len(given) + 1
    if start > len(given):
        raise _wrong_size(location, f"{n_values} strings with their lengths", len(given))
    if start != len(given):
        raise _wrong_size(location, f"{start} for {n_values} strings", len(given))
    # Most strings are one of few categories.
    texts = {each: _text(each, location) for each in set(strings)}
    return [texts[each] for each in strings]


def _text(string: bytes, location: str) -> str:
    try:
        return string.decode()
    except UnicodeDecodeError as err:
        raise invalid_request([Violation(location, "strings in UTF-8", "other bytes")]) from err


def _wrong_size(location: str, expected: str, n_bytes: int) -> Exception:
    path = f"{location}.parameters.{BINARY_SIZE}"
    return invalid_request([Violation(path, expected, str(n_bytes))])
