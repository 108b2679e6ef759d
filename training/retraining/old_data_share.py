"""How many of the old rows a retraining learns besides the recent ones."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from contracts.errors import InvalidData
from contracts.manifest import Retrained
from contracts.retraining import RetrainingRequest
from training.dataset import (
    MIN_TABLE_ROWS,
    Split,
    TrainingData,
    digest_of,
    encoded_targets,
    features_of,
    targets_of,
)
from training.evaluation.bootstrap import ALPHA, paired_improvement
from training.evaluation.predictions import Predictions
from training.learned import with_learned_categories
from training.pipeline import fitted_pipeline, scores_of
from training.recipe import Recipe
from training.retraining.partition import Partition
from training.score_kind import decision_threshold

SHARES = (1.0, 0.3, 0.1, 0.0)
"""The shares of the old rows that are tried, largest first."""


def retraining_data(
    recipe: Recipe, request: RetrainingRequest, found: Partition, seed: int
) -> TrainingData:
    """The rows to learn, with as many of the old ones as do no harm, and the held-out rows.

    Raises:
        InvalidData: the share of old rows leaves too few rows, or none of a class.

    """
    share = recipe.old_data_share
    if share is None:
        share = best_share(recipe, found, seed)
    kept = _sampled(found.old, share, np.random.default_rng(seed))
    recent = pd.concat([found.recent, found.validation], ignore_index=True)
    train = pd.concat([kept, recent], ignore_index=True)
    if not _can_be_learned(recipe, train):
        raise InvalidData(
            f"recipe {recipe.name!r}: old_data_share: expected at least {MIN_TABLE_ROWS} rows and "
            f"every class among them, got {len(train)} rows with {share:g} of the old ones",
            remedy="let the recipe keep more old rows, or leave old_data_share out",
        )
    split = Split(
        train=features_of(train, recipe.schema),
        train_target=targets_of(recipe, train),
        holdout=features_of(found.holdout, recipe.schema).reset_index(drop=True),
        holdout_target=targets_of(recipe, found.holdout),
        digest=digest_of(pd.concat([train, found.holdout], ignore_index=True)),
        # Future traffic will be like recent traffic, not like the old rows.
        reference_rows=features_of(pd.concat([recent, found.holdout]), recipe.schema),
    )
    return TrainingData(split, _retrained(request, share, len(kept), len(recent)))


def _retrained(
    request: RetrainingRequest, share: float, rows_old: int, rows_recent: int
) -> Retrained:
    return Retrained(
        retraining_id=request.retraining_id,
        reason=request.reason,
        because=request.because,
        verdict_id=request.verdict_id,
        learned_until=request.evaluation_start,
        evaluation_series=request.evaluation_series,
        old_share=share,
        rows_old=rows_old,
        rows_recent=rows_recent,
    )


def best_share(recipe: Recipe, found: Partition, seed: int) -> float:
    """The largest share that is not significantly (95 %) worse than the best, on validation rows.

    Old rows are dropped only for a reason. If the world has not changed, all candidates are
    about as good, and the one with the most rows is the least noisy.
    """
    target = encoded_targets(recipe, targets_of(recipe, found.validation))
    candidates = dict(_candidates(recipe, found, seed))
    if not candidates:
        return SHARES[0]
    metric = recipe.gates[0].metric
    shares = list(candidates)
    best = shares[0]
    for share in shares[1:]:
        gain = paired_improvement(
            recipe.task, metric, target, candidates[share], candidates[best], ALPHA
        )
        if gain.difference > 0:
            best = share
    for share in shares:
        lead = paired_improvement(
            recipe.task, metric, target, candidates[best], candidates[share], ALPHA
        )
        if lead.low <= 0:
            return share
    return best


def _candidates(recipe: Recipe, found: Partition, seed: int) -> Iterator[tuple[float, Predictions]]:
    """Each share of the old rows, with its model's predictions for the validation rows."""
    validation = features_of(found.validation, recipe.schema)
    for share in SHARES:
        kept = _sampled(found.old, share, np.random.default_rng(seed))
        rows = pd.concat([kept, found.recent], ignore_index=True)
        if not _can_be_learned(recipe, rows):
            continue
        targets, features = targets_of(recipe, rows), features_of(rows, recipe.schema)
        learned = with_learned_categories(recipe, features)
        pipeline = fitted_pipeline(learned, features, targets, seed)
        threshold = decision_threshold(pipeline.named_steps["model"], learned)
        yield share, Predictions(scores_of(pipeline, validation, learned), threshold)


def _sampled(old: pd.DataFrame, share: float, rng: np.random.Generator) -> pd.DataFrame:
    """A share of the old rows, drawn at random, in their order."""
    if share >= 1:
        return old
    drawn = rng.permutation(len(old))[: round(share * len(old))]
    return old.iloc[np.sort(drawn)]


def _can_be_learned(recipe: Recipe, rows: pd.DataFrame) -> bool:
    if len(rows) < MIN_TABLE_ROWS:
        return False
    if not recipe.is_classifier:
        return True
    return set(rows[recipe.targets[0]].astype(str)) == set(recipe.classes)
