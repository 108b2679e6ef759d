"""Versioned documents: strict when we write, tolerant when we read.

Rules for change (they hold the golden files in `tests/contracts/golden` readable): a new
field has a default; a field never changes its meaning or type; a removed field's name is
never used again; `document_version` rises only when an old reader would be misled.
"""

from typing import ClassVar, Self

import msgspec

from contracts.errors import InvalidDocument


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """The base of everything that crosses a process border as JSON."""

    VERSION: ClassVar[int] = 1
    document_version: int = 1

    @classmethod
    def read(cls, data: bytes, source: str = "") -> Self:
        """The document in `data`; fields that this version does not know are ignored.

        Raises:
            InvalidDocument: not JSON, a field missing or of the wrong type, or a version
                newer than this code; `source` (a path) is named in the message.

        """
        place = source or cls.__name__.lower()
        try:
            document = msgspec.json.decode(data, type=cls)
        except msgspec.DecodeError as err:
            raise InvalidDocument(
                f"{place}: expected a {cls.__name__.lower()} document, got {err}",
                remedy="it was cut, edited or written by something else; fetch it again",
            ) from err
        if document.document_version > cls.VERSION:
            raise InvalidDocument(
                f"{place}: expected document_version up to {cls.VERSION}, "
                f"got {document.document_version}",
                remedy="upgrade this installation of Slipway",
            )
        return document

    def write(self) -> bytes:
        """This document as JSON bytes.

        Raises:
            InvalidDocument: a value has not the type its field declares.

        """
        data = msgspec.json.encode(self)
        type(self).read(data, f"{type(self).__name__.lower()} to be written")
        return data

    def write_pretty(self) -> bytes:
        """The same bytes indented by two spaces with a final newline, for files."""
        return msgspec.json.format(self.write(), indent=2) + b"\n"
