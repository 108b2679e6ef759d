"""A recipe tried on a sample of its rows: loaded, checked, fitted, exported and certified.

Nothing is registered, and no run is opened.
"""

import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from contracts.manifest import Certificate, Metric
from training.dataset import TrainingData, encoded_targets
from training.fitting import FittedModel, fit, recipe_data
from training.metrics import METRICS, Target
from training.recipe import Recipe

MAX_TRIED_ROWS = 2_000
"""Rows that are learned, and that are held out, each at most."""


@dataclass(frozen=True)
class TriedRecipe:
    """What a dry run found; `baseline` has the metrics of a constant prediction."""

    name: str
    metrics: dict[str, Metric]
    baseline: dict[str, float]
    certificate: Certificate
    n_train: int
    n_holdout: int
    seconds: float
    notes: tuple[str, ...]


def try_recipe(recipe: Recipe, seed: int = 0) -> TriedRecipe:
    """Fit and certify a recipe on at most `MAX_TRIED_ROWS` rows.

    Raises:
        InvalidRecipe, InvalidData, CertificateFailed: as a training does.

    """
    start = time.monotonic()
    fitted = fit(recipe, seed, sampled_data)
    return TriedRecipe(
        name=recipe.name,
        metrics=fitted.metrics,
        baseline=baseline_metrics(fitted),
        certificate=fitted.certificate,
        n_train=len(fitted.data.split.train),
        n_holdout=len(fitted.data.split.holdout),
        seconds=time.monotonic() - start,
        notes=fitted.notes,
    )


def sampled_data(recipe: Recipe, seed: int) -> TrainingData:
    """A sample of the recipe's rows on both sides of its split, with every class."""
    data = recipe_data(recipe, seed)
    rng = np.random.default_rng(seed)
    train = _sampled(recipe, data.split.train_target, rng)
    holdout = _sampled(recipe, data.split.holdout_target, rng)
    return TrainingData(
        replace(
            data.split,
            train=data.split.train.iloc[train],
            train_target=data.split.train_target[train],
            holdout=data.split.holdout.iloc[holdout],
            holdout_target=data.split.holdout_target[holdout],
        )
    )


def baseline_metrics(fitted: FittedModel) -> dict[str, float]:
    """The metrics of the held-out rows for one answer to all: class shares, or the mean."""
    recipe, rows = fitted.recipe, fitted.data.split
    learned = encoded_targets(recipe, rows.train_target)
    if recipe.is_classifier:
        constant = np.bincount(learned, minlength=len(recipe.classes)) / len(learned)
    else:
        constant = np.atleast_1d(learned.mean(axis=0))
    scores = np.tile(constant, (len(fitted.target), 1)).astype(np.float64)
    at = recipe.decision_rule.threshold
    return {
        name: float(metric.value(fitted.target, scores, at))
        for name, metric in METRICS[recipe.task].items()
    }


def _sampled(recipe: Recipe, targets: Target, rng: np.random.Generator) -> NDArray[np.int64]:
    """Positions of a random sample; the rows of each class that come first are among them."""
    n_rows = len(targets)
    if n_rows <= MAX_TRIED_ROWS:
        return np.arange(n_rows)
    first = [np.flatnonzero(targets == name)[:2] for name in recipe.classes]
    kept = np.concatenate(first) if first else np.array([], dtype=np.int64)
    chosen = np.union1d(kept, rng.choice(n_rows, MAX_TRIED_ROWS - len(kept), replace=False))
    return np.asarray(rng.permutation(chosen), dtype=np.int64)
