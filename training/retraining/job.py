"""A retraining, from monitoring's request to a registered challenger."""

import hashlib
import io
from pathlib import Path

import pandas as pd

from contracts.errors import InvalidDocument
from contracts.names import TAG_EXAMINED, TAG_RETRAINING, TAG_VERDICT
from contracts.retraining import RetrainingRequest
from registry.store import Store
from training.dataset import TrainingData
from training.recipe import Recipe
from training.retraining.dataset import retraining_data
from training.retraining.partition import partition
from training.retraining.refit import refit_data
from training.run import TrainedVersion, train_recipe


def retrain_recipe(recipe: Recipe, path: Path, store: Store, *, seed: int = 0) -> TrainedVersion:
    """Train a recipe on the rows that a request names; `path` is the request.

    Raises:
        InvalidDocument: the request, or its rows, are not what was written.
        InvalidData: too few labelled rows are left for today's recipe.
        And what `training.run.train_recipe` raises.

    """
    request = read_request(path)
    rows = path.parent / request.rows_file
    tags = {TAG_RETRAINING: request.retraining_id}
    if request.verdict_id:
        tags[TAG_VERDICT] = request.verdict_id
    if request.examined_version:
        tags[TAG_EXAMINED] = str(request.examined_version)

    def load(recipe: Recipe, seed: int) -> TrainingData:
        found = partition(recipe, request, _labelled_rows(request, rows))
        if request.examined_version:
            return refit_data(store, recipe, request, found, seed)
        return retraining_data(recipe, request, found, seed)

    return train_recipe(recipe, store, seed=seed, load=load, tags=tags, attachments=(path, rows))


def read_request(path: Path) -> RetrainingRequest:
    """The request in a file.

    Raises:
        InvalidDocument: there is none, or it was cut or edited.

    """
    try:
        return RetrainingRequest.read(path.read_bytes(), str(path))
    except OSError as err:
        raise InvalidDocument(
            f"{path}: expected a retraining request, got {err.strerror}",
            remedy="slipway retrain writes it",
        ) from err


def _labelled_rows(request: RetrainingRequest, path: Path) -> pd.DataFrame:
    try:
        data = path.read_bytes()
    except OSError as err:
        raise InvalidDocument(
            f"{path}: expected the rows of a retraining request, got {err.strerror}",
            remedy="slipway retrain again",
        ) from err
    digest = hashlib.sha256(data).hexdigest()
    if digest != request.rows_sha256:
        raise InvalidDocument(
            f"{path}: expected the rows of the request (sha256 {request.rows_sha256[:12]}), got "
            f"{digest[:12]}",
            remedy="slipway retrain again",
        )
    return pd.read_parquet(io.BytesIO(data))
