"""Damaged, odd and vanished files: each ends a run with an error that names it, or is scored."""

import gzip
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.errors import InvalidData, InvalidUsage, PlatformError, TooManyRejected
from services.batch import output, run
from tests.services.batch.scoring import N, score, table

N_DAMAGES = 12
"""Damages per format; hundreds of each were tried when this test was written."""


def parquet_bytes() -> bytes:
    stream = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pandas(table().head(40)), stream)
    return stream.getvalue().to_pybytes()


def csv_bytes() -> bytes:
    return table().head(40).to_csv(index=False).encode()


def jsonl_bytes() -> bytes:
    text: str = table().head(40).to_json(orient="records", lines=True)
    return text.encode()


WHOLE: dict[str, Callable[[], bytes]] = {
    "a.parquet": parquet_bytes,
    "a.csv": csv_bytes,
    "a.csv.gz": lambda: gzip.compress(csv_bytes(), mtime=0),
    "a.csv.bz2": lambda: _streamed("bz2", csv_bytes()),
    "a.jsonl": jsonl_bytes,
    "a.jsonl.zst": lambda: _streamed("zstd", jsonl_bytes()),
}


def _streamed(compression: str, data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, compression) as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


def damaged(whole: bytes, rng: random.Random) -> bytes:
    """A file cut, with some bytes changed, doubled, zeroed, or in another encoding."""
    data = bytearray(whole)
    kind = rng.randrange(6)
    if kind == 0:
        return bytes(data[: rng.randrange(len(data))])
    if kind == 1:
        for _ in range(rng.randint(1, 8)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return bytes(data)
    if kind == 2:
        place = rng.randrange(len(data))
        return bytes(data[:place] + data[max(0, place - 50) :])
    if kind == 3:
        place = rng.randrange(len(data))
        data[place : place + 64] = bytes(min(64, len(data) - place))
        return bytes(data)
    if kind == 4:
        # The last kilobyte has the metadata of a Parquet file.
        for _ in range(rng.randint(1, 4)):
            data[-rng.randint(1, min(1000, len(data)))] ^= 1 << rng.randrange(8)
        return bytes(data)
    return whole.decode("latin-1").encode(rng.choice(["utf-16", "utf-16-le", "utf-32", "utf-8"]))


@pytest.mark.parametrize("name", WHOLE)
def test_a_damaged_file_is_scored_or_named_in_an_error(
    models: Path, tmp_path: Path, name: str
) -> None:
    rng = random.Random(name)
    errors: list[tuple[Path, PlatformError]] = []
    whole = WHOLE[name]()
    for number in range(N_DAMAGES):
        source = tmp_path / f"{number}" / name
        source.parent.mkdir()
        source.write_bytes(damaged(whole, rng))
        share = rng.choice([None, 0.5])
        try:
            score(models, "tiny", source, tmp_path / f"out{number}", max_rejected=share)
        except TooManyRejected:
            pass
        except PlatformError as err:
            errors.append((source, err))

    # A damaged line of JSON lines is a rejected row.
    assert errors or name == "a.jsonl"
    assert all(str(source) in err.what and err.remedy for source, err in errors)


@pytest.mark.parametrize("data", [b"", b"PAR1PAR1", b"PAR1" + bytes(40) + b"PAR1", b"\n", b"\0"])
@pytest.mark.parametrize("share", [None, 0.1])
def test_a_parquet_file_without_a_table_is_refused(
    models: Path, tmp_path: Path, data: bytes, share: float | None
) -> None:
    source = tmp_path / "a.parquet"
    source.write_bytes(data)
    with pytest.raises(InvalidData, match=r"a\.parquet: expected a parquet file"):
        score(models, "tiny", source, tmp_path / "out", max_rejected=share)


@pytest.mark.parametrize("end", ["\r", "\r\r"])
def test_a_csv_file_with_bare_cr_is_refused(models: Path, tmp_path: Path, end: str) -> None:
    source = tmp_path / "a.csv"
    source.write_bytes(table().to_csv(index=False, lineterminator=end).encode())
    with pytest.raises(InvalidData, match="expected lines that end with LF or CRLF") as caught:
        score(models, "tiny", source, tmp_path / "out")
    assert caught.value.remedy.startswith("tr ")

    source.write_bytes(table().to_csv(index=False, lineterminator="\r\n").encode())
    assert score(models, "tiny", source, tmp_path / "crlf").rows == N


def test_a_kept_column_that_is_there_twice_is_refused(models: Path, tmp_path: Path) -> None:
    text = table().rename(columns={"id": "key"}).to_csv().replace("key", "id", 1)
    (tmp_path / "a.csv").write_text("id" + text)
    frame = pa.Table.from_pandas(table())
    twice = frame.append_column("id", pa.array(np.arange(N)))
    pq.write_table(twice, tmp_path / "b.parquet")
    for name in ("a.csv", "b.parquet"):
        with pytest.raises(InvalidData, match="column 'id': expected it once, since it is kept"):
            score(models, "tiny", tmp_path / name, tmp_path / "out", keep=("id",))
        assert score(models, "tiny", tmp_path / name, tmp_path / name[0]).rows == N


def test_a_file_that_is_removed_during_the_run_is_named(
    models: Path, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = output.begin_output

    def begin_and_remove(*args: object, **options: object) -> object:
        (inputs / "b.csv").unlink(missing_ok=True)
        return begin(*args, **options)  # type: ignore[arg-type]  # the arguments of the original

    monkeypatch.setattr(run, "begin_output", begin_and_remove)
    with pytest.raises(InvalidData, match=r"b\.csv: it was removed after"):
        score(models, "tiny", inputs, tmp_path / "out")
    assert score(models, "tiny", inputs, tmp_path / "out").rows == 2 * N


def test_pipes_folders_and_forbidden_files_are_refused(models: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(InvalidData, match="expected a file or a folder, got a pipe"):
        score(models, "tiny", tmp_path / "pipe.csv", tmp_path / "out")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(PlatformError, match="expected a file or a folder, got nothing"):
        score(models, "tiny", tmp_path / "folder.csv", tmp_path / "out")
    table().to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(PlatformError) as caught:
        score(models, "tiny", tmp_path / "a.csv", tmp_path / "folder.csv")
    assert "folder.csv" in caught.value.what
    (tmp_path / "a.csv").chmod(0)
    if not os.access(tmp_path / "a.csv", os.R_OK):
        with pytest.raises(PlatformError, match=r"a\.csv: expected to be read"):
            score(models, "tiny", tmp_path / "a.csv", tmp_path / "out")


@pytest.mark.parametrize(
    ("names", "format_"),
    [
        (("a.csv", "a.csv.parquet"), "parquet"),
        (("a.csv", "a.csv.jsonl"), "parquet"),
        (("a.jsonl", "a.jsonl.csv"), "csv"),
        (("a.csv", "a.csv.parquet/b.csv"), "parquet"),
    ],
    ids=["predictions", "rejected", "csv", "folder"],
)
def test_two_files_whose_outputs_have_one_name_are_refused_before_anything_is_written(
    models: Path, tmp_path: Path, names: Sequence[str], format_: str
) -> None:
    for name in names:
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with pytest.raises(InvalidUsage, match="expected outputs of different names"):
        score(models, "tiny", tmp_path / "in", tmp_path / "out", format=format_)

    assert not (tmp_path / "out").exists()
