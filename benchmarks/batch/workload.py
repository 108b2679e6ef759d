"""A linear model of ten columns in a registry of its own, and Parquet files for it."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from contracts.manifest import Pointer
from contracts.names import Layout
from contracts.schema import Schema, number
from registry.promote import promote
from registry.pull import pull
from registry.settings import RegistrySettings
from registry.store import Store
from training.recipe import Gate, Recipe
from training.run import train_recipe

MODEL = "linear10"
FEATURES = tuple(f"x{i}" for i in range(10))
FILE_ROWS = 1_000_000
ROW_GROUP_ROWS = 250_000


@dataclass(frozen=True)
class Workload:
    """The model's directory and pointer, and the folder of the input files."""

    directory: Path
    pointer: Pointer
    inputs: Path
    rows: int

    @property
    def run_id(self) -> str:
        """The MLflow run that logged the model."""
        return self.pointer.run_id


def make_workload(folder: Path, rows: int) -> Workload:
    """Train the model, and write the files."""
    os.chdir(folder)
    store, layout = Store.open(RegistrySettings()), Layout(folder / "var")
    train_recipe(_recipe(), store)
    promote(store, MODEL, actor="benchmark")
    pointer = pull(store, layout, MODEL)
    inputs = folder / "in"
    inputs.mkdir()
    rng = np.random.default_rng(0)
    for start in range(0, rows, FILE_ROWS):
        n_rows = min(FILE_ROWS, rows - start)
        columns = {name: rng.normal(size=n_rows) for name in FEATURES}
        table = pa.table({**columns, "id": np.arange(start, start + n_rows)})
        path = inputs / f"{start // FILE_ROWS:05}.parquet"
        pq.write_table(table, path, row_group_size=ROW_GROUP_ROWS)
    return Workload(layout.model(MODEL, pointer.version), pointer, inputs, rows)


def _recipe() -> Recipe:
    return Recipe(
        name=MODEL,
        schema=Schema(features=tuple(number(name, -100, 100) for name in FEATURES)),
        load=_people,
        target="y",
        task="binary",
        classes=("no", "yes"),
        threshold=0.5,
        estimator=lambda: make_pipeline(StandardScaler(), LogisticRegression()),
        gates=(Gate("roc_auc", minimum=0.5),),
    )


def _people() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    table = pd.DataFrame({name: rng.normal(size=4000) for name in FEATURES})
    odds = table.sum(axis=1) + rng.normal(size=4000)
    table["y"] = np.where(odds > 0, "yes", "no")
    return table
