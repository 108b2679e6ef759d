"""The reader of the log gets each line once and whole, however the log is written and cut."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from services.shadow.log_entry import parse_entry
from services.shadow.tail import Tail

LINES = st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"").replace(b"\r", b"")))


def is_line(text: bytes) -> bool:
    """Whether `bytes.splitlines` leaves the text whole."""
    return len(text.splitlines()) == 1


@given(LINES.map(lambda lines: [x for x in lines if is_line(x)]), st.lists(st.integers(1, 9)))
def test_every_line_is_seen_once_however_it_is_cut(lines: list[bytes], cuts: list[int]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "2026-01-31", "a.jsonl")
        path.parent.mkdir()
        path.write_bytes(b"before\n")
        tail = Tail(Path(folder))
        data = b"".join(line + b"\n" for line in lines)
        seen: list[bytes] = []
        with path.open("ab", buffering=0) as file:
            for cut in [*cuts, len(data)]:
                file.write(data[:cut])
                data = data[cut:]
                found, skipped = tail.read(1 << 20)
                assert skipped == 0
                seen += found

    assert seen == lines


def test_a_new_log_file_is_read_from_its_beginning(tmp_path: Path) -> None:
    day = tmp_path / "2026-01-31"
    day.mkdir()
    (day / "a.jsonl").write_bytes(b"past\n")
    tail = Tail(tmp_path)
    (day / "b.jsonl").write_bytes(b"one\ntwo\nhal")

    assert tail.read(1 << 20) == ([b"one", b"two"], 0)
    (day / "b.jsonl").write_bytes(b"one\ntwo\nhalf\n")
    assert tail.read(1 << 20) == ([b"half"], 0)
    (day / "a.jsonl").unlink()
    assert tail.read(1 << 20) == ([], 0)


@given(st.integers(1, 400), st.integers(10, 200))
def test_a_late_reader_skips_the_oldest_lines_and_counts_them(lines: int, max_bytes: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "2026-01-31", "a.jsonl")
        path.parent.mkdir()
        tail = Tail(Path(folder))
        texts = [b"%04d" % number for number in range(lines)]
        path.write_bytes(b"".join(text + b"\n" for text in texts))
        found, skipped = tail.read(max_bytes)

        assert skipped + len(found) == lines
        assert found == texts[skipped:]
        assert sum(len(line) + 1 for line in found) <= max(max_bytes, 5)
        assert tail.read(max_bytes) == ([], 0)


@given(st.binary(max_size=80))
def test_a_torn_line_is_no_entry(text: bytes) -> None:
    assert parse_entry(text) is None
