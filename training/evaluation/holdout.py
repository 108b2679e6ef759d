"""Which rows two versions are asked: those that neither has learned."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contracts.errors import InvalidData
from contracts.manifest import Manifest
from contracts.names import MODEL_FILE, SAMPLE_FILE
from training.dataset import load_table
from training.evaluation.row_keys import Keys, copies, keys_of
from training.recipe import Recipe


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

    @property
    def held_out(self) -> pd.DataFrame:
        """The rows that it was not fitted on (at most 20,000), with their `label`."""
        return pd.read_parquet(io.BytesIO((self.directory / SAMPLE_FILE).read_bytes()))


@dataclass(frozen=True)
class ExamRows:
    """Rows with the recipe's target, and the digest that names the exam."""

    rows: pd.DataFrame
    digest: str


def exam_rows(recipe: Recipe, challenger: Sitter, production: Sitter) -> ExamRows:
    """The rows that neither version has learned.

    Where one was trained anew on traffic (`slipway retrain`), they are the labelled traffic of
    late that it held out; else the recipe's rows that both held out.

    Raises:
        InvalidData: the recipe's rows cannot be read, or lack what a version must be asked.

    """
    anew = [(s.manifest.retrained, s) for s in (challenger, production) if s.manifest.retrained]
    if not anew:
        table = load_table(recipe)
        chosen = _held_out_by_both(recipe, table, challenger, production)
        return ExamRows(table.iloc[chosen].reset_index(drop=True), exam_digest(recipe, table))
    retrained, later = max(anew, key=lambda pair: pair[0].learned_until)
    other = production if later is challenger else challenger
    series = f"{recipe.name}\0{retrained.evaluation_series}\0{production.digest}"
    return ExamRows(_recent_rows(recipe, later, other), hashlib.sha256(series.encode()).hexdigest())


def exam_digest(recipe: Recipe, table: pd.DataFrame) -> str:
    """sha256 over every answer of the recipe's data, in order: it names the exam.

    Answers only: who adds a feature, or splits with another seed, sits the same exam again.
    """
    answers = table[list(recipe.targets)]
    hashes = pd.util.hash_pandas_object(answers, index=False).to_numpy()
    return hashlib.sha256(recipe.name.encode() + b"\0" + hashes.tobytes()).hexdigest()


def _recent_rows(recipe: Recipe, later: Sitter, other: Sitter) -> pd.DataFrame:
    """The rows that the version held out which learned last.

    The other has learned what was before them, or rows of the recipe; those of the latter that
    came back as traffic are taken out.
    """
    rows = later.held_out.rename(columns={"label": recipe.targets[0]})
    _check_columns(recipe, rows, other)
    if other.manifest.retrained is not None:
        return rows
    table = load_table(recipe)
    _check_columns(recipe, table, other)
    keys = _keys(recipe, table, other)
    learned = keys[~copies(keys, _held_out_keys(recipe, other))]
    return rows[~copies(_keys(recipe, rows, other), learned)].reset_index(drop=True)


def _held_out_by_both(
    recipe: Recipe, table: pd.DataFrame, challenger: Sitter, production: Sitter
) -> NDArray[np.int64]:
    """Positions of rows that neither version was fitted on, in the order of the table.

    Each version carries its held-out rows (at most 20,000), so this is known whatever the
    seeds were and however the data have grown since.
    """
    kept = np.arange(len(table))
    for sitter in (challenger, production):
        _check_columns(recipe, table, sitter)
        keys = _keys(recipe, table, sitter)[kept]
        kept = kept[copies(keys, _held_out_keys(recipe, sitter))]
    return kept


def _check_columns(recipe: Recipe, table: pd.DataFrame, sitter: Sitter) -> None:
    missing = [name for name in sitter.manifest.schema.names if name not in table.columns]
    if missing:
        raise InvalidData(
            f"recipe {recipe.name!r}: load: expected the columns {', '.join(missing)}, which "
            f"version {sitter.version} must be asked, got {', '.join(map(str, table.columns))}",
            remedy="let the loader give them, though the schema has them no more",
        )


def _keys(recipe: Recipe, table: pd.DataFrame, sitter: Sitter) -> Keys:
    return keys_of(recipe, table, sitter.manifest.schema, recipe.targets[0])


def _held_out_keys(recipe: Recipe, sitter: Sitter) -> Keys:
    return keys_of(recipe, sitter.held_out, sitter.manifest.schema, "label")
