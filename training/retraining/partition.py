"""Rows of late beside rows of old: what a retraining learns, and what it may never see.

The labelled traffic of an order lies in time as `old | learn | choose | exam`. Candidates that
keep more or fewer of the old rows are fitted on `learn` and held against each other on
`choose`; the one that is chosen is then fitted on `learn` and `choose`. The exam is seen by
nobody before the gate.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from contracts.errors import InvalidData
from contracts.retraining import RetrainingRequest
from training.dataset import (
    FEWEST_ROWS,
    Split,
    answers_of,
    digest_of,
    features_of,
    load_table,
    suspects_of,
)
from training.evaluation.bootstrap import ALPHA, paired
from training.evaluation.paired import Sheet
from training.evaluation.row_keys import Keys, copies, keys_of
from training.pipeline import fitted_pipeline, scores_of
from training.recipe import Recipe
from training.run import places_of

SHARES = (1.0, 0.3, 0.1, 0.0)
"""How much of the old rows the candidates keep."""
CHOOSE_SHARE = 0.3
"""Of the recent rows before the exam, the newest, on which candidates are compared."""
FEWEST_OF_A_CLASS = 10


@dataclass(frozen=True)
class Parts:
    """The rows of a retraining, with features and targets; no row is in two of them."""

    old: pd.DataFrame
    learn: pd.DataFrame
    choose: pd.DataFrame
    exam: pd.DataFrame


@dataclass(frozen=True)
class Chosen:
    """What is learned: the split, and how much of the old rows is in it."""

    split: Split
    old_share: float
    rows_old: int
    rows_recent: int


def parts_of(recipe: Recipe, order: RetrainingRequest, labelled: pd.DataFrame) -> Parts:
    """The recipe's rows and the order's, apart by time.

    Of a row in the exam, equal rows elsewhere (a request that was sent twice, a row of the
    recipe's data that came back as traffic) are taken out, as many as the exam has; likewise
    for the rows on which candidates are compared.

    Raises:
        InvalidData: the recipe's rows cannot be read, or too few labelled rows are left.

    """
    n_exam, n_recent = order.evaluation_rows, order.recent_rows
    exam = _as_table(recipe, labelled.iloc[-n_exam:])
    before = _as_table(recipe, labelled.iloc[-n_recent:-n_exam])
    earlier = _as_table(recipe, labelled.iloc[:-n_recent])
    cut = round(len(before) * (1 - CHOOSE_SHARE))
    table = load_table(recipe)[[*recipe.schema.names, *recipe.targets]]
    old = pd.concat([table, earlier], ignore_index=True)
    choose = _without(recipe, before.iloc[cut:], exam)
    learn = _without(recipe, before.iloc[:cut], exam, choose)
    parts = Parts(_without(recipe, old, exam, choose), learn, choose, exam)
    _check_enough(recipe, order, parts)
    return parts


def chosen(recipe: Recipe, parts: Parts, seed: int) -> Chosen:
    """The rows to learn, with as many of the old ones as do no harm.

    Raises:
        InvalidData: no share of the old rows leaves rows of every class.

    """
    share = recipe.old_share if recipe.old_share is not None else _best_share(recipe, parts, seed)
    rng = np.random.default_rng(seed)
    kept = _kept(parts.old, share, rng)
    recent = pd.concat([parts.learn, parts.choose], ignore_index=True)
    train = pd.concat([kept, recent], ignore_index=True)
    if not _learnable(recipe, train):
        raise InvalidData(
            f"recipe {recipe.name!r}: old_share: expected at least {FEWEST_ROWS} rows and every "
            f"class among them, got {len(train)} rows with {share:g} of the old ones",
            remedy="let the recipe keep more old rows, or leave old_share out",
        )
    everything = pd.concat([train, parts.exam], ignore_index=True)
    split = Split(
        train=features_of(train, recipe.schema),
        train_target=answers_of(recipe, train),
        holdout=features_of(parts.exam, recipe.schema).reset_index(drop=True),
        holdout_target=answers_of(recipe, parts.exam),
        digest=digest_of(everything),
        # Traffic to come is like that of late, not like what was learned beside it.
        usual=features_of(pd.concat([recent, parts.exam]), recipe.schema),
    )
    return Chosen(split, share, len(kept), len(recent))


def _as_table(recipe: Recipe, labelled: pd.DataFrame) -> pd.DataFrame:
    """Labelled traffic as the recipe's loader would give it, in its order.

    A feature that the recipe has new is missing in old traffic; rows that today's schema
    refuses, and truths that are none of today's classes, are left out.
    """
    if len(recipe.targets) != 1:
        raise InvalidData(
            f"recipe {recipe.name!r}: expected one target, since a label is one truth, got "
            f"{', '.join(recipe.targets)}",
            remedy="train it on data of your own: slipway train",
        )
    target = recipe.targets[0]
    table = labelled.rename(columns={"truth": target})
    absent = {name: None for name in recipe.schema.names if name not in table.columns}
    table = table.assign(**absent).reset_index(drop=True)
    if recipe.is_classifier:
        table = table[table[target].isin(recipe.classes)].reset_index(drop=True)
    fit = table.drop(index=suspects_of(table, recipe.schema)).reset_index(drop=True)
    return fit[[*recipe.schema.names, target]]


def _without(recipe: Recipe, rows: pd.DataFrame, *others: pd.DataFrame) -> pd.DataFrame:
    """The rows without copies of others: of each as many as the others have of it."""
    known = np.concatenate([_keys(recipe, other) for other in others])
    return rows[~copies(_keys(recipe, rows), known)].reset_index(drop=True)


def _keys(recipe: Recipe, rows: pd.DataFrame) -> Keys:
    return keys_of(recipe, rows, recipe.schema, recipe.targets[0])


def _check_enough(recipe: Recipe, order: RetrainingRequest, parts: Parts) -> None:
    counts = {"to learn": len(parts.learn), "to choose": len(parts.choose)}
    counts["for the exam"] = len(parts.exam)
    fewest = FEWEST_OF_A_CLASS if recipe.is_classifier else 1
    short = min(counts.values()) < FEWEST_ROWS // 2
    for rows in (parts.choose, parts.exam) if recipe.task == "binary" else ():
        of_each = rows[recipe.targets[0]].astype(str).value_counts()
        short |= any(of_each.get(name, 0) < fewest for name in recipe.classes)
    if short:
        got = ", ".join(f"{n} {what}" for what, n in counts.items())
        raise InvalidData(
            f"retraining {order.retraining_id}: expected labelled rows since {order.recent_start}"
            f", {FEWEST_ROWS // 2} for each use and {fewest} of each class, got {got}",
            remedy="wait for more labels",
        )


def _kept(old: pd.DataFrame, share: float, rng: np.random.Generator) -> pd.DataFrame:
    """A share of the old rows, drawn at random, in their order."""
    if share >= 1:
        return old
    places = rng.permutation(len(old))[: round(share * len(old))]
    return old.iloc[np.sort(places)]


def _learnable(recipe: Recipe, rows: pd.DataFrame) -> bool:
    if len(rows) < FEWEST_ROWS:
        return False
    return not recipe.is_classifier or set(rows[recipe.targets[0]].astype(str)) == set(
        recipe.classes
    )


def _best_share(recipe: Recipe, parts: Parts, seed: int) -> float:
    """The largest share that is not surely (95 %) worse than the best on the rows of choice.

    Old rows are dropped for a reason only: where the world is as it was, all candidates are
    about as good, and the one with the most rows is the least noisy.
    """
    truth = places_of(recipe, answers_of(recipe, parts.choose))
    sheets = dict(_candidates(recipe, parts, seed))
    if not sheets:
        return SHARES[0]
    metric = recipe.gates[0].metric
    shares = list(sheets)
    best = shares[0]
    for share in shares[1:]:
        if paired(recipe.task, metric, truth, sheets[share], sheets[best], ALPHA).difference > 0:
            best = share
    for share in shares:
        behind = paired(recipe.task, metric, truth, sheets[best], sheets[share], ALPHA)
        if behind.low <= 0:
            return share
    return best


def _candidates(recipe: Recipe, parts: Parts, seed: int) -> Iterator[tuple[float, Sheet]]:
    """Each share of the old rows with its model's answers to the rows of choice."""
    asked = features_of(parts.choose, recipe.schema)
    for share in SHARES:
        kept = _kept(parts.old, share, np.random.default_rng(seed))
        rows = pd.concat([kept, parts.learn], ignore_index=True)
        if not _learnable(recipe, rows):
            continue
        features = features_of(rows, recipe.schema)
        answers = answers_of(recipe, rows)
        pipeline = fitted_pipeline(recipe, Split(features, answers, asked, answers, ""), seed)
        yield share, Sheet(scores_of(pipeline, asked, recipe), recipe.threshold)
