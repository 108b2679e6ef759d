"""Files are scored: every format, every kind of model, bad rows, names, partitions."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from contracts.errors import (
    InvalidData,
    InvalidUsage,
    NotFoundHere,
    PlatformError,
    TooManyRejected,
)
from contracts.files import try_lock
from contracts.schema import Schema, number
from services.batch.file_batches import WantedColumns
from services.batch.input_files import input_files
from services.batch.readers import read_file
from services.batch.storage import open_storage
from tests import tiny
from tests.services.batch.scoring import N, predictions, rejected, score, table

BAD = {
    5: ("age", "a number 18..100 [years]", "200.0"),
    9: ("work", "one of 'yes', 'no'", '"maybe"'),
}
FLAGS = {7: ["clipped:income"], 11: ["unseen:region"], 12: ["out_of_range:lines"]}


def test_every_format_gives_the_same_predictions(
    models: Path, inputs: Path, tmp_path: Path
) -> None:
    done = score(models, "tiny", inputs, tmp_path / "out", keep=("id",))

    assert (done.files, done.rows, done.rejected) == (3, 3 * N, 6)
    tables = [
        pq.read_table(path, partitioning=None)
        for path in sorted((tmp_path / "out" / "predictions").iterdir())
    ]
    rows = [
        [
            {k: v for k, v in row.items() if k not in ("id", "prediction_id")}
            for row in t.to_pylist()
        ]
        for t in tables
    ]
    assert rows[0] == rows[1] == rows[2]
    assert [int(i) for i in tables[1]["id"].to_pylist()] == tables[0]["id"].to_pylist()
    kept = dict(zip(tables[0]["id"].to_pylist(), rows[0], strict=True))
    assert set(range(N)) - set(kept) == set(BAD)
    assert {i: row["flags"] for i, row in kept.items() if row["flags"]} == FLAGS
    assert list(rows[0][0]) == [
        "prediction", "probabilities.no", "probabilities.yes", "flags", "version",
    ]  # fmt: skip
    ids = [i for t in tables for i in t["prediction_id"].to_pylist()]
    assert len(set(ids)) == len(ids) == 3 * (N - 2)


def test_a_bad_row_is_reported_with_its_file_row_path_and_value(
    models: Path, inputs: Path, tmp_path: Path
) -> None:
    score(models, "tiny", inputs, tmp_path / "out")

    found = rejected(tmp_path / "out")
    assert found == [
        {"file": file, "row": row, "path": path, "expected": expected, "got": got}
        for file in ("a.parquet", "b.csv", "c.jsonl")
        for row, (path, expected, got) in BAD.items()
    ]


@pytest.mark.parametrize("name", ["tiny3", "tinypair", "tinyvalue"])
def test_every_task_has_its_columns(models: Path, tmp_path: Path, name: str) -> None:
    tiny.whole_people(50).to_parquet(tmp_path / "people.parquet")
    score(models, name, tmp_path / "people.parquet", tmp_path / "out")

    (row, *_), names = predictions(tmp_path / "out").to_pylist(), predictions(tmp_path / "out")
    if name == "tiny3":
        scores = {k: v for k, v in row.items() if k.startswith("probabilities.")}
        assert sorted(scores) == [f"probabilities.{c}" for c in ("north", "south", "west")]
        assert row["prediction"] == max(scores, key=lambda k: scores[k]).removeprefix(
            "probabilities."
        )
    else:
        values = [c for c in names.column_names if c.startswith("values.")]
        assert len(values) == (2 if name == "tinypair" else 1)
        assert row["prediction"] == row[values[0]]
    assert row.get("output_unit") == ("EUR" if name == "tinyvalue" else None)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "csv.gz", "csv.bz2", "jsonl.zst"])
def test_predictions_are_written_as_csv_or_json_lines(
    models: Path, inputs: Path, tmp_path: Path, kind: str
) -> None:
    target = tmp_path / f"scored.{kind}"
    score(models, "tiny", inputs / "a.parquet", target, keep=("id",))
    score(models, "tiny", inputs / "a.parquet", tmp_path / "out", keep=("id",))

    wanted = predictions(tmp_path / "out").to_pylist()
    packing = {"gz": "gzip", "bz2": "bz2", "zst": "zstd"}.get(kind.rpartition(".")[2])
    with pa.input_stream(str(target), compression=packing) as stream:
        text = stream.read().decode()
    if kind.startswith("csv"):
        rows: list[Any] = list(csv.DictReader(io.StringIO(text, newline="")))
        for row, want in zip(rows, wanted, strict=True):
            assert float(row["probabilities.yes"]) == want["probabilities.yes"]
            assert row["flags"] == ",".join(want["flags"])
    else:
        rows = [json.loads(line) for line in text.splitlines()]
        for row, want in zip(rows, wanted, strict=True):
            assert row["probabilities"]["yes"] == want["probabilities.yes"]
            assert row["flags"] == want["flags"]
    assert [(int(r["id"]), r["prediction_id"]) for r in rows] == [
        (w["id"], w["prediction_id"]) for w in wanted
    ]
    assert (tmp_path / f"scored.{kind}.details" / "rejected" / "a.parquet.jsonl").is_file()


def test_folders_named_like_a_column_are_that_column(models: Path, tmp_path: Path) -> None:
    people = table().dropna(subset=["region"])
    ds.write_dataset(
        pa.Table.from_pandas(people, preserve_index=False), tmp_path / "in", format="parquet",
        partitioning=["region"], partitioning_flavor="hive",
    )  # fmt: skip
    (tmp_path / "in" / "_SUCCESS").touch()
    score(models, "tiny", tmp_path / "in", tmp_path / "out", keep=("id", "region"))
    people.to_parquet(tmp_path / "whole.parquet")
    score(models, "tiny", tmp_path / "whole.parquet", tmp_path / "whole", keep=("id", "region"))

    def by_id(folder: Path) -> dict[int, Any]:
        return {
            row["id"]: (row["region"], row["probabilities.yes"], row["flags"])
            for row in predictions(folder).to_pylist()
        }

    assert by_id(tmp_path / "out") == by_id(tmp_path / "whole")
    assert (tmp_path / "out" / "predictions" / "region=mars").is_dir()


def test_lines_that_are_no_rows_are_rejected_and_harm_no_other(
    models: Path, tmp_path: Path
) -> None:
    good = table().iloc[[0, 1, 2]]
    text = good.to_csv(index=False)
    head, *lines = text.splitlines()
    broken = [lines[0], "1,2", lines[1], lines[2].replace("yes", "\udcff").replace("no", "\udcff")]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_bytes(
        "\n".join([head, *broken, ""]).encode("utf-8", "surrogateescape")
    )
    objects = good.to_json(orient="records", lines=True).splitlines()
    twice = objects[1][:-1] + ',"age":3}'
    jsonl = "\n".join([objects[0], "[1]", "", twice, "{nonsense", objects[2]])
    (tmp_path / "in" / "b.jsonl.gz").write_bytes(gzip.compress(jsonl.encode()))
    done = score(models, "tiny", tmp_path / "in", tmp_path / "out", keep=("id",))

    assert (done.rows, done.rejected) == (9, 5)
    assert predictions(tmp_path / "out")["id"].to_pylist() == ["0", "1", "0", "2"]
    assert [
        (r["file"], r["row"], r["path"], r["expected"]) for r in rejected(tmp_path / "out")
    ] == [
        ("a.csv", 1, "", "7 values, as the first line has"),
        ("a.csv", 3, "", "text in UTF-8"),
        ("b.jsonl.gz", 1, "", "an object of features on one line"),
        ("b.jsonl.gz", 2, "age", "each key once"),
        ("b.jsonl.gz", 3, "", "an object of features on one line"),
    ]


def test_values_within_quotes_may_have_line_ends_wherever_a_block_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"note": f'a\n"{i}",\r\nb', "age": 20 + i % 70} for i in range(200)]
    frame = pd.DataFrame(rows)
    frame.to_csv(tmp_path / "a.csv", index=False)
    monkeypatch.setattr("services.batch.text_blocks.TEXT_BLOCK_BYTES", 97)
    storage = open_storage(str(tmp_path))
    (file,) = input_files(storage, "")
    wanted = WantedColumns(Schema(features=(number("age"),)), ("note",))
    found = list(read_file(storage, file, wanted))

    assert len(found) > 5
    assert [n for b in found for n in b.batch["kept:note"].to_pylist()] == [r["note"] for r in rows]
    assert np.concatenate([b.rows for b in found]).tolist() == list(range(200))


def test_a_file_without_rows_has_predictions_without_rows(models: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    table().head(0).to_parquet(tmp_path / "in" / "a.parquet")
    table().head(0).to_csv(tmp_path / "in" / "b.csv", index=False)
    (tmp_path / "in" / "c.jsonl").touch()
    done = score(models, "tiny", tmp_path / "in", tmp_path / "out", keep=("id",))

    assert (done.files, done.rows) == (3, 0)
    for path in (tmp_path / "out" / "predictions").iterdir():
        assert pq.read_table(path, partitioning=None).num_rows == 0
    assert len(list((tmp_path / "out" / "predictions").iterdir())) == 3


def test_what_is_wrong_with_a_file_or_an_output_is_said(
    models: Path, inputs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(NotFoundHere, match="expected a file or a folder"):
        score(models, "tiny", tmp_path / "none", out)
    with pytest.raises(InvalidUsage, match="expected a folder for the 3 files"):
        score(models, "tiny", inputs, tmp_path / "out.csv")
    with pytest.raises(InvalidData, match=r"column 'x': expected it, since it is kept"):
        score(models, "tiny", inputs, tmp_path / "kept", keep=("x",))
    with pytest.raises(InvalidUsage, match="prediction"):
        score(models, "tiny", inputs, tmp_path / "kept2", keep=("prediction",))
    with pytest.raises(InvalidUsage, match="within the input"):
        score(models, "tiny", inputs, inputs / "out")
    (inputs / "d.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(InvalidData, match=r"d\.parquet: expected a parquet file"):
        score(models, "tiny", inputs, out)
    (inputs / "d.parquet").rename(inputs / "d.xlsx")
    with pytest.raises(InvalidData, match=r"d\.xlsx: expected a file named"):
        score(models, "tiny", inputs, out)
    (tmp_path / "f.csv").write_text(table().to_csv(index=False) + "x" * 140_000)
    with pytest.raises(InvalidData, match=r"f\.csv: expected a csv file, got field larger"):
        score(models, "tiny", tmp_path / "f.csv", tmp_path / "f")
    table().drop(columns="work").to_csv(tmp_path / "e.csv")
    with pytest.raises(InvalidData, match=r"e\.csv: column 'work': expected one of 'yes', 'no'"):
        score(models, "tiny", tmp_path / "e.csv", tmp_path / "e")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(InvalidUsage, match=r"thesis\.txt"):
        score(models, "tiny", inputs / "a.parquet", tmp_path / "mine", overwrite=True)


def test_too_many_rejected_rows_stop_the_run_before_their_file_is_finished(
    models: Path, inputs: Path, tmp_path: Path
) -> None:
    source = inputs / "a.parquet"
    score(models, "tiny", source, tmp_path / "enough", max_rejected=0.01)
    with pytest.raises(TooManyRejected, match="got 2 of 300"):
        score(models, "tiny", source, tmp_path / "out", max_rejected=0.006)

    assert not list((tmp_path / "out").rglob("*.parquet"))
    assert not list((tmp_path / "out").rglob(".incoming*"))


def test_a_run_goes_on_where_it_stopped_and_refuses_another_input(
    models: Path, inputs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    hidden = inputs / "_b.csv"
    (inputs / "b.csv").rename(hidden)
    first = score(models, "tiny", inputs, out)
    written = {path: path.stat().st_mtime_ns for path in (out / "predictions").iterdir()}
    hidden.rename(inputs / "b.csv")
    second = score(models, "tiny", inputs, out)

    assert (first.files, second.files) == (2, 3)
    assert first.started_at == second.started_at
    assert {p: p.stat().st_mtime_ns for p in (out / "predictions").iterdir() if p in written} == (
        written
    )
    with pytest.raises(InvalidUsage, match="expected predictions of input"):
        score(models, "tiny", inputs / "a.parquet", out)
    with pytest.raises(InvalidUsage, match="expected predictions of model 'tiny3'"):
        score(models, "tiny3", inputs, out)
    table().head(10).to_csv(inputs / "b.csv", index=False)
    with pytest.raises(InvalidData, match="has changed since it was scored"):
        score(models, "tiny", inputs, out)
    again = score(models, "tiny", inputs, out, overwrite=True)
    assert again.rows == 2 * N + 10
    with try_lock(out / ".lock"), pytest.raises(PlatformError, match="another run is writing"):
        score(models, "tiny", inputs, out)
