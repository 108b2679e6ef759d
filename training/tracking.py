"""The only import of MLflow in training: one run, and what is logged to it."""

import logging
import os
import platform
import socket
import subprocess
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import mlflow
import mlflow.sklearn
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from sklearn.pipeline import Pipeline

from contracts.manifest import Metric
from contracts.names import MODEL_DIRECTORY, TAG_PROCESS, TAG_RECIPE
from training.dataset import Split
from training.recipe import Recipe
from training.trust import TRUSTED, check_types

LIBRARIES = ("scikit-learn", "numpy", "pandas", "skops", "skl2onnx", "onnx", "onnxruntime")
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
    tags = {
        TAG_RECIPE: recipe.name,
        TAG_PROCESS: f"{socket.gethostname()}:{os.getpid()}",
        "mlflow.source.git.commit": commit,
        **more_tags,
    }
    description = recipe.description
    with mlflow.start_run(tags=tags, description=description) as run:
        yield run.info.run_id


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
    """Log the estimator's parameters, and each metric with the ends of its interval."""
    model = pipeline.named_steps["model"]
    plain = {k: v for k, v in model.get_params().items() if isinstance(v, str | int | float | bool)}
    names = {"estimator": type(model).__name__, "task": recipe.task, "threshold": recipe.threshold}
    mlflow.log_params(names | plain)
    mlflow.log_metrics(
        {
            f"{name}{end}": value
            for name, metric in metrics.items()
            for end, value in (("", metric.value), ("_low", metric.low), ("_high", metric.high))
        }
    )


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


def log_plots(plots: Mapping[str, bytes], folder: Path) -> None:
    """Log PNG files under `plots/`; `folder` is an empty folder to write them to."""
    for name, png in plots.items():
        (folder / name).write_bytes(png)
    mlflow.log_artifacts(str(folder), "plots")


def log_pipeline(recipe: Recipe, pipeline: Pipeline, features: pd.DataFrame) -> str:
    """Log the pipeline without pickle; returns its MLflow URI.

    Requirements are given, because MLflow would load the model in a process of its own to
    guess them, which takes longer than most fits.

    Raises:
        InvalidRecipe: the pipeline holds a type that the platform does not trust.

    """
    predicted = pipeline.predict(features.head())
    with warnings.catch_warnings():
        # A signature with numbers that may be missing warns; ours are floats throughout.
        warnings.simplefilter("ignore")
        try:
            info = mlflow.sklearn.log_model(
                pipeline,
                name="pipeline",
                serialization_format="skops",
                skops_trusted_types=sorted(TRUSTED),
                pip_requirements=[f"{n}=={v}" for n, v in versions_of(NEEDED_TO_LOAD).items()],
                signature=infer_signature(features.head(), predicted),
            )
        except MlflowException:
            # MLflow loads what it has stored, and does not say in a field which types it refused.
            check_types(pipeline, recipe.name)
            raise
    return str(info.model_uri)


def versions_of(names: tuple[str, ...] = LIBRARIES) -> dict[str, str]:
    """Installed versions of libraries, and of Python."""
    from importlib.metadata import version

    found = {name: version(name) for name in names}
    return found if names is not LIBRARIES else found | {"python": platform.python_version()}


def git_commit(folder: Path) -> str:
    """The commit that is checked out in `folder`, with `-dirty` if files differ from it."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()
