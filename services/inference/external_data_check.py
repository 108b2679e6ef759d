"""Finds external data in an ONNX file before onnxruntime opens it.

A tensor of an ONNX graph may be stored in another file, named by a path. That file was never
verified, and the path may name any file of this machine. The model is a protocol buffer; only the
fields on the way to such paths are read (onnx.proto, github.com/onnx/onnx).
"""

from collections.abc import Iterator
from pathlib import Path

from contracts.errors import CorruptModel

KEY = b"location"
"""The key of the path in a tensor's external data; a file without this word has none."""
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
"""Per message type, the numbers of the fields that may contain a tensor."""
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types (protobuf.dev/programming-guides/encoding)."""
SIZES = {FIXED64: 8, FIXED32: 4}
MAX_VARINT_BYTES = 10
"""Length of the longest varint."""


def external_file(model: bytes, path: Path) -> str | None:
    """The path of a file that a graph refers to; None if it contains all of its numbers.

    Raises:
        CorruptModel: the model is not a protocol buffer.

    """
    if KEY not in model:
        return None
    try:
        return next(_locations(memoryview(model)), None)
    except (IndexError, ValueError) as err:
        raise CorruptModel(
            f"{path}: expected an ONNX model, got bytes that are none ({err})",
            remedy="train the version again",
        ) from err


def _locations(model: memoryview) -> Iterator[str]:
    waiting = [("model", model)]
    while waiting:
        kind, message = waiting.pop()
        if kind == "entry":
            texts = {number: bytes(data) for number, data in fields_of(message)}
            if texts.get(1) == KEY:
                yield texts.get(2, b"").decode(errors="replace")
            continue
        inside = INSIDE[kind]
        waiting += [(inside[n], data) for n, data in fields_of(message) if n in inside]


def fields_of(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of the fields that contain bytes; skips all other fields."""
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
    """A number in groups of seven bits, and the index after it."""
    number = 0
    for offset in range(MAX_VARINT_BYTES):
        byte = message[at + offset]
        number |= (byte & 127) << (7 * offset)
        if byte < 128:  # noqa: PLR2004 - the eighth bit means that more bytes follow
            return number, at + offset + 1
    raise ValueError(f"a number without end at byte {at}")
