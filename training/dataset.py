"""A recipe's rows: loaded, checked against the schema, and split into training and held-out rows.

The functions for rows and targets, and `read_csv` for recipes, can be imported from here too.
"""

import hashlib
from dataclasses import dataclass

import pandas as pd

from contracts.decision_rule import Scores
from contracts.errors import InvalidData, PlatformError
from contracts.manifest import Retrained
from training.importance import Importance
from training.leakage import note_leaks
from training.metrics import Target
from training.recipe import Recipe
from training.rows import features_of, frame_of, plain_rows, row_hashes, suspects_of
from training.splitting import held_out
from training.table_checks import MIN_TABLE_ROWS, checked_table
from training.tables.files import read_csv, read_parquet
from training.tables.frame import data_frame
from training.targets import encoded_targets, targets_of
from training.user_code import failed_at

__all__ = [
    "MIN_TABLE_ROWS",
    "Split",
    "TrainingData",
    "digest_of",
    "encoded_targets",
    "features_of",
    "frame_of",
    "load_table",
    "plain_rows",
    "read_csv",
    "read_parquet",
    "split",
    "suspects_of",
    "targets_of",
]


@dataclass(frozen=True)
class Split:
    """Training and held-out rows: features as a DataFrame, targets as `targets_of` gives them.

    `digest` is the sha256 of all rows. `reference_rows` are the features with which monitoring
    compares traffic; by default the training rows.
    """

    train: pd.DataFrame
    train_target: Target
    holdout: pd.DataFrame
    holdout_target: Target
    digest: str
    reference_rows: pd.DataFrame | None = None


@dataclass(frozen=True)
class TrainingData:
    """The rows of a training run; for a retraining also why, and on what.

    `holdout_scores` are the scores of the held-out rows, shape `(n_rows, n_outputs)`, of a version
    that has not learned them, where the rows to learn hold them; `importance` is that version's.
    """

    split: Split
    retrained: Retrained | None = None
    holdout_scores: Scores | None = None
    importance: Importance | None = None


def load_table(recipe: Recipe) -> pd.DataFrame:
    """The recipe's rows, checked against its schema, with an index from 0.

    Features and targets are in the types of the schema: numbers and booleans float64, categories
    and classes `str`. Other columns are as they came.

    Raises:
        InvalidData: the loader failed, a column is missing, or rows break the schema.

    """
    try:
        loaded = recipe.load()
    except PlatformError:
        raise
    except (Exception, SystemExit) as err:
        raise InvalidData(
            f"recipe {recipe.name!r}: load: expected a DataFrame, got {failed_at(err)}",
            remedy="fix the recipe's loader",
        ) from err
    try:
        table = data_frame(loaded, recipe.schema)
    except InvalidData as err:
        raise InvalidData(f"recipe {recipe.name!r}: load: {err.what}", remedy=err.remedy) from err
    return checked_table(recipe, table.reset_index(drop=True))


def split(recipe: Recipe, table: pd.DataFrame, seed: int) -> Split:
    """The rows to learn, and a quarter of the rows held out, as `training.splitting` divides them.

    The same table and seed always hold out the same rows.

    Raises:
        InvalidData: a class has too few rows or is on one side only, or the column by which the
            rows are split cannot be read.

    """
    features = features_of(table, recipe.schema)
    targets = targets_of(recipe, table)
    train, holdout = held_out(recipe, table, seed)
    note_leaks(recipe, features, encoded_targets(recipe, targets), train, holdout)
    return Split(
        features.iloc[train],
        targets[train],
        features.iloc[holdout],
        targets[holdout],
        digest_of(table),
    )


def digest_of(table: pd.DataFrame) -> str:
    """sha256 over column names and every value, in order."""
    sha = hashlib.sha256("\0".join(map(str, table.columns)).encode())
    sha.update(row_hashes(table).tobytes())
    return sha.hexdigest()
