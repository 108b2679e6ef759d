"""10,000 rows of files have the answers of a real service, bit for bit, and of the pipeline."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests import tiny
from tests.services.batch.scoring import predictions, rejected, score
from tests.services.conftest import Service
from tests.services.http_client import ask

pytestmark = pytest.mark.slow
N = 10_000
REQUEST_ROWS = 4_000


def odd_people() -> pd.DataFrame:
    """People with everything that a policy acts on, and rows that are refused."""
    people = tiny.people(N, seed=3).drop(columns=["paid", "value"])
    rng = np.random.default_rng(5)
    people.loc[rng.random(N) < 0.02, "income"] = -7.25
    people.loc[rng.random(N) < 0.02, "income"] = 3.3e7
    people.loc[rng.random(N) < 0.02, "region"] = "mars"
    people.loc[rng.random(N) < 0.02, "lines"] = 4000
    people.loc[rng.random(N) < 0.01, "age"] = 17.999
    return people


@pytest.mark.parametrize("name", ["tiny", "tiny3", "tinypair"])
def test_files_and_http_give_the_same_bits(
    service: Service, models: Path, tmp_path: Path, name: str
) -> None:
    people = odd_people()
    if name != "tiny":
        people["income"] = people["income"].fillna(4e4)
    people.to_parquet(tmp_path / "people.parquet")
    score(models, name, tmp_path / "people.parquet", tmp_path / "out")
    results = []
    for start in range(0, N, REQUEST_ROWS):
        part = people.iloc[start : start + REQUEST_ROWS]
        rows = part.astype(object).where(part.notna(), None).to_dict(orient="records")
        body = json.dumps({"rows": rows}).encode()
        status, answer, _ = ask(service, f"/models/{name}/predict/batch", body)
        assert status == 200, answer
        results += answer["results"]

    scored = predictions(tmp_path / "out").to_pylist()
    good = [result for result in results if "error" not in result]
    assert len(good) == len(scored) > 9_000
    assert [of_http(result) for result in good] == [of_file(row) for row in scored]
    refused = [i for i, result in enumerate(results) if "error" in result]
    assert sorted({row["row"] for row in rejected(tmp_path / "out")}) == refused


def of_http(result: dict[str, Any]) -> tuple[Any, ...]:
    scores = result.get("probabilities") or result["values"]
    return (result["prediction"], *map(bits, scores.values()), *result["flags"])


def of_file(row: dict[str, Any]) -> tuple[Any, ...]:
    scores = [v for k, v in row.items() if k.startswith(("probabilities.", "values."))]
    return (row["prediction"], *map(bits, scores), *row["flags"])


def bits(number: float) -> bytes:
    return struct.pack("<d", number)


@pytest.mark.parametrize("ages", [(40.5, True), (True, 40.5), (40, True), (True, 40)])
def test_a_boolean_among_numbers_is_refused_as_over_http(
    service: Service, models: Path, tmp_path: Path, ages: tuple[Any, Any]
) -> None:
    """JSON's `true` is no number, whichever row comes first."""
    person = {"age": 40, "income": 4e4, "region": "north", "lines": 3, "owner": True, "work": "yes"}
    rows = [person | {"age": age, "income": income} for age in ages for income in (True, 1.5)]
    (tmp_path / "people.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    score(models, "tiny", tmp_path / "people.jsonl", tmp_path / "out")
    body = json.dumps({"rows": rows}).encode()
    status, answer, _ = ask(service, "/models/tiny/predict/batch", body)

    assert status == 200, answer
    good = [i for i, row in enumerate(answer["results"]) if "error" not in row]
    assert len(good) == 1
    scored = predictions(tmp_path / "out").to_pylist()
    assert [of_file(row) for row in scored] == [of_http(answer["results"][i]) for i in good]
    assert sorted({row["row"] for row in rejected(tmp_path / "out")}) == sorted(
        {*range(4)} - {*good}
    )
