"""The new lines of a model's traffic log, as long as its reader can keep up with them."""

from pathlib import Path

NEWLINE = b"\n"
PIECE = 1 << 20


class Tail:
    """Reads what was written since the last time; what was there before the first is past.

    At most `most_bytes` a time: what is more is skipped and counted, the oldest first, because
    who looks on late may look at less, but must not fall behind for ever.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._read_to: dict[Path, int] = {path: path.stat().st_size for path in self._segments()}

    def read(self) -> tuple[list[bytes], int]:
        """Whole lines, segment by segment, and how many were skipped."""
        sizes = {path: path.stat().st_size for path in self._segments()}
        self._read_to = {path: self._read_to.get(path, 0) for path in sizes}
        grown = [path for path, size in sizes.items() if size > self._read_to[path]]
        lines: list[bytes] = []
        skipped = 0
        for path in grown:
            skipped += self._skip(path, sizes[path] - self._most_bytes // len(grown))
            lines += self._whole_lines(path, sizes[path])
        return lines, skipped

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
        """Go on behind the first line that ends after `to`; gives how many lines were skipped."""
        place = self._read_to[path]
        skipped = 0
        if place >= to:
            return 0
        with path.open("rb") as file:
            file.seek(place)
            while place < to:
                piece = file.read(min(PIECE, to - place))
                skipped += piece.count(NEWLINE)
                place += len(piece)
            rest = file.readline()
        self._read_to[path] = place + len(rest)
        return skipped + 1
