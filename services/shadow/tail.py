"""The new lines of a model's traffic log, as long as its reader can keep up with them."""

from pathlib import Path

NEWLINE = b"\n"
LINE_BYTES = 500.0
"""The length of a line before one was read."""


class Tail:
    """Reads what was written since the last time; what was there before the first is past.

    What is more than a reader can look at is skipped, the oldest first, because who looks on
    late may look at less, but must not fall behind for ever. How many lines that were is told
    by their bytes and the length of those that were read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._line_bytes = LINE_BYTES
        self._read_to: dict[Path, int] = {path: path.stat().st_size for path in self._segments()}

    def read(self, most_bytes: int) -> tuple[list[bytes], int]:
        """Whole lines, segment by segment, and about how many were skipped."""
        sizes = {path: path.stat().st_size for path in self._segments()}
        self._read_to = {path: self._read_to.get(path, 0) for path in sizes}
        grown = [path for path, size in sizes.items() if size > self._read_to[path]]
        lines: list[bytes] = []
        skipped_bytes = 0
        for path in grown:
            skipped_bytes += self._skip(path, sizes[path] - most_bytes // len(grown))
            lines += self._whole_lines(path, sizes[path])
        if lines:
            self._line_bytes = sum(map(len, lines)) / len(lines) + len(NEWLINE)
        return lines, round(skipped_bytes / self._line_bytes)

    def _segments(self) -> list[Path]:
        """Today's, and those of the days before that are not compacted yet."""
        return sorted(self._folder.glob("*/*.jsonl"))

    def _whole_lines(self, path: Path, size: int) -> list[bytes]:
        begin = self._read_to[path]
        with path.open("rb") as file:
            file.seek(begin)
            data = file.read(size - begin)
        # A line without an end is being written.
        whole = data.rfind(NEWLINE) + 1
        self._read_to[path] = begin + whole
        return data[:whole].splitlines()

    def _skip(self, path: Path, to: int) -> int:
        """Go on behind the first line that ends after `to`; gives how many bytes were skipped.

        They are not read: what a service wrote a while ago is not in memory any more, and
        fetching it from the disk would be in the way of what it writes now.
        """
        begin = self._read_to[path]
        if begin >= to:
            return 0
        with path.open("rb") as file:
            file.seek(to)
            file.readline()
            self._read_to[path] = file.tell()
        return self._read_to[path] - begin
