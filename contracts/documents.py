"""Versioned documents: strict when we write, tolerant when we read.

Rules for change, which keep the golden files in `tests/contracts/golden` readable: a new field
has a default; a field never changes its meaning or type; the name of a removed field is never
used again; `document_version` rises only when an old reader would be misled. An attribute may
be renamed if `msgspec.field(name=...)` keeps the field's name in JSON.
"""

import re
from typing import ClassVar, Self

import msgspec

from contracts.errors import InvalidDocument

_WORD = re.compile(r"[A-Z][a-z0-9]*")


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """The base class of everything that crosses a process border as JSON."""

    VERSION: ClassVar[int] = 1
    document_version: int = 1

    @classmethod
    def read(cls, data: bytes, source: str = "") -> Self:
        """The document in `data`; fields that this version does not know are ignored.

        `source`, such as a path, is named in errors.

        Raises:
            InvalidDocument: not JSON, a field is missing or has the wrong type, or the document
                is of a newer version than this code.

        """
        kind = " ".join(_WORD.findall(cls.__name__)).lower()
        source = source or kind
        try:
            document = msgspec.json.decode(data, type=cls)
        except msgspec.DecodeError as err:
            raise InvalidDocument(
                f"{source}: expected a {kind} document, got {err}",
                remedy="the file was cut, edited or written by something else; fetch it again",
            ) from err
        if document.document_version > cls.VERSION:
            raise InvalidDocument(
                f"{source}: expected document_version up to {cls.VERSION}, "
                f"got {document.document_version}",
                remedy="upgrade this installation of Slipway",
            )
        return document

    def write(self) -> bytes:
        """This document as JSON bytes, which have been read back.

        Raises:
            InvalidDocument: a value does not have the type that its field declares.

        """
        data = msgspec.json.encode(self)
        type(self).read(data, f"{type(self).__name__} to be written")
        return data

    def write_pretty(self) -> bytes:
        """`write` for files: indented by two spaces, with a final newline."""
        return msgspec.json.format(self.write(), indent=2) + b"\n"
