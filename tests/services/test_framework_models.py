"""A model of each framework, from the recipe to the loop: MLflow, a real service, the monitor."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from typer.testing import CliRunner

from contracts.extras import EXTRAS
from contracts.manifest import Manifest
from contracts.names import MANIFEST_FILE, MODEL_DIRECTORY
from registry.promote import promote
from registry.pull import pull_all
from registry.store import Store
from slipway.app import app
from tests import tiny
from tests.conftest import working_in
from tests.frameworks import needs
from tests.services.conftest import Service, serving
from tests.services.http_client import ask
from training.dataset import split
from training.features.native_categories import NativeCategories
from training.recipe import Recipe
from training.rows import plain_rows
from training.run import TrainedVersion, train_recipe

pytestmark = pytest.mark.slow


def xgboost_trees() -> Any:
    from xgboost import XGBClassifier

    trees = XGBClassifier(n_estimators=30, max_depth=3, enable_categorical=True, n_jobs=1)
    return make_pipeline(NativeCategories(tiny.WORDS), trees)


def lightgbm_trees() -> Any:
    from lightgbm import LGBMClassifier

    trees = LGBMClassifier(n_estimators=30, num_leaves=7, n_jobs=1, verbose=-1)
    return make_pipeline(NativeCategories(tiny.WORDS), trees)


def catboost_trees() -> Any:
    from catboost import CatBoostClassifier

    trees = CatBoostClassifier(
        iterations=30, depth=3, cat_features=tiny.WORDS, max_ctr_complexity=1, thread_count=1
    )
    return make_pipeline(NativeCategories(tiny.WORDS, dtype="int"), trees)


def lightgbm_lines() -> Any:
    """Linear models in the leaves have no ONNX form."""
    from lightgbm import LGBMRegressor

    trees = LGBMRegressor(n_estimators=10, num_leaves=7, linear_tree=True, verbose=-1)
    return make_pipeline(NativeCategories(tiny.WORDS), trees)


ESTIMATORS: dict[str, Callable[[], Any]] = {
    "xgboost": xgboost_trees,
    "lightgbm": lightgbm_trees,
    "catboost": catboost_trees,
}
INSTALLED = [package for package in ESTIMATORS if EXTRAS[package].is_installed]
FRAMEWORKS = [pytest.param(package, marks=needs(package)) for package in ESTIMATORS]
AS_PIPELINE = "lines"
"""The model of LightGBM that has no ONNX form."""


@dataclass(frozen=True)
class Trained:
    """The trained versions by name, their store, and a service that answers for all of them."""

    service: Service
    store: Store
    versions: dict[str, TrainedVersion]

    def pipeline(self, name: str) -> Any:
        """What MLflow's users load for a version."""
        return mlflow.sklearn.load_model(f"models:/{name}/1")

    def manifest(self, name: str) -> Manifest:
        folder = self.service.layout.var.parent / "got" / name
        folder.mkdir(parents=True)
        run_id = self.versions[name].run_id
        directory = self.store.artifacts.download(run_id, MODEL_DIRECTORY, folder)
        return Manifest.read((directory / MANIFEST_FILE).read_bytes())


def recipe_of(name: str) -> Recipe:
    if name == AS_PIPELINE:
        return replace_estimator(tiny.regression(name), lightgbm_lines)
    return tiny.binary(name, ESTIMATORS[name])


def replace_estimator(recipe: Recipe, estimator: Callable[[], Any]) -> Recipe:
    return Recipe(**(vars(recipe) | {"estimator": estimator, "schema": tiny.SCHEMA}))


@pytest.fixture(scope="module")
def trained(fresh_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    root = tmp_path_factory.mktemp("frameworks")
    shutil.copy(fresh_database, root / "mlflow.db")
    names = [*INSTALLED, *([AS_PIPELINE] if "lightgbm" in INSTALLED else [])]
    versions = {}
    with working_in(root) as workplace:
        for name in names:
            versions[name] = train_recipe(recipe_of(name), workplace.store)
            promote(workplace.store, name, actor="ada")
        pull_all(workplace.store, workplace.layout)
        folder = tmp_path_factory.mktemp("service")
        with serving(folder, root / "var") as service:
            yield Trained(service, workplace.store, versions)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_thousand_rows_are_answered_like_the_pipeline_that_mlflow_loads(
    trained: Trained, name: str
) -> None:
    recipe = recipe_of(name)
    table = split(recipe, tiny.people(4_000), 0).holdout.iloc[:1000]
    body = json.dumps({"rows": plain_rows(table, recipe.schema)}).encode()
    status, answer, _ = ask(trained.service, f"/models/{name}/predict/batch", body)
    loaded = trained.pipeline(name)
    expected = loaded.predict_proba(table)[:, 1]

    assert (status, len(answer["results"])) == (200, 1000)
    assert trained.versions[name].runtime == "onnx"
    got = np.array([each["probabilities"]["yes"] for each in answer["results"]])
    np.testing.assert_allclose(got, expected, atol=1e-6)
    clear = np.abs(expected - recipe.threshold) > 1e-6
    decided = np.array([each["prediction"] for each in answer["results"]])
    assert (decided == loaded.predict(table))[clear].all()


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_mlflows_own_flavour_loads_the_bare_model(trained: Trained, name: str) -> None:
    flavour = getattr(mlflow, name)
    bare = flavour.load_model(f"runs:/{trained.versions[name].run_id}/{name}")
    manifest = trained.manifest(name)

    assert type(bare).__module__.startswith(name)
    assert any(distribution in manifest.libraries for distribution in EXTRAS[name].distributions)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_its_traffic_is_judged_and_its_predictions_are_explained(
    trained: Trained, name: str
) -> None:
    rows = plain_rows(split(recipe_of(name), tiny.people(), 0).holdout, tiny.SCHEMA)
    body = json.dumps({"rows": rows}).encode()
    _, answer, _ = ask(trained.service, f"/models/{name}/predict/batch", body)
    prediction_id = answer["results"][0]["prediction_id"]
    place = {
        "SLIPWAY_VAR": str(trained.service.layout.var),
        "MLFLOW_TRACKING_URI": trained.store.tracking_uri,
    }
    command = CliRunner(env=place)
    story = command.invoke(app, ["explain", prediction_id, "--contributions", "--json"])
    verdict = command.invoke(app, ["monitor", name, "--json"])

    assert story.exit_code == 0, story.output
    contributions = json.loads(story.stdout)["contributions"]["contributions"]
    assert {each["feature"] for each in contributions} == set(tiny.SCHEMA.names)
    assert verdict.exit_code in {0, 3}, verdict.output
    assert list((trained.service.layout.verdicts / name).glob("*.json"))


@needs("lightgbm")
def test_a_model_without_an_onnx_form_is_served_as_itself(trained: Trained) -> None:
    recipe = recipe_of(AS_PIPELINE)
    table = split(recipe, tiny.people(), 0).holdout
    body = json.dumps({"rows": plain_rows(table, recipe.schema)}).encode()
    status, answer, _ = ask(trained.service, f"/models/{AS_PIPELINE}/predict/batch", body)
    manifest = trained.manifest(AS_PIPELINE)

    assert (status, trained.versions[AS_PIPELINE].runtime) == (200, "sklearn")
    assert "lightgbm" in manifest.requirements
    assert "linear_tree=True" in manifest.certificate.other_forms["onnx"]
    got = [each["prediction"] for each in answer["results"]]
    np.testing.assert_allclose(got, trained.pipeline(AS_PIPELINE).predict(table), rtol=1e-12)
