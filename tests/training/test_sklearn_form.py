"""A pipeline without an exact ONNX form is stored, certified and registered as it is."""

import ast
import json
from collections.abc import Iterator
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from contracts.errors import CertificateFailed, InvalidRecipe
from contracts.names import TAG_RUNTIME
from contracts.schema import Schema
from registry.promote import promote
from tests import tiny
from tests.conftest import Workplace
from tests.own_code import own_code
from training.dataset import load_table, split
from training.fitting import fit
from training.pipeline import fitted_pipeline, scores_of
from training.recipe import Recipe
from training.run import train_recipe
from training.sklearn_form import sklearn_form

pytestmark = pytest.mark.slow
NUMBERS = '''
import numpy as np

from training.features.words import known


def numbers(frame):
    """Income by region, and the words as they were in the table."""
    assert set(frame["work"].dropna()) <= {"yes", "no"}, frame["work"].dtype
    return np.column_stack([frame["age"], np.nan_to_num(frame["income"]), known(frame)])
'''
WORDS = '''
"""Imported by another module of own code."""


def known(frame):
    return frame["region"].isin(["north", "south"]).to_numpy(dtype=float)
'''


@pytest.fixture(scope="module", autouse=True)
def code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    sources = {
        "numbers": NUMBERS,
        "words": WORDS,
        "foreign": "import requests\n\ndef f(frame):\n    return frame[['age']]\n",
        "moody": "import random\n\ndef f(frame):\n    return frame[['age']] * random.random()\n",
    }
    with own_code(tmp_path_factory.mktemp("code"), **sources):
        yield


def with_function(module: str, name: str, **changes: Any) -> Recipe:
    def estimator() -> Any:
        import importlib

        function = getattr(importlib.import_module(f"training.features.{module}"), name)
        return make_pipeline(FunctionTransformer(function), StandardScaler(), LogisticRegression())

    return tiny.binary("own", estimator, **({"runtime": "sklearn"} | changes))


def fitted(recipe: Recipe) -> Any:
    rows = split(recipe, load_table(recipe), 0)
    return fitted_pipeline(recipe, rows.train, rows.train_target, 0)


def test_own_code_is_stored_with_what_it_imports() -> None:
    recipe = with_function("numbers", "numbers")
    form = sklearn_form(fitted(recipe), recipe)

    assert set(form.files) == {"pipeline.skops", "features.numbers.py", "features.words.py"}
    assert form.files["features.words.py"].decode() == WORDS
    assert ast.parse(form.files["features.numbers.py"])
    assert set(form.requirements) == {"scikit-learn", "pandas", "skops"}


@pytest.mark.parametrize("schema", [tiny.SCHEMA, Schema(features=tiny.SCHEMA.columns)])
def test_own_code_sees_the_words_of_a_category(schema: Schema) -> None:
    """In whichever order the features are: `numbers` checks what it gets."""
    importance = fit(with_function("numbers", "numbers", schema=schema)).importance

    assert set(importance.share) == set(schema.names)
    assert importance.share["age"] > importance.share["work"]


def test_a_library_that_scoring_processes_do_not_have_is_named_with_its_line() -> None:
    recipe = with_function("foreign", "f")
    with pytest.raises(
        InvalidRecipe, match=r"foreign\.py, line 1: expected an import of numpy"
    ) as e:
        sklearn_form(fitted(recipe), recipe)

    assert "got requests" in e.value.what


def test_a_function_outside_training_features_is_refused_with_the_remedy() -> None:
    recipe = tiny.binary(
        "own",
        lambda: make_pipeline(FunctionTransformer(local_function), LogisticRegression()),
        runtime="sklearn",
    )
    with pytest.raises(InvalidRecipe, match=r"got tests\.training\.test_sklearn_form\.local") as e:
        sklearn_form(fitted(recipe), recipe)

    assert "belong into training/features" in e.value.remedy


def local_function(frame: Any) -> Any:
    return frame[["age"]]


def test_a_pipeline_that_answers_differently_each_time_fails_its_certificate() -> None:
    with pytest.raises(CertificateFailed, match="rows that differ") as caught:
        fit(with_function("moody", "f"))

    assert "no random numbers" in caught.value.remedy


def test_a_recipe_that_requires_onnx_gets_no_other_runtime() -> None:
    with pytest.raises(InvalidRecipe, match="ONNX form"):
        fit(with_function("moody", "f", runtime="onnx"))


def test_two_versions_are_compared_and_what_mlflow_loads_decides_as_the_service(
    workplace: Workplace,
) -> None:
    """The gate scores both in processes; own code comes from the model, not from the checkout."""
    recipe = with_function("numbers", "numbers", threshold=0.35)
    first = train_recipe(recipe, workplace.store)
    promote(workplace.store, recipe.name, actor="ada")
    second = train_recipe(recipe, workplace.store, seed=1)
    version = workplace.store.versions.get(recipe.name, second.version)
    loaded = mlflow.sklearn.load_model(version.source)
    table = split(recipe, load_table(recipe), 1).holdout
    scores = scores_of(loaded, table, recipe)

    assert (first.runtime, version.tags[TAG_RUNTIME]) == ("sklearn", "sklearn")
    decided = np.array(recipe.classes)[recipe.decision_rule.class_indices(scores)]
    assert (loaded.predict(table) == decided).all()
    assert (loaded.predict(table) != np.where(scores[:, 1] >= 0.5, "yes", "no")).any()
    manifest = json.loads(
        (
            workplace.store.artifacts.download(second.run_id, "model_directory", workplace.root)
            / "manifest.json"
        ).read_bytes()
    )
    assert {"features.numbers.py", "pipeline.skops"} <= manifest["files"].keys()
    assert manifest["certificate"]["tolerance"] == 0


def test_pyfunc_takes_the_integers_and_missing_values_that_the_schema_allows(
    workplace: Workplace,
) -> None:
    trained = train_recipe(tiny.binary(), workplace.store)
    source = workplace.store.versions.get("tiny", trained.version).source
    model = mlflow.pyfunc.load_model(source)
    rows = [tiny.GOOD | {"age": 40}, tiny.GOOD | {"income": None, "region": None}]
    table = pd.DataFrame(rows)

    assert set(model.predict(table)) <= {"no", "yes"}
    assert set(model.predict(table.astype({"age": "int64", "lines": "int64"}))) <= {"no", "yes"}
    assert set(model.predict(table.iloc[:1].astype({"income": "float64"}))) <= {"no", "yes"}
