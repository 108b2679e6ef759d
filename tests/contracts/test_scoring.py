"""Frames between a scoring process and who asks it: what is sent is received, or refused."""

import socket
import struct
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import DTypeLike

from contracts import scoring
from contracts.scoring import (
    MAX_FRAME_BYTES,
    FrameError,
    FrameKind,
    pack_matrix,
    receive_frame,
    send_frame,
    unpack_matrix,
)

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(5)
        theirs.settimeout(5)
        yield ours, theirs


def test_a_frame_arrives_as_it_was_sent(pair: Pair) -> None:
    send_frame(pair[0], FrameKind.ROWS, b"[", b"{}", b"]")
    send_frame(pair[0], FrameKind.LOADED)
    pair[0].close()

    assert receive_frame(pair[1]) == (FrameKind.ROWS, b"[{}]")
    assert receive_frame(pair[1]) == (FrameKind.LOADED, b"")
    assert receive_frame(pair[1]) is None


@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f8"])
def test_every_number_of_a_matrix_arrives_to_the_bit(dtype: DTypeLike) -> None:
    matrix = np.array([[0.1, np.nan, -np.inf], [5e-324, -0.0, 3.4e38]], dtype=dtype)
    unpacked, extra = unpack_matrix(b"".join(map(bytes, pack_matrix(matrix, 7))))

    np.testing.assert_array_equal(unpacked, matrix)
    assert (unpacked.dtype.itemsize, extra) == (matrix.dtype.itemsize, 7)


def header(magic: bytes = b"SLSC", version: int = 1, kind: int = 2, size: int = 0) -> bytes:
    return struct.pack("<4sBBxxQ", magic, version, kind, size)


@pytest.mark.parametrize(
    "data",
    [
        header(magic=b"HTTP"),
        header(version=2),
        header(kind=99),
        header(size=MAX_FRAME_BYTES + 1),
        header(size=10) + b"short",
        header()[:7],
    ],
)
def test_what_is_no_frame_is_refused_before_it_is_read(pair: Pair, data: bytes) -> None:
    pair[0].sendall(data)
    pair[0].close()
    with pytest.raises(FrameError, match="frame: expected"):
        receive_frame(pair[1])


def test_a_frame_beyond_the_limit_is_not_sent(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "MAX_FRAME_BYTES", 10)
    with pytest.raises(FrameError, match="at most 10 bytes, got 11"):
        send_frame(pair[0], FrameKind.ROWS, b"x" * 11)


@given(st.binary(max_size=100))
def test_bytes_that_are_no_matrix_are_refused(payload: bytes) -> None:
    try:
        matrix, _ = unpack_matrix(payload)
    except FrameError:
        return
    assert matrix.nbytes <= len(payload)
