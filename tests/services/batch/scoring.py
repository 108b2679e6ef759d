"""Scoring files in tests: the served version of a model, and what a run wrote."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from contracts.manifest import Pointer
from contracts.names import Layout
from contracts.scored_output import ScoredOutput
from services.batch.progress import ScoringProgress
from services.batch.run import ScoringOptions, score_files
from tests import tiny

N = 300


def table() -> pd.DataFrame:
    """People of whom two are refused, one is clipped, one unseen and one out of range."""
    people = tiny.people(N).drop(columns=["paid", "value"]).assign(id=range(N))
    people.loc[5, "age"] = 200
    people.loc[7, "income"] = -5
    people.loc[9, "work"] = "maybe"
    people.loc[11, "region"] = "mars"
    people.loc[12, "lines"] = 99
    return people


def pointer_of(var: Path, name: str) -> Pointer:
    path = Layout(var).pointer(name)
    return Pointer.read(path.read_bytes(), str(path))


def score(var: Path, name: str, source: Path, target: Path, **options: Any) -> ScoredOutput:
    """Score files with the served version of a model."""
    pointer = pointer_of(var, name)
    wanted = ScoringOptions(str(source), str(target), **options)
    return score_files(Layout(var).model(name, pointer.version), pointer, wanted, ignore)


def ignore(progress: ScoringProgress, /) -> None:
    """Show nothing."""


def predictions(target: Path) -> pa.Table:
    """All predictions of an output, file by file in the order of their paths."""
    paths = sorted((target / "predictions").rglob("*.parquet"))
    return pa.concat_tables([pq.read_table(path, partitioning=None) for path in paths])


def rejected(target: Path) -> list[dict[str, Any]]:
    """The rejected rows of an output."""
    paths = sorted((target / "rejected").rglob("*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]
