"""From an order of monitoring's to a registered challenger."""

import hashlib
from pathlib import Path

import pandas as pd

from contracts.errors import InvalidDocument
from contracts.manifest import Retrained
from contracts.names import TAG_RETRAINING, TAG_VERDICT
from contracts.retraining import RetrainingRequest
from registry.store import Store
from training.recipe import Recipe, load_recipe
from training.retraining.partition import chosen, parts_of
from training.run import Material, Source, TrainedVersion, train_recipe


def retrain(path: Path, store: Store, *, seed: int = 0) -> TrainedVersion:
    """Train the recipe that an order names on the rows that it names.

    Raises:
        InvalidDocument: the order, or its rows, are not what was written.
        InvalidData: too few labelled rows are left for today's recipe.
        And what `training.run.train` raises.

    """
    return retrain_recipe(load_recipe(order_at(path).model), path, store, seed=seed)


def retrain_recipe(recipe: Recipe, path: Path, store: Store, *, seed: int = 0) -> TrainedVersion:
    """The same for a recipe at hand."""
    order = order_at(path)
    rows = path.parent / order.rows_file
    tags = {TAG_RETRAINING: order.retraining_id}
    if order.verdict_id:
        tags[TAG_VERDICT] = order.verdict_id
    source = Source(lambda: material_of(recipe, order, rows, seed), tags, (path, rows))
    return train_recipe(recipe, store, seed=seed, source=source)


def order_at(path: Path) -> RetrainingRequest:
    """The order in a file.

    Raises:
        InvalidDocument: there is none, or it was cut or edited.

    """
    try:
        return RetrainingRequest.read(path.read_bytes(), str(path))
    except OSError as err:
        raise InvalidDocument(
            f"{path}: expected an order, got {err.strerror}", remedy="slipway retrain writes it"
        ) from err


def material_of(recipe: Recipe, order: RetrainingRequest, rows: Path, seed: int) -> Material:
    """The rows to learn and the exam, with where they come from."""
    made = chosen(recipe, parts_of(recipe, order, _labelled(order, rows)), seed)
    return Material(
        made.split,
        Retrained(
            retraining_id=order.retraining_id,
            reason=order.reason,
            because=order.because,
            verdict_id=order.verdict_id,
            learned_until=order.evaluation_start,
            evaluation_series=order.evaluation_series,
            old_share=made.old_share,
            rows_old=made.rows_old,
            rows_recent=made.rows_recent,
        ),
    )


def _labelled(order: RetrainingRequest, rows: Path) -> pd.DataFrame:
    try:
        data = rows.read_bytes()
    except OSError as err:
        raise InvalidDocument(
            f"{rows}: expected the rows of an order, got {err.strerror}",
            remedy="slipway retrain again",
        ) from err
    digest = hashlib.sha256(data).hexdigest()
    if digest != order.rows_sha256:
        raise InvalidDocument(
            f"{rows}: expected the rows of the order (sha256 {order.rows_sha256[:12]}), got "
            f"{digest[:12]}",
            remedy="slipway retrain again",
        )
    return pd.read_parquet(rows)
