"""The promoted kind, fitted on all rows: what passed its exam learns the exam's rows too.

An exam shows that a procedure (this recipe, this choice of rows) beats production. The version
that sat it has not learned the newest rows, which are the most valuable ones after a change. So
the same procedure is fitted once more, with them. Its held-out figures are those of the version
that was examined: it has none of its own.
"""

import tempfile
from datetime import timedelta
from pathlib import Path

import pandas as pd
from msgspec.structs import replace

from contracts.errors import InvalidDocument
from contracts.manifest import Manifest, Retrained
from contracts.names import Layout
from contracts.retraining import RetrainingRequest
from contracts.times import parse_utc, utc_text
from registry.store import Store
from training.dataset import Split, TrainingData, digest_of, features_of, targets_of
from training.evaluation.model_version import load_model_version
from training.importance import Importance
from training.recipe import Recipe
from training.retraining.partition import Partition
from training.retraining.row_choice import RowChoice

MICROSECOND = timedelta(microseconds=1)


def refit_data(
    store: Store, recipe: Recipe, request: RetrainingRequest, found: Partition, seed: int
) -> TrainingData:
    """All rows to learn, as the examined version chose them, and that version's figures.

    Raises:
        InvalidDocument: the request does not name the version that it had examined.
        NotRegistered, CorruptModel: that version is lost.

    """
    with tempfile.TemporaryDirectory() as folder:
        examined = load_model_version(
            store, Layout(Path(folder)), recipe.name, request.examined_version, Path(folder, "v")
        )
        made = examined.manifest.retrained
        if made is None or made.retraining_id != request.retraining_id:
            raise InvalidDocument(
                f"retraining {request.retraining_id}: version {request.examined_version} did not "
                "come of it",
                remedy="slipway retrain again",
            )
        scores = examined.predict(found.holdout).scores
    choice = RowChoice(made.old_share, made.newest_rows)
    recent = pd.concat([found.recent, found.validation, found.holdout], ignore_index=True)
    train = choice.learned(found.old, recent, seed)
    split = Split(
        train=features_of(train, recipe.schema),
        train_target=targets_of(recipe, train),
        holdout=features_of(found.holdout, recipe.schema).reset_index(drop=True),
        holdout_target=targets_of(recipe, found.holdout),
        digest=digest_of(train),
        reference_rows=features_of(recent, recipe.schema),
    )
    return TrainingData(
        split,
        _retrained(request, made, examined.digest, train, recent),
        scores,
        _importance(examined.manifest),
    )


def _importance(examined: Manifest) -> Importance | None:
    """The importance of the examined version's features; None if its manifest has none."""
    if not examined.importance:
        return None
    return Importance(examined.importance, examined.importance_std)


def _retrained(
    request: RetrainingRequest,
    made: Retrained,
    digest: str,
    train: pd.DataFrame,
    recent: pd.DataFrame,
) -> Retrained:
    n_recent = min(len(recent), len(train))
    # Nothing up to the end of the exam, that time included, is unknown to it.
    end = parse_utc(request.evaluation_end) + MICROSECOND
    return replace(
        made,
        learned_until=utc_text(end),
        rows_old=len(train) - n_recent,
        rows_recent=n_recent,
        sought=0.0,
        examined_version=request.examined_version,
        examined_digest=digest,
    )
