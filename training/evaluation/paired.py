"""The exam: rows that neither of two versions has learned, with both models' answers to them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contracts.decision_rule import DecisionRule
from contracts.errors import InvalidData
from contracts.manifest import Manifest
from training.dataset import rows_of
from training.evaluation.holdout import Sitter, exam_rows
from training.metrics import METRICS, Scores, Truth
from training.onnx_session import onnx_scores
from training.recipe import Recipe

FEWEST_ROWS = 30
"""Fewer rows show nothing short of a miracle; see docs/gate.md."""


@dataclass(frozen=True)
class Sheet:
    """One version's answers: scores of shape `(n_rows, n_outputs)`, and its threshold."""

    scores: Scores
    threshold: float


@dataclass(frozen=True)
class SatExam:
    """Rows, truth and both versions' answers.

    `rows` are the recipe's, in its order; `truth` are places in the list of classes, shape
    `(n_rows,)`, or values, with a column for each of several targets.
    """

    digest: str
    recipe: Recipe
    rows: pd.DataFrame
    truth: Truth
    challenger: Sheet
    production: Sheet

    @property
    def metric(self) -> str:
        """The metric of the comparison: the recipe's first gate's."""
        return self.recipe.gates[0].metric

    def value(self, sheet: Sheet) -> float:
        """The metric of one version's answers."""
        function, _ = METRICS[self.recipe.task][self.metric]
        return function(self.truth, sheet.scores, sheet.threshold)


def sit(recipe: Recipe, challenger: Sitter, production: Sitter) -> SatExam:
    """Let two versions answer the rows that neither has learned.

    Raises:
        InvalidData: the recipe's rows cannot be read, lack what a version must be asked, or
            too few of them are left; or the versions answer different questions.

    """
    _check_same_question(recipe, challenger.manifest, production.manifest)
    chosen = exam_rows(recipe, challenger, production)
    rows = chosen.rows
    if len(rows) < FEWEST_ROWS:
        raise InvalidData(
            f"recipe {recipe.name!r}: expected at least {FEWEST_ROWS} rows that versions "
            f"{challenger.version} and {production.version} both held out, got {len(rows)}",
            remedy="train a challenger on the data of today, with the seed of production",
        )
    truth = truth_of(recipe, rows)
    if np.all(truth == truth[0]):
        raise InvalidData(
            f"recipe {recipe.name!r}: expected different answers to the {len(rows)} rows that "
            f"both versions held out, got {truth[0]} only",
            remedy="train a challenger on the data of today, with the seed of production",
        )
    return SatExam(
        digest=chosen.digest,
        recipe=recipe,
        rows=rows,
        truth=truth,
        challenger=_answered(challenger, rows),
        production=_answered(production, rows),
    )


def truth_of(recipe: Recipe, rows: pd.DataFrame) -> Truth:
    """Targets as places in the list of classes, or as values (one column each if several)."""
    if not recipe.is_classifier:
        values = rows[list(recipe.targets)].to_numpy(dtype=np.float64)
        return values[:, 0] if len(recipe.targets) == 1 else values
    place = {name: index for index, name in enumerate(recipe.classes)}
    return np.array([place[name] for name in rows[recipe.targets[0]].astype(str)])


def _check_same_question(recipe: Recipe, challenger: Manifest, production: Manifest) -> None:
    for manifest, who in ((challenger, "the challenger"), (production, "production")):
        expected = (recipe.task, recipe.classes, () if recipe.is_classifier else recipe.targets)
        if (manifest.task, manifest.classes, manifest.outputs) != expected:
            named = ", ".join(manifest.classes or manifest.outputs)
            raise InvalidData(
                f"recipe {recipe.name!r}: expected {who} to answer {recipe.task} of "
                f"{', '.join(recipe.classes or recipe.targets)}, got {manifest.task} of {named}",
                remedy="two questions have no common exam; promote with --force",
            )


def _answered(sitter: Sitter, rows: pd.DataFrame) -> Sheet:
    """A version's answers to rows as the service gives them, policies applied."""
    schema = sitter.manifest.schema
    applied = [schema.apply_policies(row)[0] for row in rows_of(rows, schema)]
    scores = onnx_scores(sitter.model, schema.matrix(applied)).astype(np.float64)
    return Sheet(scores, DecisionRule.of(sitter.manifest).threshold)


def golden_difference(sitter: Sitter) -> float:
    """Largest difference between the recorded answers of a version and those it gives here."""
    golden = sitter.manifest.golden
    matrix = sitter.manifest.schema.matrix([request.features for request in golden])
    recorded: NDArray[Any] = np.array([request.scores for request in golden])
    return float(np.abs(onnx_scores(sitter.model, matrix) - recorded).max())
