"""What a scoring process is asked and what it answers: binary frames over one socket.

A scoring process loads one model and scores batches until its socket is closed. The service runs
it for models that must not run in its own process; training runs it for the certificate. The
service lets it fork copies of itself, which score, so that a copy that dies or hangs is replaced
within milliseconds. A frame is a header and a payload of known length. No pickle: rows are JSON,
matrices and scores are plain numbers in little-endian order.
"""

import os
import resource
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.errors import CorruptModel
from contracts.manifest import Manifest, Runtime
from contracts.names import MODEL_FILE, PIPELINE_FILE, feature_module
from contracts.schema import Schema

MAGIC = b"SLSC"
FRAME_VERSION = 1
"""Both ends check it: a scoring process of another release answers nothing."""
MAX_FRAME_BYTES = 256 * 1024 * 1024
_HEADER = struct.Struct("<4sBBxxQ")
_SHAPE = struct.Struct("<4sQQQ")
_DTYPES: Mapping[str, np.dtype[Any]] = {"f4": np.dtype("<f4"), "f8": np.dtype("<f8")}
"""The types of numbers that a matrix may have."""
MODULE = "services.scoring_process"
CODE = Path(__file__).parents[1]
"""Where a scoring process finds our packages: the checkout, or the folder `src` of a Bento."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
"""Variables that are 1 in a scoring process: it leaves the other cores alone, and adds sums in
the same order every time."""


class FrameKind(IntEnum):
    """What a frame carries.

    To the process: `LOAD` a `LoadModel` as JSON; `ROWS` a JSON list of rows; `MATRIX` a matrix;
    `FORK` nothing, and one byte after it with the socket of the copy; `END` the process id of a
    copy, as JSON. From it: `LOADED` a `Loaded` as JSON; `SCORES` a matrix of float64, shape
    `(n_rows, n_outputs)`, with the memory of the process in bytes; `FORKED` a `Forked` as JSON;
    `ENDED` nothing; `FAILED` a `contracts.process_error.ProcessError`.
    """

    LOAD = 1
    ROWS = 2
    MATRIX = 3
    LOADED = 4
    SCORES = 5
    FAILED = 6
    FORK = 7
    FORKED = 8
    END = 9
    ENDED = 10


class LoadModel(msgspec.Struct, frozen=True, kw_only=True):
    """The model to load: files of `directory`, each with its sha256.

    `score_kind` says what a pipeline's scores are: `probability`, `margin`, `decision` or
    `value`. `classes` and `requirements` are as in the manifest.
    """

    runtime: Runtime
    directory: str
    files: dict[str, str]
    schema: Schema
    score_kind: str = "value"
    classes: tuple[str, ...] = ()
    requirements: dict[str, str] = msgspec.field(default_factory=dict)


class FrameError(Exception):
    """The other end closed the socket in the middle of a frame, or sent something else."""


def load_request(manifest: Manifest, directory: Path) -> LoadModel:
    """What a scoring process must load for a version: its model and its feature code.

    Raises:
        CorruptModel: the manifest does not list the model.

    """
    wanted = PIPELINE_FILE if manifest.runtime == "sklearn" else MODEL_FILE
    if wanted not in manifest.files:
        raise CorruptModel(
            f"{directory}: expected a manifest that lists {wanted}, since its runtime is "
            f"{manifest.runtime!r}",
            remedy="train the version again",
        )
    return LoadModel(
        runtime=manifest.runtime,
        directory=str(directory.resolve()),
        files={
            name: digest
            for name, digest in manifest.files.items()
            if name == wanted or feature_module(name)
        },
        schema=manifest.schema,
        score_kind=manifest.score_kind if manifest.classes else "value",
        classes=manifest.classes,
        requirements=manifest.requirements,
    )


class Loaded(msgspec.Struct, frozen=True):
    """`dtype`: numpy's name for the numbers of the matrix that the model takes; None for rows."""

    dtype: str | None


class Forked(msgspec.Struct, frozen=True):
    """A copy of a scoring process: its process id, and its memory in bytes before it scores."""

    pid: int
    memory_bytes: int


def start_process(theirs: socket.socket) -> "subprocess.Popen[bytes]":
    """Start a scoring process that speaks frames on a socket, the other end of which is ours.

    It ends when the thread that starts it ends.
    """
    paths = [str(CODE), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = dict.fromkeys(THREADS, "1") | {"PYTHONPATH": os.pathsep.join(paths)}
    descriptor = theirs.fileno()
    return subprocess.Popen(
        # -P: no module of the current folder is ever imported.
        [sys.executable, "-P", "-m", MODULE, str(descriptor), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        pass_fds=[descriptor],
        env=os.environ | environment,
    )


def send_frame(channel: socket.socket, kind: FrameKind, *parts: bytes) -> None:
    """Send one frame, whose payload is the parts one after the other.

    Raises:
        FrameError: the payload is longer than `MAX_FRAME_BYTES`.
        OSError: the other end is gone, or the socket's timeout is over.

    """
    size_bytes = sum(len(part) for part in parts)
    if size_bytes > MAX_FRAME_BYTES:
        raise FrameError(f"frame: expected at most {MAX_FRAME_BYTES} bytes, got {size_bytes}")
    channel.sendall(b"".join((_HEADER.pack(MAGIC, FRAME_VERSION, kind, size_bytes), *parts)))


def receive_frame(channel: socket.socket) -> tuple[FrameKind, bytes] | None:
    """The next frame: its kind and payload; None if the other end closed the socket.

    Raises:
        FrameError: what comes is no frame of this version.
        OSError: the socket's timeout is over.

    """
    head = _receive(channel, _HEADER.size)
    if not head:
        return None
    magic, version, kind, size_bytes = _HEADER.unpack(_whole(head, _HEADER.size))
    if (magic, version) != (MAGIC, FRAME_VERSION) or kind not in set(FrameKind):
        raise FrameError(f"frame: expected one of version {FRAME_VERSION}, got {bytes(head)!r}")
    if size_bytes > MAX_FRAME_BYTES:
        raise FrameError(f"frame: expected at most {MAX_FRAME_BYTES} bytes, got {size_bytes}")
    return FrameKind(kind), _whole(_receive(channel, size_bytes), size_bytes)


def pack_matrix(matrix: NDArray[Any], extra: int = 0) -> tuple[bytes, bytes]:
    """A matrix `(n_rows, n_columns)` of float32 or float64 as the parts of a payload.

    `extra` is a number that travels with it.
    """
    code = _DTYPES[matrix.dtype.newbyteorder("=").str[1:]].str
    contiguous = np.ascontiguousarray(matrix, dtype=code)
    head = _SHAPE.pack(code.encode(), *contiguous.shape, extra)
    return head, contiguous.tobytes()


def unpack_matrix(payload: bytes) -> tuple[NDArray[Any], int]:
    """The matrix of a payload, and the number that came with it.

    Raises:
        FrameError: the payload is no matrix.

    """
    if len(payload) < _SHAPE.size:
        raise FrameError(f"matrix: expected a shape, got {len(payload)} bytes")
    code, n_rows, n_columns, extra = _SHAPE.unpack_from(payload)
    dtype = _DTYPES.get(code.decode(errors="replace")[1:3])
    if dtype is None or len(payload) - _SHAPE.size != n_rows * n_columns * dtype.itemsize:
        raise FrameError(f"matrix: expected {n_rows} rows of {n_columns} numbers in {_DTYPES}")
    return np.frombuffer(payload, dtype, offset=_SHAPE.size).reshape(n_rows, n_columns), extra


def memory_of(process: int | Literal["self"]) -> int:
    """The memory that a process has for itself, in bytes, without mapped files.

    Zero where the system does not say, which is everywhere but on Linux.
    """
    try:
        fields = Path(f"/proc/{process}/statm").read_text().split()
        return (int(fields[1]) - int(fields[2])) * resource.getpagesize()
    except (OSError, IndexError, ValueError):
        return 0


def _whole(data: bytes, size_bytes: int) -> bytes:
    if len(data) < size_bytes:
        raise FrameError(f"frame: expected {size_bytes} bytes, got {len(data)} and the end")
    return data


def _receive(channel: socket.socket, size_bytes: int) -> bytes:
    """Up to that many bytes; fewer only at the end of the stream."""
    buffer = bytearray(size_bytes)
    view = memoryview(buffer)
    n_received = 0
    while n_received < size_bytes:
        n_new = channel.recv_into(view[n_received:])
        if not n_new:
            break
        n_received += n_new
    return bytes(view[:n_received])
