"""The rows on which two versions are compared: those that neither has learned."""

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contracts.errors import InvalidData
from training.dataset import load_table
from training.evaluation.model_version import ModelVersion
from training.evaluation.row_keys import Keys, copies, row_keys
from training.recipe import Recipe


@dataclass(frozen=True)
class CommonHoldout:
    """Rows that neither version has learned, with the recipe's targets.

    `digest` names the series of evaluations whose attempts are counted together. Rows of traffic
    are `in_time_order`; those of a table are in the table's order.
    """

    rows: pd.DataFrame
    digest: str
    in_time_order: bool = False


def common_holdout(
    recipe: Recipe, challenger: ModelVersion, production: ModelVersion
) -> CommonHoldout:
    """The rows that neither version has learned.

    If a version was retrained on traffic (`slipway retrain`), they are the recent labelled
    traffic that it held out; else the recipe's rows that both versions held out.

    Raises:
        InvalidData: the recipe's rows cannot be read, or lack a feature of a version.

    """
    retrained = [
        (v.manifest.retrained, v) for v in (challenger, production) if v.manifest.retrained
    ]
    if not retrained:
        table = load_table(recipe)
        rows = table.iloc[_held_out_by_both(recipe, table, challenger, production)]
        return CommonHoldout(rows.reset_index(drop=True), evaluation_digest(recipe, table))
    retraining, newer = max(retrained, key=lambda pair: pair[0].learned_until)
    older = production if newer is challenger else challenger
    series = f"{recipe.name}\0{retraining.evaluation_series}\0{production.digest}"
    digest = hashlib.sha256(series.encode()).hexdigest()
    return CommonHoldout(_recent_rows(recipe, newer, older), digest, in_time_order=True)


def evaluation_digest(recipe: Recipe, table: pd.DataFrame) -> str:
    """sha256 over every target of the recipe's data, in order: it names the evaluation.

    It reads targets only, so a new feature or another seed does not make a new evaluation, in
    which attempts would be counted from one again.
    """
    hashes = pd.util.hash_pandas_object(table[list(recipe.targets)], index=False).to_numpy()
    return hashlib.sha256(recipe.name.encode() + b"\0" + hashes.tobytes()).hexdigest()


def _recent_rows(recipe: Recipe, newer: ModelVersion, older: ModelVersion) -> pd.DataFrame:
    """The rows that the version held out which learned last.

    The older version learned traffic from before them, or rows of the recipe. Rows of the
    recipe that returned as traffic are taken out.
    """
    rows = newer.held_out.rename(columns={"label": recipe.targets[0]})
    _check_columns(recipe, rows, older)
    if older.manifest.retrained is not None:
        return rows
    table = load_table(recipe)
    _check_columns(recipe, table, older)
    keys = _keys(recipe, table, older)
    learned = keys[~copies(keys, _held_out_keys(recipe, older))]
    return rows[~copies(_keys(recipe, rows, older), learned)].reset_index(drop=True)


def _held_out_by_both(
    recipe: Recipe, table: pd.DataFrame, challenger: ModelVersion, production: ModelVersion
) -> NDArray[np.int64]:
    """Positions of the rows that neither version was fitted on, in the order of the table.

    Each version carries its held-out rows (at most 20,000), so this is known whatever the
    seeds were and however the data have grown since.
    """
    kept = np.arange(len(table))
    for version in (challenger, production):
        _check_columns(recipe, table, version)
        keys = _keys(recipe, table, version)[kept]
        kept = kept[copies(keys, _held_out_keys(recipe, version))]
    return kept


def _check_columns(recipe: Recipe, table: pd.DataFrame, version: ModelVersion) -> None:
    missing = [name for name in version.manifest.schema.names if name not in table.columns]
    if missing:
        raise InvalidData(
            f"recipe {recipe.name!r}: load: expected the columns {', '.join(missing)}, which "
            f"version {version.version} needs, got {', '.join(map(str, table.columns))}",
            remedy="let the loader return these columns, though the schema no longer has them",
        )


def _keys(recipe: Recipe, table: pd.DataFrame, version: ModelVersion) -> Keys:
    return row_keys(recipe, table, version.manifest.schema, recipe.targets[0])


def _held_out_keys(recipe: Recipe, version: ModelVersion) -> Keys:
    return row_keys(recipe, version.held_out, version.manifest.schema, "label")
