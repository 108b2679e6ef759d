"""Whether an ONNX file holds all of its numbers, told before onnxruntime opens it.

A tensor of an ONNX graph may lie in another file, named by a path: what would be read then is
not what was verified, and may be any file of this machine. The file is protocol buffers; only
as much of it is read as leads to such names (onnx.proto, github.com/onnx/onnx).
"""

from collections.abc import Iterator
from pathlib import Path

from contracts.errors import CorruptModel

KEY = b"location"
"""Under this key a tensor's external data has its path; a file without the word has none."""
INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "function": {7: "node", 11: "attribute"},
    "training": {1: "graph", 2: "graph"},
    "tensor": {13: "entry"},
}
"""The numbers of the fields, by kind of message, in which a tensor may lie."""
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""How a field is written (protobuf.dev/programming-guides/encoding)."""
SIZES = {FIXED64: 8, FIXED32: 4}
MAX_VARINT_BYTES = 10
"""Bytes of the longest varint."""


def external_file(model: bytes, place: Path) -> str | None:
    """The path in which a graph wants numbers of its own read; None if it holds them all.

    Raises:
        CorruptModel: it is no file of protocol buffers.

    """
    if KEY not in model:
        return None
    try:
        return next(_locations(memoryview(model)), None)
    except (IndexError, ValueError) as err:
        raise CorruptModel(
            f"{place}: expected an ONNX model, got bytes that are none ({err})",
            remedy="train the version again",
        ) from err


def _locations(model: memoryview) -> Iterator[str]:
    waiting = [("model", model)]
    while waiting:
        kind, message = waiting.pop()
        if kind == "entry":
            texts = {number: bytes(data) for number, data in _fields(message)}
            if texts.get(1) == KEY:
                yield texts.get(2, b"").decode(errors="replace")
            continue
        inside = INSIDE[kind]
        waiting += [(inside[n], data) for n, data in _fields(message) if n in inside]


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields that hold bytes, with their numbers; others are passed over."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        wire = tag & 7
        if wire == VARINT:
            _, at = _varint(message, at)
        elif wire == BYTES:
            size, at = _varint(message, at)
            yield tag >> 3, message[at : at + size]
            at += size
        elif wire in SIZES:
            at += SIZES[wire]
        else:
            raise ValueError(f"a field of wire type {wire} at byte {at}")
    if at > len(message):
        raise ValueError(f"a field that ends {at - len(message)} bytes after its message")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number written in groups of seven bits, and where it ends."""
    number = 0
    for place in range(MAX_VARINT_BYTES):
        byte = message[at + place]
        number |= (byte & 127) << (7 * place)
        if byte < 128:  # noqa: PLR2004 - the eighth bit says that more follows
            return number, at + place + 1
    raise ValueError(f"a number without end at byte {at}")
