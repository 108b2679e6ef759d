"""The paired evaluation: both versions' predictions for rows that neither has learned."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from contracts.errors import InvalidData
from contracts.manifest import Manifest
from training.dataset import encoded_targets, targets_of
from training.evaluation.holdout import common_holdout
from training.evaluation.model_version import ModelVersion
from training.evaluation.predictions import Predictions
from training.metrics import METRICS, Target, metrics_for
from training.recipe import Recipe

MIN_COMMON_ROWS = 30
"""Fewer rows show only enormous improvements; see docs/gate.md."""


@dataclass(frozen=True)
class PairedEvaluation:
    """Rows, their targets and both versions' predictions.

    `rows` are the recipe's, in its order. `target` is as in `training.metrics`. `digest` names
    the evaluation, so that attempts at it can be counted. Neighbours among rows `in_time_order`
    may resemble each other.
    """

    digest: str
    recipe: Recipe
    rows: pd.DataFrame
    target: Target
    challenger: Predictions
    production: Predictions
    in_time_order: bool = False

    @property
    def metric(self) -> str:
        """The metric of the comparison, which is the metric of the recipe's first gate."""
        return self.recipe.gates[0].metric

    def value(self, predictions: Predictions) -> float:
        """The metric of one version's predictions."""
        metric = METRICS[self.recipe.task][self.metric]
        return metric.value(self.target, predictions.scores, predictions.threshold)


def evaluate_pair(
    recipe: Recipe, challenger: ModelVersion, production: ModelVersion
) -> PairedEvaluation:
    """Predict the rows that neither version has learned with both versions.

    Raises:
        InvalidData: the recipe's rows cannot be read, lack a feature of a version, or too few
            of them are left; or the versions predict different targets.

    """
    _check_same_targets(recipe, challenger.manifest, production.manifest)
    _check_metric(recipe, challenger.manifest, production.manifest)
    holdout = common_holdout(recipe, challenger, production)
    rows = holdout.rows
    if len(rows) < MIN_COMMON_ROWS:
        raise InvalidData(
            f"recipe {recipe.name!r}: expected at least {MIN_COMMON_ROWS} rows that versions "
            f"{challenger.version} and {production.version} both held out, got {len(rows)}",
            remedy="train a challenger on today's data, with the seed of production",
        )
    target = encoded_targets(recipe, targets_of(recipe, rows))
    if np.all(target == target[0]):
        raise InvalidData(
            f"recipe {recipe.name!r}: expected different targets among the {len(rows)} rows that "
            f"both versions held out, got {target[0]} only",
            remedy="train a challenger on today's data, with the seed of production",
        )
    return PairedEvaluation(
        digest=holdout.digest,
        recipe=recipe,
        rows=rows,
        target=target,
        challenger=challenger.predict(rows),
        production=production.predict(rows),
        in_time_order=holdout.in_time_order,
    )


def _check_metric(recipe: Recipe, challenger: Manifest, production: Manifest) -> None:
    metric = recipe.gates[0].metric
    for manifest, role in ((challenger, "the challenger"), (production, "production")):
        if recipe.is_classifier and metric not in metrics_for(recipe.task, manifest.score_kind):
            raise InvalidData(
                f"recipe {recipe.name!r}: expected {role} to have the metric {metric}, got a "
                f"version with {manifest.scores_name} only",
                remedy="put a metric that both versions have first in gates, or promote with "
                "--force",
            )


def _check_same_targets(recipe: Recipe, challenger: Manifest, production: Manifest) -> None:
    for manifest, role in ((challenger, "the challenger"), (production, "production")):
        expected = (recipe.task, recipe.classes, () if recipe.is_classifier else recipe.targets)
        if (manifest.task, manifest.classes, manifest.outputs) != expected:
            got = ", ".join(manifest.classes or manifest.outputs)
            raise InvalidData(
                f"recipe {recipe.name!r}: expected {role} to predict {recipe.task} of "
                f"{', '.join(recipe.classes or recipe.targets)}, got {manifest.task} of {got}",
                remedy="versions with different targets cannot be compared; promote with --force",
            )
