"""The rows of a retraining: those to learn, as its candidates came out, and those held out."""

import pandas as pd

from contracts.errors import InvalidData
from contracts.manifest import Retrained
from contracts.retraining import RetrainingRequest
from training.dataset import (
    MIN_TABLE_ROWS,
    Split,
    TrainingData,
    digest_of,
    features_of,
    targets_of,
)
from training.metrics import METRICS
from training.notes import add_note
from training.recipe import Recipe
from training.retraining.partition import Partition
from training.retraining.row_choice import (
    CONSTANT_BASELINE,
    RowChoice,
    Selection,
    can_be_learned,
    select_rows,
)


def retraining_data(
    recipe: Recipe, request: RetrainingRequest, found: Partition, seed: int
) -> TrainingData:
    """The rows to learn, with as many of the old ones as do no harm, and the held-out rows.

    Raises:
        InvalidData: the rows that were chosen are too few, or none of a class.

    """
    selection = _selection(recipe, found, seed)
    recent = pd.concat([found.recent, found.validation], ignore_index=True)
    train = selection.choice.learned(found.old, recent, seed)
    if not can_be_learned(recipe, train):
        raise InvalidData(
            f"recipe {recipe.name!r}: old_data_share: expected at least {MIN_TABLE_ROWS} rows and "
            f"every class among them, got {len(train)} rows with {selection.choice.name}",
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
    return TrainingData(split, _retrained(request, selection, len(train), len(recent)))


def _selection(recipe: Recipe, found: Partition, seed: int) -> Selection:
    """The recipe's own choice, or the best of the candidates."""
    if recipe.old_data_share is not None:
        return Selection(RowChoice(recipe.old_data_share), {})
    selection = select_rows(recipe, found, seed)
    metric = recipe.gates[0].metric
    sign = METRICS[recipe.task][metric].sign
    ours = selection.metrics.get(selection.choice.name)
    constant = selection.metrics[CONSTANT_BASELINE]
    if ours is not None and sign * ours <= sign * constant:
        add_note(
            f"{metric} is {ours:.4g} on {len(found.validation):,} validation rows and "
            f"{constant:.4g} for a constant prediction: nothing was learned from the features"
        )
    return selection


def _retrained(
    request: RetrainingRequest, selection: Selection, n_train: int, n_recent: int
) -> Retrained:
    recent = min(n_recent, n_train)
    return Retrained(
        retraining_id=request.retraining_id,
        reason=request.reason,
        because=request.because,
        verdict_id=request.verdict_id,
        learned_until=request.evaluation_start,
        evaluation_series=request.evaluation_series,
        old_share=0.0 if selection.choice.newest else selection.choice.old_share,
        newest_rows=selection.choice.newest,
        candidates=selection.metrics,
        rows_old=n_train - recent,
        rows_recent=recent,
        sought=request.sought,
    )
