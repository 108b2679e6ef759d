"""New lines of a model's traffic log; a reader that falls behind skips the oldest."""

from pathlib import Path

INITIAL_LINE_BYTES = 500.0
"""The assumed length of a line before any was read."""


class Tail:
    """Reads lines appended since the last read; starts at the end of each existing file.

    When the reader falls behind, the oldest bytes are skipped, so that it never lags without
    bound. The number of skipped lines is estimated from their bytes and the mean line length.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._line_bytes = INITIAL_LINE_BYTES
        self._read_to: dict[Path, int] = {path: path.stat().st_size for path in self._log_files()}

    def read(self, max_bytes: int) -> tuple[list[bytes], int]:
        """Whole lines, file by file, and about how many were skipped."""
        sizes = {path: path.stat().st_size for path in self._log_files()}
        # A failed write is undone: the file may be shorter than it was.
        self._read_to = {path: min(self._read_to.get(path, 0), sizes[path]) for path in sizes}
        grown = [path for path, size in sizes.items() if size > self._read_to[path]]
        lines: list[bytes] = []
        skipped_bytes = 0
        for path in grown:
            skipped_bytes += self._skip(path, sizes[path] - max_bytes // len(grown))
            lines += self._whole_lines(path, sizes[path])
        if lines:
            self._line_bytes = sum(map(len, lines)) / len(lines) + 1
        return lines, round(skipped_bytes / self._line_bytes)

    def _log_files(self) -> list[Path]:
        """Today's files, and those of earlier days that are not compacted yet."""
        return sorted(self._folder.glob("*/*.jsonl"))

    def _whole_lines(self, path: Path, size: int) -> list[bytes]:
        begin = self._read_to[path]
        with path.open("rb") as file:
            file.seek(begin)
            data = file.read(size - begin)
        # A line without a newline is still being written.
        whole = data.rfind(b"\n") + 1
        self._read_to[path] = begin + whole
        return data[:whole].splitlines()

    def _skip(self, path: Path, to: int) -> int:
        """Continue after the first line that ends beyond `to`; returns the bytes skipped.

        They are not read: older parts of the log have left the page cache, and reading them
        from disk would compete with the service's own writes.
        """
        begin = self._read_to[path]
        if begin >= to:
            return 0
        with path.open("rb") as file:
            file.seek(to)
            file.readline()
            self._read_to[path] = file.tell()
        return self._read_to[path] - begin
