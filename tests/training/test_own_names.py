"""Columns with the users' own names go through training, the model directory and its plots."""

import json

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from contracts.manifest import Manifest
from contracts.schema import Schema, category, number
from tests import tiny
from tests.conftest import Workplace
from training.run import train_recipe

NAMES = ("fixed acidity", "3P%", "class", "größe", "price ($) in $", "a,b", 'q"<b>', "x:y", "_x")


def test_a_table_with_names_of_every_kind_is_trained_and_registered(workplace: Workplace) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({name: rng.normal(size=300) for name in NAMES})
    table["straße & weg"] = rng.choice(["süd", "nord"], 300)
    table["ziel (ja?)"] = np.where(table["3P%"] > 0, "ja", "nein")
    recipe = tiny.binary(
        "own_names",
        schema=Schema(
            features=(*map(number, NAMES), category("straße & weg", ["süd", "nord"], policy="flag"))
        ),
        load=lambda: table,
        target="ziel (ja?)",
        classes=("nein", "ja"),
        segment_features=("straße & weg",),
        estimator=lambda: make_pipeline(
            make_column_transformer(
                (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["straße & weg"]),
                remainder="passthrough",
            ),
            LogisticRegression(),
        ),
    )
    recipe.check()
    trained = train_recipe(recipe, workplace.store)
    folder = workplace.root / "got"
    folder.mkdir()
    directory = workplace.store.artifacts.download(trained.run_id, "model_directory", folder)
    manifest = Manifest.read((directory / "manifest.json").read_bytes())
    reference = json.loads((directory / "reference.json").read_text())
    sample = pd.read_parquet(directory / "reference.parquet")

    assert manifest.schema.names == (*NAMES, "straße & weg")
    assert (
        set(reference["features"])
        == set(sample.columns[: len(NAMES) + 1])
        == {*manifest.schema.names}
    )
    assert manifest.importance["3P%"] > 0.9
    assert all(manifest.schema.violations(golden.features) == [] for golden in manifest.golden)
