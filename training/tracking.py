"""The only import of MLflow in training: one run, and what is logged to it."""

import importlib
import logging
import os
import socket
import subprocess
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlflow
import mlflow.sklearn
import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from mlflow.types.schema import AnyType, ColSpec, DataType, Schema
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import Pipeline

from contracts.decision_rule import POSITIVE
from contracts.manifest import Metric
from contracts.names import (
    FEATURE_CODE_PACKAGE,
    MODEL_DIRECTORY,
    TAG_PROCESS,
    TAG_RECIPE,
    feature_module,
)
from contracts.trusted_types import TRUSTED
from training.dataset import Split
from training.descriptions import experiment_description, run_description
from training.feature_code import feature_code_of
from training.frameworks.catalog import fitted_parts, framework_versions, frameworks_of
from training.frameworks.class_numbers import without_numbers
from training.metrics import Target
from training.pipeline import estimators_within
from training.recipe import Recipe
from training.trust import check_types, stored_pipeline
from training.versions import versions_of

MLFLOW_NOTE = "mlflow.note.content"
"""The tag of a run or an experiment that MLflow shows as its description."""
NEEDED_TO_LOAD = ("scikit-learn", "numpy", "pandas", "skops")


@contextmanager
def open_run(
    tracking_uri: str, recipe: Recipe, commit: str, more_tags: Mapping[str, str]
) -> Iterator[str]:
    """Open a run in the experiment of the recipe and yield its id; an error ends it as FAILED."""
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_registry_uri(tracking_uri)
    # MLflow logs each step it takes, which the run and our own log lines contain already.
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    mlflow.set_experiment(recipe.name)
    mlflow.set_experiment_tag(MLFLOW_NOTE, experiment_description(recipe))
    tags = {
        TAG_RECIPE: recipe.name,
        TAG_PROCESS: f"{socket.gethostname()}:{os.getpid()}",
        "mlflow.source.git.commit": commit,
        **more_tags,
    }
    run_name = f"{recipe.name} {datetime.now(UTC):%Y-%m-%d %H:%M}"
    with mlflow.start_run(run_name=run_name, tags=tags) as run:
        yield run.info.run_id


def name_run(recipe: Recipe, version: int) -> None:
    """Name the run by the version that came of it."""
    mlflow.set_tag("mlflow.runName", f"{recipe.name} version {version}")


def log_data(recipe: Recipe, split: Split) -> None:
    """Log the training rows as the run's input, with their digest."""
    targets = pd.DataFrame(split.train_target, columns=[*recipe.targets], index=split.train.index)
    rows = split.train.join(targets)
    with warnings.catch_warnings():
        # MLflow guesses the source of a data set by trying every kind, and warns about it.
        warnings.simplefilter("ignore")
        data = mlflow.data.from_pandas(
            rows, targets=recipe.targets[0], name=recipe.name, digest=split.digest[:32]
        )
        mlflow.log_input(data, context="training")


def log_facts(recipe: Recipe, pipeline: Pipeline, metrics: Mapping[str, Metric]) -> None:
    """Log the estimator's parameters and each metric; its interval is in the description."""
    model = without_numbers(pipeline.named_steps["model"])
    plain = {k: v for k, v in model.get_params().items() if isinstance(v, str | int | float | bool)}
    names = {"estimator": type(model).__name__, "task": recipe.task, "threshold": recipe.threshold}
    mlflow.log_params(names | plain)
    mlflow.log_metrics({name: metric.value for name, metric in metrics.items()})
    mlflow.set_tag(MLFLOW_NOTE, run_description(recipe, metrics))


def log_directory(directory: Path) -> None:
    """Log the model directory."""
    mlflow.log_artifacts(str(directory), MODEL_DIRECTORY)


def log_notes(notes: tuple[str, ...]) -> None:
    """Log the notes of the run, one per line, as `notes.txt`."""
    if notes:
        mlflow.log_text("".join(f"{note}\n" for note in notes), "notes.txt")


def log_document(document: Mapping[str, object], name: str) -> None:
    """Log a document as JSON."""
    mlflow.log_dict(dict(document), name)


def log_retraining(files: Iterable[Path]) -> None:
    """Log the request for a retraining and its labelled rows under `retraining/`."""
    for path in files:
        mlflow.log_artifact(str(path), "retraining")


def log_files(files: Mapping[str, bytes], folder: str) -> None:
    """Log files, by name, to a folder of the run's artifacts."""
    for name, data in files.items():
        mlflow.log_text(data.decode(), f"{folder}/{name}")


def log_plots(plots: Mapping[str, bytes], folder: Path) -> None:
    """Log PNG files under `plots/`; `folder` is an empty folder to write them to."""
    for name, png in plots.items():
        (folder / name).write_bytes(png)
    mlflow.log_artifacts(str(folder), "plots")


def log_pipeline(
    recipe: Recipe, pipeline: Pipeline, features: pd.DataFrame, targets: Target
) -> str:
    """Log the model without pickle, as MLflow's users load it; returns its MLflow URI.

    It decides as the service does. `features` and `targets` are some rows with every class.
    Requirements are given, because MLflow would load the model in a process of its own to
    guess them, which takes longer than most fits.

    Raises:
        InvalidRecipe: the pipeline holds a type that the platform does not trust.

    """
    model = deciding_model(pipeline, recipe, features, targets)
    _, types = stored_pipeline(model, recipe.name)
    code = feature_code_of(types, recipe.name)
    check_types(types, recipe.name, code)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        # MLflow warns of columns of any type, which say less than it would like to know.
        warnings.simplefilter("ignore")
        info = mlflow.sklearn.log_model(
            model,
            name="pipeline",
            serialization_format="skops",
            skops_trusted_types=sorted(TRUSTED.union(types)),
            pip_requirements=requirements_of(pipeline),
            signature=signature_of(recipe, model.predict(features.head())),
            code_paths=_write_package(code, Path(folder)),
        )
    return str(info.model_uri)


def log_framework_model(pipeline: Pipeline) -> None:
    """Log the estimator of a framework by MLflow's own flavour, named by its package.

    It is the bare model: without the steps before it, the class names and the threshold. Nothing
    is logged for scikit-learn's estimators, nor of a model that has several of a framework.
    """
    for framework in frameworks_of(estimators_within(pipeline)):
        fitted = fitted_parts(framework, estimators_within(pipeline))
        if len(fitted) != 1:
            continue
        flavour = importlib.import_module(f"mlflow.{framework.flavour}")
        with warnings.catch_warnings():
            # MLflow warns of a missing signature: the steps before the model make its input.
            warnings.simplefilter("ignore")
            flavour.log_model(
                framework.loggable(fitted[0]),
                name=framework.extra.package,
                pip_requirements=requirements_of(pipeline),
            )


def requirements_of(pipeline: Pipeline) -> list[str]:
    """What must be installed to load the pipeline, as pip takes it."""
    needed = versions_of(NEEDED_TO_LOAD) | framework_versions(estimators_within(pipeline))
    return [f"{name}=={version}" for name, version in needed.items()]


def deciding_model(
    pipeline: Pipeline, recipe: Recipe, features: pd.DataFrame, targets: Target
) -> Any:
    """The pipeline with the recipe's decision threshold in its `predict`.

    Its own `predict` decides at 0.5, or by margins; `predict_proba` stays as it is.
    """
    if recipe.task != "binary" or not hasattr(pipeline, "predict_proba"):
        return pipeline
    return FixedThresholdClassifier(
        FrozenEstimator(pipeline),
        threshold=recipe.threshold,
        pos_label=recipe.classes[POSITIVE],
        response_method="predict_proba",
    ).fit(features, targets)


def signature_of(recipe: Recipe, predicted: Any) -> ModelSignature:
    """What MLflow lets pass to the model: what the recipe's schema allows.

    Numbers are of any type: MLflow would refuse an integer where it knows a float, and a
    missing value where it knows an integer. A nullable feature may be null; its column must be
    there. Of a timestamp it takes the parts, as columns of numbers.
    """
    columns = [
        ColSpec(DataType.string if f.is_category else AnyType(), f.name, required=not f.nullable)
        for feature in recipe.schema.features
        for f in feature.inputs
    ]
    return ModelSignature(
        inputs=Schema(columns), outputs=infer_signature(model_output=predicted).outputs
    )


def _write_package(code: Mapping[str, bytes], folder: Path) -> list[str] | None:
    """Own feature code as the package that it was; MLflow stores it with the model."""
    if not code:
        return None
    for file, source in code.items():
        path = folder / (feature_module(file).replace(".", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source)
    return [str(folder / FEATURE_CODE_PACKAGE.partition(".")[0])]


def git_commit(folder: Path) -> str:
    """The commit that is checked out in `folder`, with `-dirty` if files differ from it."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()
