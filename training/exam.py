"""The exam: rows that two versions both held out, with both models' answers to them."""

import hashlib
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contracts.errors import InvalidData
from contracts.manifest import Manifest
from contracts.names import MODEL_FILE, SAMPLE_FILE
from contracts.schema import Schema
from training.metrics import METRICS, Scores, Truth
from training.recipe import Recipe
from training.session import onnx_scores
from training.table import features_of, load_table, rows_of

FEWEST_ROWS = 30
"""Fewer rows show nothing short of a miracle; see docs/gate.md."""


@dataclass(frozen=True)
class Sitter:
    """A version that sits the exam: its number, manifest and verified model directory."""

    version: int
    manifest: Manifest
    digest: str
    directory: Path

    @property
    def model(self) -> bytes:
        """The ONNX model."""
        return (self.directory / MODEL_FILE).read_bytes()


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
    """Let two versions answer the rows that both held out.

    Raises:
        InvalidData: the recipe's rows cannot be read, lack what a version must be asked, or
            too few of them were held out by both; or the versions answer different questions.

    """
    _check_same_question(recipe, challenger.manifest, production.manifest)
    table = load_table(recipe)
    chosen = _held_out_by_both(recipe, table, challenger, production)
    if len(chosen) < FEWEST_ROWS:
        raise InvalidData(
            f"recipe {recipe.name!r}: expected at least {FEWEST_ROWS} rows that versions "
            f"{challenger.version} and {production.version} both held out, got {len(chosen)}",
            remedy="train a challenger on the data of today, with the seed of production",
        )
    rows = table.iloc[chosen].reset_index(drop=True)
    truth = truth_of(recipe, rows)
    if np.all(truth == truth[0]):
        raise InvalidData(
            f"recipe {recipe.name!r}: expected different answers to the {len(rows)} rows that "
            f"both versions held out, got {truth[0]} only",
            remedy="train a challenger on the data of today, with the seed of production",
        )
    return SatExam(
        digest=exam_digest(recipe, table),
        recipe=recipe,
        rows=rows,
        truth=truth,
        challenger=_answered(challenger, rows),
        production=_answered(production, rows),
    )


def exam_digest(recipe: Recipe, table: pd.DataFrame) -> str:
    """sha256 over every answer of the recipe's data, in order: it names the exam.

    Answers only: who adds a feature, or splits with another seed, sits the same exam again.
    """
    answers = table[list(recipe.targets)]
    hashes = pd.util.hash_pandas_object(answers, index=False).to_numpy()
    return hashlib.sha256(recipe.name.encode() + b"\0" + hashes.tobytes()).hexdigest()


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


def _held_out_by_both(
    recipe: Recipe, table: pd.DataFrame, challenger: Sitter, production: Sitter
) -> NDArray[np.int64]:
    """Positions of rows that neither version was fitted on, in the order of the table.

    Each version carries its held-out rows (at most 20,000), so this is known whatever the
    seeds were and however the data have grown since.
    """
    kept = np.ones(len(table), dtype=bool)
    for sitter in (challenger, production):
        kept &= _held_out(recipe, table, sitter, kept)
    return np.flatnonzero(kept)


def _held_out(
    recipe: Recipe, table: pd.DataFrame, sitter: Sitter, among: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which rows of the table a version held out; of equal rows only as many as it held out."""
    schema = sitter.manifest.schema
    missing = [name for name in schema.names if name not in table.columns]
    if missing:
        raise InvalidData(
            f"recipe {recipe.name!r}: load: expected the columns {', '.join(missing)}, which "
            f"version {sitter.version} must be asked, got {', '.join(map(str, table.columns))}",
            remedy="let the loader give them, though the schema has them no more",
        )
    sample = pd.read_parquet(io.BytesIO((sitter.directory / SAMPLE_FILE).read_bytes()))
    left = Counter(_keys(recipe, sample, schema, "label").tolist())
    found = np.zeros(len(table), dtype=bool)
    keys = _keys(recipe, table, schema, recipe.targets[0])
    for place in np.flatnonzero(among):
        if left[keys[place]] > 0:
            left[keys[place]] -= 1
            found[place] = True
    return found


def _keys(recipe: Recipe, table: pd.DataFrame, schema: Schema, label: str) -> NDArray[np.uint64]:
    """One number a row, from its features and its (first) label."""
    try:
        features = features_of(table, schema)
    except (TypeError, ValueError) as err:
        raise InvalidData(
            f"recipe {recipe.name!r}: expected rows of the types that the version knows, got {err}",
            remedy="two kinds of rows have no common exam; promote with --force",
        ) from err
    kind = "str" if recipe.is_classifier else "float64"
    keyed = features.assign(**{"label of the row": table[label].astype(kind)})
    return pd.util.hash_pandas_object(keyed, index=False).to_numpy()


def _answered(sitter: Sitter, rows: pd.DataFrame) -> Sheet:
    """A version's answers to rows as the service would give them: settled, then asked."""
    schema = sitter.manifest.schema
    settled = [schema.settle(row)[0] for row in rows_of(rows, schema)]
    scores = onnx_scores(sitter.model, schema.matrix(settled)).astype(np.float64)
    return Sheet(scores, 0.5 if sitter.manifest.threshold is None else sitter.manifest.threshold)


def golden_difference(sitter: Sitter) -> float:
    """Largest difference between the recorded answers of a version and those it gives here."""
    golden = sitter.manifest.golden
    matrix = sitter.manifest.schema.matrix([request.features for request in golden])
    recorded: NDArray[Any] = np.array([request.scores for request in golden])
    return float(np.abs(onnx_scores(sitter.model, matrix) - recorded).max())
