"""Prediction ids of rows of files: the same row scored by the same version has the same id.

An id is a UUID version 8 (RFC 9562, section 5.8). Its head is a hash of the version's digest and
of the file: the path within the input, and the fingerprint of the contents. Its last 8 characters
are the number of the row.
"""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.uuids import UUID8_BYTES, uuid8

ID_CHARS = 36
TAIL_BYTES = 4
"""The number of a row within its head."""
HEAD_CHARS = ID_CHARS - 2 * TAIL_BYTES
MAX_HEAD_ROWS = 2**32
"""Rows that share a head: as many as 8 hexadecimal digits can number."""
_HEX = np.frombuffer(bytes(range(256)).hex().encode(), dtype=np.uint8).reshape(256, 2)
"""The two hexadecimal digits of each byte."""


@dataclass(frozen=True)
class RowSource:
    """The file that rows come from: its path within the input, and a hash of its contents."""

    path: str
    fingerprint: str


def row_ids(digest: str, source: RowSource, rows: NDArray[np.int64]) -> pa.Array:
    """The prediction ids of rows of one file, strings of 36 characters; `rows` are numbers from 0.

    `digest` is that of the version.
    """
    text = np.empty((len(rows), ID_CHARS), dtype=np.uint8)
    blocks = rows // MAX_HEAD_ROWS
    for block in np.unique(blocks).tolist():
        head = _head(f"{digest}\n{source.fingerprint}\n{block}\n{source.path}")
        text[blocks == block, : len(head)] = np.frombuffer(head, dtype=np.uint8)
    tail = (rows % MAX_HEAD_ROWS).astype(">u4").view(np.uint8).reshape(len(rows), TAIL_BYTES)
    text[:, HEAD_CHARS:] = _HEX[tail].reshape(len(rows), 2 * TAIL_BYTES)
    return fixed_texts(text)


def fixed_texts(text: NDArray[np.uint8]) -> pa.Array:
    """ASCII texts of one length, shape `(n_rows, n_characters)`, as strings."""
    n_rows, n_chars = text.shape
    offsets = np.arange(0, (n_rows + 1) * n_chars, n_chars, dtype=np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(text))]
    return pa.StringArray.from_buffers(n_rows, buffers[1], buffers[2])


def _head(source: str) -> bytes:
    """The first 28 characters of the ids of a source; `source` is any text."""
    text = source.encode("utf-8", "surrogateescape")
    value = blake2b(text, digest_size=UUID8_BYTES - TAIL_BYTES).digest() + bytes(TAIL_BYTES)
    return uuid8(value)[:HEAD_CHARS]
