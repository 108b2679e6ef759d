"""Fits a recipe, and learns everything about the model that is known before it is logged."""

from dataclasses import dataclass, replace
from typing import Protocol

from sklearn.pipeline import Pipeline

from contracts.decision_rule import Scores
from contracts.manifest import Certificate, Metric
from training.dataset import TrainingData, encoded_targets, load_table, split
from training.importance import Importance, importance_of
from training.learned import learned_recipe
from training.metrics import Target, holdout_metrics
from training.notes import collected_notes
from training.pipeline import fitted_pipeline, scores_of
from training.recipe import Recipe
from training.served_form import ServedForm, served_form
from training.threshold import ThresholdCurve


class LoadData(Protocol):
    """Where the rows of a training run come from."""

    def __call__(self, recipe: Recipe, seed: int, /) -> TrainingData:
        """The rows to learn and to hold out. Raises InvalidData."""


@dataclass(frozen=True)
class FittedModel:
    """A fitted, exported and certified model.

    `scores` are the pipeline's scores of the held-out rows, shape `(n_rows, n_outputs)`,
    `target` is as in `training.metrics`, and `form` is what is served. `notes` are what a person
    should know though nothing failed, such as a warning that the fit did not converge. `recipe`
    has what its rows decided: categories of strings, and a chosen threshold with its curve.
    """

    recipe: Recipe
    data: TrainingData
    pipeline: Pipeline
    scores: Scores
    target: Target
    metrics: dict[str, Metric]
    importance: Importance
    form: ServedForm
    notes: tuple[str, ...] = ()
    threshold_curve: ThresholdCurve | None = None

    @property
    def certificate(self) -> Certificate:
        """The proof that what is served answers like the pipeline."""
        return self.form.certificate


def recipe_data(recipe: Recipe, seed: int) -> TrainingData:
    """The recipe's own rows, split at random."""
    return TrainingData(split(recipe, load_table(recipe), seed))


def fit(recipe: Recipe, seed: int = 0, load: LoadData = recipe_data) -> FittedModel:
    """Load the rows, fit the recipe, measure it on the held-out rows, export and certify it.

    Raises:
        InvalidRecipe: the estimator has no form that can be served.
        InvalidData: the rows cannot be read, break the schema or are too few.
        CertificateFailed: what would be served predicts differently.

    """
    with collected_notes() as notes:
        fitted = _fit(recipe, seed, load)
    return replace(fitted, notes=tuple(notes))


def _fit(recipe: Recipe, seed: int, load: LoadData) -> FittedModel:
    data = load(recipe, seed)
    rows = data.split
    recipe, curve = learned_recipe(recipe, rows.train, rows.train_target, seed)
    pipeline = fitted_pipeline(recipe, rows.train, rows.train_target, seed)
    scores = scores_of(pipeline, rows.holdout, recipe)
    target = encoded_targets(recipe, rows.holdout_target)
    return FittedModel(
        recipe=recipe,
        data=data,
        pipeline=pipeline,
        scores=scores,
        target=target,
        metrics=holdout_metrics(recipe.task, target, scores, threshold=recipe.threshold, seed=seed),
        importance=importance_of(pipeline, recipe, rows.holdout, rows.holdout_target, seed),
        form=served_form(pipeline, recipe, rows, seed),
        threshold_curve=curve,
    )
