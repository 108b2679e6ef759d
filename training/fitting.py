"""Fits a recipe, and learns everything about the model that is known before it is logged."""

from dataclasses import dataclass, replace
from typing import Protocol

from sklearn.pipeline import Pipeline

from contracts.decision_rule import Scores
from contracts.errors import InvalidRecipe
from contracts.manifest import Certificate, Metric, ScoreKind
from training.compression import CompressionReport
from training.dataset import TrainingData, encoded_targets, load_table, split
from training.forms import input_dtype
from training.importance import Importance, importance_of
from training.learned import learned_recipe
from training.metrics import Target, holdout_metrics, metrics_for
from training.notes import collected_notes
from training.pipeline import errors_of_the_estimator, fitted_pipeline, scores_of
from training.recipe import Recipe
from training.score_kind import decision_threshold, score_kind_of
from training.served_form import ServedForm, served_form
from training.threshold import ThresholdCurve
from training.trust import check_estimator


class LoadData(Protocol):
    """Where the rows of a training run come from."""

    def __call__(self, recipe: Recipe, seed: int, /) -> TrainingData:
        """The rows to learn and to hold out. Raises InvalidData."""


@dataclass(frozen=True)
class FittedModel:
    """A fitted, exported and certified model.

    `recipe` has what its rows decided: categories of strings, fewer leaves per tree (`compression`
    says why), a threshold that was chosen (with its curve) or learned by the estimator. `scores`
    are the scores of the held-out rows, shape
    `(n_rows, n_outputs)`, of the pipeline or, if that has learned these rows, of a version that
    has not, and `importance` is of the same; `score_kind` says what they are. `target` is as in
    `training.metrics`, and `form` is what is served. `notes` are what a person should know
    though nothing failed, such as a warning that the fit did not converge.
    """

    recipe: Recipe
    data: TrainingData
    pipeline: Pipeline
    score_kind: ScoreKind
    scores: Scores
    target: Target
    metrics: dict[str, Metric]
    importance: Importance
    form: ServedForm
    notes: tuple[str, ...] = ()
    threshold_curve: ThresholdCurve | None = None
    compression: CompressionReport | None = None

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
    with errors_of_the_estimator(recipe, "estimator"):
        check_estimator(recipe.estimator(), recipe.name)
    data = load(recipe, seed)
    rows = data.split
    dtype = input_dtype(recipe.schema, rows.train)
    learned = learned_recipe(recipe, rows.train, rows.train_target, seed, dtype)
    recipe = learned.recipe
    pipeline = fitted_pipeline(recipe, rows.train, rows.train_target, seed, dtype)
    kind = score_kind_of(pipeline, recipe)
    if learned.threshold_curve is None:
        recipe = recipe.with_threshold(decision_threshold(pipeline.named_steps["model"], recipe))
    check_needs(recipe, kind)
    form = served_form(pipeline, recipe, rows, seed, dtype)
    pipeline = form.pipeline
    with errors_of_the_estimator(recipe, "predict"):
        scores = data.holdout_scores
        if scores is None:
            scores = scores_of(pipeline, rows.holdout, recipe)
        importance = data.importance or importance_of(
            pipeline, recipe, rows.holdout, rows.holdout_target, seed
        )
    target = encoded_targets(recipe, rows.holdout_target)
    at = recipe.threshold
    return FittedModel(
        recipe=recipe,
        data=data,
        pipeline=pipeline,
        score_kind=kind,
        scores=scores,
        target=target,
        metrics=holdout_metrics(recipe.task, target, scores, kind, threshold=at, seed=seed),
        importance=importance,
        form=form,
        threshold_curve=learned.threshold_curve,
        compression=learned.compression,
    )


def check_needs(recipe: Recipe, kind: ScoreKind) -> None:
    """Refuse gates and rules that need more than the scores say.

    Raises:
        InvalidRecipe: naming the metrics, and those that there are.

    """
    remedy = "give the model probabilities with CalibratedClassifierCV, or ask for less"
    known = metrics_for(recipe.task, kind)
    missing = [gate.metric for gate in recipe.gates if gate.metric not in known]
    if missing:
        raise InvalidRecipe(
            f"recipe {recipe.name!r}: gates: expected metrics of a model with {kind}s "
            f"({', '.join(known)}), got {', '.join(missing)}",
            remedy=remedy,
        )
    if recipe.threshold_rule is not None and kind != "probability":
        raise InvalidRecipe(
            f"recipe {recipe.name!r}: threshold: expected a number for a model with {kind}s, "
            f"got {recipe.threshold_rule}",
            remedy=remedy,
        )
