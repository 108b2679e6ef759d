"""Files as input: below one folder, in four formats, and nothing else."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.faults import Fault
from services.jobs.input_files import file_rows, referenced_file, referenced_path
from services.jobs.inputs import JobRows
from tests import tiny
from tests.services.jobs.client import people

FEATURES = {feature.name: feature for feature in tiny.SCHEMA.features}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.json").write_text('{"rows": [{}]}')
    inputs = tmp_path / "inputs"
    (inputs / "day").mkdir(parents=True)
    (inputs / "day" / "good.json").write_text('{"rows": [{}]}')
    (inputs / "link.json").symlink_to(tmp_path / "secret.json")
    (inputs / "loop.json").symlink_to(inputs / "loop.json")
    (inputs / "program.py").write_text("")
    return inputs


def test_a_file_below_the_folder_is_found(folder: Path) -> None:
    assert referenced_file(str(folder), "day/good.json") == folder / "day" / "good.json"
    assert referenced_file(str(folder), "day/../day/./good.json").name == "good.json"
    assert referenced_path(b'{"input": "day/good.json"}') == "day/good.json"
    assert referenced_path(b'{"input": "x", "rows": []}') is None


@pytest.mark.parametrize(
    "name",
    ["../secret.json", "link.json", "loop.json", "program.py", "day", "none.json", "", "\0.json",
     "day/../../secret.json", "x" * 5000 + ".json", "/etc/passwd"],
    ids=range(11),
)  # fmt: skip
def test_whatever_else_is_refused_with_one_message(folder: Path, name: str) -> None:
    with pytest.raises(Fault, match="a file below the folder of inputs"):
        referenced_file(str(folder), name)
    with pytest.raises(Fault, match="a file below the folder of inputs"):
        referenced_file(str(folder), str(folder / "day" / "good.json"))


def test_without_a_folder_no_file_is_read() -> None:
    with pytest.raises(Fault, match="SLIPWAY_SERVICE_JOBS_INPUT_FOLDER is not set"):
        referenced_file("", "x.json")


def bodies(rows: JobRows) -> list[object]:
    (_, body), *_ = rows.chunks(0, 100)
    return list(json.loads(body)["rows"])


def test_every_format_gives_the_same_rows(tmp_path: Path) -> None:
    rows = people(20)
    paths = {suffix: tmp_path / f"rows{suffix}" for suffix in (".json", ".jsonl", ".parquet")}
    paths[".json"].write_text(json.dumps({"rows": rows}))
    paths[".jsonl"].write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), paths[".parquet"])

    for path in paths.values():
        found, digest = file_rows(path, FEATURES, 100)
        assert (bodies(found), found.n_rows, len(digest)) == (rows, 20, 64)


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("x.jsonl", b'{"a": 1}\n{"a": ', "invalid_json"),
        ("x.jsonl", b"\xff\n", "invalid_json"),
        ("x.json", b"[1]", "invalid_request"),
        ("x.csv", b'a\n"', "invalid_csv"),
        ("x.parquet", b"no parquet", "invalid_request"),
        ("x.jsonl", b"", "invalid_request"),
        ("x.jsonl", b"{}\n" * 101, "body_too_large"),
    ],
    ids=range(7),
)
def test_a_file_that_cannot_be_read_says_why(
    tmp_path: Path, name: str, data: bytes, code: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(Fault) as caught:
        file_rows(tmp_path / name, FEATURES, 100)

    assert caught.value.code == code


def test_rows_are_counted_before_they_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "many.parquet"
    pq.write_table(pa.table({"age": pa.array([40.0] * 101)}), path)
    monkeypatch.setattr(
        "services.jobs.input_files.row_text", lambda _: pytest.fail("a row was made")
    )
    with pytest.raises(Fault) as caught:
        file_rows(path, FEATURES, 100)
    assert caught.value.code == "body_too_large"

    lines = tmp_path / "many.jsonl"
    lines.write_bytes(b"0\n" * 101)
    with pytest.raises(Fault) as caught:
        file_rows(lines, FEATURES, 100)
    assert caught.value.code == "body_too_large"


def test_infinity_stays_a_number_that_the_schema_refuses(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"income": [float("inf"), 1.0]}), path)
    rows, _ = file_rows(path, FEATURES, 100)
    (_, body), *_ = rows.chunks(0, 100)

    assert body == b'{"rows":[{"income":1e999},{"income":1.0}]}'
