"""Text files in blocks of whole lines, in bounded memory, unpacked where they are compressed."""

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from contracts.errors import InvalidData
from services.batch.input_files import InputFile, compression_of
from services.batch.storage import Storage

TEXT_BLOCK_BYTES = 4_194_304
MAX_RECORD_BYTES = 67_108_864
"""A longer line, or quoted text that does not end, is no row."""
BOM = b"\xef\xbb\xbf"


class LineStream:
    """The blocks of a file, each of whole lines; `done` is the share of the file that is read.

    With a `quote`, a line end between quotes belongs to a value, as in CSV.
    """

    def __init__(self, storage: Storage, file: InputFile, quote: bytes = b"") -> None:
        self._file = file
        self._quote = quote
        self._raw = storage.filesystem.open_input_file(file.location)
        self._stream: Any = self._raw
        compression = compression_of(file.path)
        if compression:
            self._stream = pa.CompressedInputStream(self._raw, compression)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()
        self._raw.close()

    @property
    def done(self) -> float:
        """The share of the file's bytes that were read, from 0 to 1."""
        if self._raw.closed or not self._file.size_bytes:
            return 1.0
        return min(1.0, float(self._raw.tell()) / self._file.size_bytes)

    def __iter__(self) -> Iterator[bytes]:
        rest, is_first = b"", True
        while data := self._stream.read(TEXT_BLOCK_BYTES):
            if is_first:
                data, is_first = data.removeprefix(BOM), False
            rest += data
            cut = self._last_end(rest)
            if cut:
                yield rest[:cut]
                rest = rest[cut:]
            elif len(rest) > MAX_RECORD_BYTES:
                raise InvalidData(
                    f"{self._file.location}: expected lines of at most {MAX_RECORD_BYTES} bytes, "
                    "got a longer one",
                    remedy="check the line ends, and the quotes of a CSV file",
                )
        if rest:
            yield rest

    def _last_end(self, data: bytes) -> int:
        """The byte behind the last line end outside quotes; 0 if there is none."""
        cut = data.rfind(b"\n") + 1
        if not self._quote or not cut:
            return cut
        n_quotes = data.count(self._quote, 0, cut)
        while cut and n_quotes % 2:
            before = data.rfind(b"\n", 0, cut - 1) + 1
            n_quotes -= data.count(self._quote, before, cut)
            cut = before
        return cut


def first_record_end(block: bytes, quote: bytes) -> int:
    """The byte behind the first line of a block, whose quoted values may have line ends."""
    end, n_quotes = 0, 0
    while True:
        found = block.find(b"\n", end) + 1
        stop = found or len(block)
        n_quotes += block.count(quote, end, stop)
        end = stop
        if n_quotes % 2 == 0 or not found:
            return end
