"""The ground on which all serve: models made by the `slipway` commands, and their pipelines."""

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import joblib
import mlflow
import mlflow.sklearn
import msgspec
from mlflow.models import infer_signature
from sklearn.pipeline import Pipeline

from contracts.errors import PlatformError
from contracts.schema import Value
from training.dataset import frame_of
from training.pipeline import scores_of
from training.recipe import Recipe, load_recipe
from training.simulate import like_training

ROOT = Path(__file__).parents[2]
MODELS = ("loan", "diabetes")
"""A logistic regression of 12 columns, and a forest of 100 trees of 10 columns."""
MAKERS = ("contracts", "metrics", "training", "registry")
"""The packages whose code decides what a model directory holds."""
MADE = "made"
BENTOFILE = 'service: "services.predictor:Predictor"\n'
N_SINGLE = 64
N_BATCHES = 16
BATCH_ROWS = 100

Row = Mapping[str, Value]


@dataclass(frozen=True)
class Work:
    """What is asked of a model, and what the fitted pipeline answers.

    `rows` holds `N_BATCHES * BATCH_ROWS` rows without gaps, since not every peer takes them;
    `expected` one number per row: the probability of the second class, or the value.
    """

    model: str
    rows: tuple[Row, ...]
    expected: tuple[float, ...]

    @property
    def singles(self) -> tuple[Row, ...]:
        """The rows that are sent alone."""
        return self.rows[:N_SINGLE]

    @property
    def batches(self) -> tuple[tuple[Row, ...], ...]:
        """The rows that are sent together."""
        starts = range(0, len(self.rows), BATCH_ROWS)
        return tuple(self.rows[start : start + BATCH_ROWS] for start in starts)


@dataclass(frozen=True)
class Workplace:
    """A throwaway folder in which `bentoml serve` serves, with state of its own."""

    root: Path
    environ: Mapping[str, str]
    works: Mapping[str, Work]

    def pipeline(self, model: str) -> Path:
        """The fitted pipeline as joblib keeps it, for peers that load such files."""
        return self.root / "pipelines" / model / "model.joblib"

    def mlflow_model(self, model: str) -> Path:
        """Return the folder of the pipeline as an MLflow model that returns scores."""
        return self.root / "pipelines" / model / "mlflow"


def prepare(folder: Path) -> Workplace:
    """Return the workplace in `folder`; made again when the code that makes models has changed."""
    root = folder / f"workplace-{_digest_of_makers()}"
    environ = environ_of(root)
    place = Workplace(root, environ, {})
    if not (root / MADE).is_file():
        shutil.rmtree(root, ignore_errors=True)
        _make(place)
        (root / MADE).touch()
    works = {model: _work(place, load_recipe(model)) for model in MODELS}
    return Workplace(root, environ, works)


def _make(place: Workplace) -> None:
    """Train, promote and pull as a user does, and give the same pipelines to the peers."""
    place.root.mkdir(parents=True)
    (place.root / "bentofile.yaml").write_text(BENTOFILE)
    slipway(["train", *MODELS], place)
    for model in MODELS:
        slipway(["promote", model], place)
    slipway(["pull"], place)
    for model in MODELS:
        _hand_out(place, load_recipe(model))


def _digest_of_makers() -> str:
    code = sorted(path for room in MAKERS for path in (ROOT / room).rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest()[:12]


def quiet_environ() -> dict[str, str]:
    """Our environment without settings of the platform, and without telemetry."""
    foreign = ("SLIPWAY_", "MLFLOW_", "BENTOML_", "PYTHONPATH", "VIRTUAL_ENV")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    return kept | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "BENTOML_DO_NOT_TRACK": "True",
        "DO_NOT_TRACK": "1",
        "ORT_DISABLE_TELEMETRY": "1",
    }


def environ_of(root: Path) -> dict[str, str]:
    """What a workplace's commands and services are started with."""
    return quiet_environ() | {
        "PYTHONPATH": str(ROOT),
        "BENTOML_HOME": str(root / "bentoml"),
        "SLIPWAY_SERVICE_PULL": "false",  # it is pulled; each start would do so again
    }


def slipway(words: Sequence[str], place: Workplace) -> None:
    """Run a command of ours in a workplace.

    Raises:
        PlatformError: it fails, with what it said.

    """
    command = [sys.executable, "-m", "slipway", *words]
    done = subprocess.run(
        command, cwd=place.root, env=place.environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise PlatformError(
            f"slipway {' '.join(words)}: expected it to succeed, got {done.returncode}\n"
            f"{done.stderr or done.stdout}",
            remedy="run the same command in a checkout, and fix what it reports",
        )


def _work(place: Workplace, recipe: Recipe) -> Work:
    pipeline: Pipeline = joblib.load(place.pipeline(recipe.name))
    rows = whole_rows(recipe, N_BATCHES * BATCH_ROWS)
    scores = scores_of(pipeline, frame_of(rows, recipe.schema), recipe)[:, -1]
    return Work(recipe.name, tuple(rows), tuple(float(score) for score in scores))


def whole_rows(recipe: Recipe, n: int) -> list[dict[str, Value]]:
    """Return `n` rows like those of training, without missing values.

    Raises:
        PlatformError: too many of them have some.

    """
    drawn = like_training(recipe, 2 * n, seed=1)
    whole = [row for row in drawn if None not in row.values()]
    if len(whole) < n:
        raise PlatformError(
            f"rows of {recipe.name}: expected {n} without gaps in {2 * n}, got {len(whole)}",
            remedy="draw more of them in benchmarks/serving/testbed.py",
        )
    return whole[:n]


def _hand_out(place: Workplace, recipe: Recipe) -> None:
    """Write the registered pipeline in the two forms in which peers read it."""
    uri = f"sqlite:///{place.root / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    pipeline: Pipeline = mlflow.sklearn.load_model(f"models:/{recipe.name}@production")
    place.pipeline(recipe.name).parent.mkdir(parents=True)
    joblib.dump(pipeline, place.pipeline(recipe.name))
    features = frame_of(whole_rows(recipe, BATCH_ROWS), recipe.schema)
    answers = scores_of(pipeline, features, recipe)
    logging.getLogger("mlflow").setLevel(logging.ERROR)  # it warns of pickles; this one is ours
    with warnings.catch_warnings():
        # A signature with whole numbers warns that they cannot be missing; none is.
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            pipeline,
            place.mlflow_model(recipe.name),
            signature=infer_signature(features, answers),
            pyfunc_predict_fn="predict_proba" if recipe.is_classifier else "predict",
            pip_requirements=["scikit-learn"],
            serialization_format="cloudpickle",
        )


def write_bodies(path: Path, bodies: Sequence[object]) -> Path:
    """Request bodies as JSON, one a line, for wrk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\n".join(map(msgspec.json.encode, bodies)) + b"\n")
    return path
