"""A recipe becomes a version that answers like its pipeline, or nothing at all."""

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline

from contracts import trusted_types
from contracts.errors import CertificateFailed, InvalidRecipe, PlatformError
from contracts.manifest import Manifest
from contracts.reference import Reference
from registry.model_directory import verify
from registry.store import Store
from tests import tiny
from tests.conftest import Workplace
from training.dataset import load_table, plain_rows, split
from training.export import onnx_of
from training.fitting import fit
from training.onnx_session import onnx_scores
from training.parity import certify
from training.pipeline import fitted_pipeline, scores_of
from training.plots import plots_of
from training.probes import certified_rows
from training.recipe import Recipe
from training.run import TrainedVersion, train_recipe

RECIPES = [tiny.binary(), tiny.multiclass(), tiny.regression(), tiny.pair()]


def model_directory(place: Workplace, trained: TrainedVersion) -> Any:
    return place.store.artifacts.download(trained.run_id, "model_directory", place.root / "got")


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.task)
def test_a_version_is_registered_with_all_that_later_packages_need(
    workplace: Workplace, recipe: Recipe
) -> None:
    (workplace.root / "got").mkdir()
    trained = train_recipe(recipe, workplace.store)
    directory = model_directory(workplace, trained)
    manifest = verify(directory, trained.digest)
    reference = Reference.read((directory / "reference.json").read_bytes())
    sample = pd.read_parquet(directory / "reference.parquet")

    assert trained.version == 1
    assert manifest.certificate.passed
    assert set(manifest.certificate.rows) >= {"holdout", "edges", "categories"}
    assert set(reference.features) == set(recipe.schema.names)
    assert {"prediction", "score", "label"} <= set(sample.columns)
    assert sum(manifest.importance.values()) == pytest.approx(1)
    artifacts = workplace.store.artifacts.paths(trained.run_id, "plots")
    assert "plots/importance.png" in artifacts


def test_mlflow_ui_shows_names_descriptions_and_each_metric_once(workplace: Workplace) -> None:
    from mlflow import MlflowClient

    trained = train_recipe(tiny.binary(description="Predicts payment."), workplace.store)
    client = MlflowClient()
    run = client.get_run(trained.run_id)
    experiment = client.get_experiment(run.info.experiment_id)
    model, version = client.get_registered_model("tiny"), client.get_model_version("tiny", "1")

    assert run.info.run_name == "tiny version 1"
    assert set(run.data.metrics) == set(trained.metrics)
    interval = trained.metrics["roc_auc"]
    assert f"| {interval.low:.4g} to {interval.high:.4g} |" in run.data.tags["mlflow.note.content"]
    for text in (experiment.tags["mlflow.note.content"], model.description, version.description):
        assert text.startswith("Predicts payment.")
    assert "slipway history tiny" in model.description
    assert f"roc_auc {interval.value:.4g}" in version.description


def test_several_outputs_count_alike() -> None:
    """The oracle is scikit-learn's uniform average."""
    from sklearn import metrics as sk

    from training.metrics import METRICS

    rng = np.random.default_rng(0)
    target = rng.normal(size=(50, 3)) * [1, 10, 100]
    scores = target + rng.normal(size=(50, 3))
    oracles = {
        "rmse": sk.root_mean_squared_error,
        "mae": sk.mean_absolute_error,
        "r2": sk.r2_score,
    }
    for name, oracle in oracles.items():
        got = METRICS["regression"][name].value(target, scores, 0.5)
        assert got == pytest.approx(oracle(target, scores, multioutput="uniform_average")), name


def test_the_same_seed_gives_the_same_model(workplace: Workplace) -> None:
    first, second = (train_recipe(tiny.binary(), workplace.store) for _ in range(2))
    (workplace.root / "got").mkdir()
    manifests = [
        Manifest.read((model_directory(workplace, t) / "manifest.json").read_bytes())
        for t in (first, second)
    ]

    assert (first.version, second.version) == (1, 2)
    assert first.metrics == second.metrics
    assert manifests[0].files["model.onnx"] == manifests[1].files["model.onnx"]
    assert manifests[0].data == manifests[1].data


@pytest.mark.parametrize(
    "estimator",
    [
        lambda: RandomForestClassifier(n_estimators=20),
        lambda: ExtraTreesClassifier(n_estimators=20),
        lambda: HistGradientBoostingClassifier(max_iter=30),
    ],
    ids=["RandomForest", "ExtraTrees", "HistGradientBoosting"],
)
def test_what_mlflow_refuses_is_stored_without_pickle(workplace: Workplace, estimator: Any) -> None:
    import mlflow.sklearn

    recipe = tiny.binary(estimator=estimator, schema=tiny.WHOLE, load=tiny.whole_people)
    trained = train_recipe(recipe, workplace.store)
    source = workplace.store.versions.get(recipe.name, trained.version).source
    loaded = mlflow.sklearn.load_model(source)
    parts = split(recipe, load_table(recipe), 0)

    stored = [path.name for path in (workplace.root / "mlruns").rglob("*") if path.is_file()]

    assert set(loaded.predict(parts.holdout)) == {"no", "yes"}
    assert "model.skops" in stored
    assert not [name for name in stored if name.endswith((".pkl", ".pickle", ".joblib"))]


@pytest.mark.parametrize(
    "estimator",
    [
        HistGradientBoostingClassifier(max_iter=60),
        RandomForestClassifier(n_estimators=40, random_state=0),
        GradientBoostingClassifier(n_estimators=40),
    ],
    ids=lambda e: type(e).__name__,
)
def test_trees_agree_exactly_where_they_split(estimator: Any) -> None:
    """Epoch seconds and cents: rows at split thresholds are where exports usually differ."""
    rng = np.random.default_rng(0)
    table = tiny.people(3000).assign(income=lambda t: rng.integers(0, 10**8, len(t)) / 100)
    recipe = tiny.binary(estimator=lambda: estimator, schema=tiny.WHOLE, load=lambda: table)
    parts = split(recipe, load_table(recipe), 0)
    pipeline = fitted_pipeline(recipe, parts.train, parts.train_target, 0)
    groups = certified_rows(pipeline, recipe, parts.holdout, rng)
    certificate = certify(pipeline, onnx_of(pipeline, recipe), recipe, parts.holdout, 1.0, rng)

    assert len(groups["thresholds"]) > 100
    assert certificate.class_differences == 0
    assert certificate.max_difference < 1e-6


def test_a_forest_that_never_saw_a_null_is_served_in_float64() -> None:
    """skl2onnx sends a missing value to another side of a split than scikit-learn."""
    recipe = tiny.binary(
        "nulls", lambda: RandomForestClassifier(n_estimators=20), load=tiny.whole_people
    )
    certificate = fit(recipe).certificate

    assert certificate.passed
    assert certificate.form == "float64"
    assert "rows of another class); worst row" in certificate.other_forms["float32"]


def test_a_model_that_fails_its_certificate_names_the_step_and_registers_nothing(
    workplace: Workplace,
) -> None:
    recipe = tiny.binary("broken", tolerance=1e-12, runtime="onnx")
    with pytest.raises(CertificateFailed, match=r"float32: .*worst row.*float64: ") as caught:
        train_recipe(recipe, workplace.store)

    assert caught.value.remedy.startswith(
        "the first step that differs is logisticregression > LogisticRegression"
    )
    assert workplace.store.models.all() == []
    assert [run.status for run in workplace.store.runs.with_status("FAILED")] == ["FAILED"]
    assert workplace.store.runs.with_status("RUNNING") == []


def test_a_model_that_cannot_take_what_the_schema_allows_is_refused() -> None:
    recipe = tiny.binary(
        estimator=lambda: GradientBoostingClassifier(n_estimators=3), load=tiny.whole_people
    )
    parts = split(recipe, load_table(recipe), 0)
    pipeline = fitted_pipeline(recipe, parts.train, parts.train_target, 0)
    with pytest.raises(CertificateFailed, match="Input X contains NaN") as caught:
        certify(
            pipeline,
            onnx_of(pipeline, recipe),
            recipe,
            parts.holdout,
            1.0,
            np.random.default_rng(0),
        )

    assert "impute what is nullable" in caught.value.remedy


def test_an_estimator_without_an_onnx_form_is_refused() -> None:
    class Strange(ClassifierMixin, BaseEstimator):
        def fit(self, _x: Any, y: Any) -> "Strange":
            self.classes_ = np.unique(y)
            return self

        def predict_proba(self, x: Any) -> Any:
            return np.full((len(x), 2), 0.5)

    recipe = tiny.binary(estimator=Strange)
    parts = split(recipe, load_table(recipe), 0)
    pipeline = fitted_pipeline(recipe, parts.train, parts.train_target, 0)
    with pytest.raises(InvalidRecipe, match="expected one with an ONNX form"):
        onnx_of(pipeline, recipe)


def test_a_type_that_the_platform_does_not_trust_is_refused(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trusted_types, "TRUSTED", frozenset())
    with pytest.raises(InvalidRecipe, match=r"platform trusts, got sklearn\.ensemble"):
        train_recipe(tiny.multiclass(), workplace.store)

    assert workplace.store.models.all() == []
    assert [run.status for run in workplace.store.runs.with_status("FAILED")] == ["FAILED"]


def test_only_features_that_the_model_reads_are_important() -> None:
    one_column = make_column_transformer((SimpleImputer(), ["age"]))
    recipe = tiny.binary(estimator=lambda: make_pipeline(one_column, LogisticRegression()))
    importance = fit(recipe).importance

    assert importance.share == {name: float(name == "age") for name in recipe.schema.names}
    assert importance.standard_deviation["age"] > 0
    assert importance.standard_deviation["income"] == 0


@pytest.mark.parametrize(
    ("recipe", "names"),
    [
        (tiny.binary(), {"importance", "confusion", "calibration"}),
        (tiny.multiclass(), {"importance", "confusion", "calibration"}),
        (tiny.regression(), {"importance", "residuals"}),
        (tiny.pair(), {"importance", "residuals_value", "residuals_worth"}),
    ],
    ids=lambda value: value.name if isinstance(value, Recipe) else "",
)
def test_every_task_has_its_plots(recipe: Recipe, names: set[str]) -> None:
    fitted = fit(recipe)
    plots = plots_of(recipe, fitted.target, fitted.scores, fitted.score_kind, fitted.importance)

    assert set(plots) == {f"{name}.png" for name in names}
    assert all(png.startswith(b"\x89PNG") for png in plots.values())


def test_a_linear_regression_and_text_features_agree_end_to_end() -> None:
    recipe = tiny.regression()
    linear = tiny.binary(
        estimator=lambda: make_pipeline(tiny.linear()[0], Ridge()),
        task="regression",
        target="value",
        classes=(),
        schema=recipe.schema,
        load=recipe.load,
    )
    parts = split(linear, load_table(linear), 0)
    pipeline = fitted_pipeline(linear, parts.train, parts.train_target, 0)
    matrix = linear.schema.matrix(plain_rows(parts.holdout, linear.schema))
    got = onnx_scores(onnx_of(pipeline, linear), matrix)

    assert np.allclose(got, scores_of(pipeline, parts.holdout, linear), atol=1e-3)


def test_the_module_run_as_a_command_reports_mistakes(workplace: Workplace) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "training", "lone"],
        cwd=workplace.root,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == PlatformError.exit_code
    assert "did you mean 'loan'?" in done.stderr


def test_an_unreachable_tracking_server_is_reported_in_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from contracts.errors import RegistryUnreachable
    from registry.settings import RegistrySettings

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(RegistryUnreachable, match=r"expected an answer from http://127\.0\.0\.1:9"):
        Store.open(RegistrySettings())
