"""A recipe's rows: read, checked against the schema, and split into training and held-out rows."""

import csv
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from contracts.errors import InvalidData, PlatformError
from contracts.manifest import Retrained
from contracts.schema import Feature, Schema, Value
from training.metrics import Target
from training.recipe import Recipe

MIN_TABLE_ROWS = 50
HOLDOUT_SHARE = 0.25
MAX_FAULTS_SHOWN = 5


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
    """The rows of a training run; for a retraining also why, and on what."""

    split: Split
    retrained: Retrained | None = None


def read_csv(path: Path | str, *, separator: str = ",") -> pd.DataFrame:
    """A CSV file with a header as a DataFrame.

    Raises:
        InvalidData: no such file, not UTF-8, empty, or a line with more or fewer fields than
            the header; the line is named.

    """
    file = Path(path)
    if not file.is_file():
        raise InvalidData(f"{file}: expected a CSV file, got nothing", remedy="fix the path")
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            reader = csv.reader(lines, delimiter=separator)
            header = next(reader, [])
            for row in reader:
                if row and len(row) != len(header):
                    raise InvalidData(
                        f"{file}:{reader.line_num}: expected {len(header)} fields as in the "
                        f"header, got {len(row)}",
                        remedy=f"fix the line; the separator is {separator!r}",
                    )
        return pd.read_csv(file, sep=separator)
    except (UnicodeDecodeError, csv.Error, pd.errors.ParserError, pd.errors.EmptyDataError) as err:
        raise InvalidData(
            f"{file}: expected CSV in UTF-8 with a header, got {err}", remedy="fix the file"
        ) from err


def load_table(recipe: Recipe) -> pd.DataFrame:
    """The recipe's rows, checked against its schema.

    Raises:
        InvalidData: the loader failed, a column is missing, or rows break the schema.

    """
    try:
        table = recipe.load()
    except PlatformError:
        raise
    except Exception as err:
        raise InvalidData(
            f"recipe {recipe.name!r}: load: expected a DataFrame, got {type(err).__name__}: {err}",
            remedy="fix the recipe's loader",
        ) from err
    if not isinstance(table, pd.DataFrame):
        raise InvalidData(
            f"recipe {recipe.name!r}: load: expected a DataFrame, got {type(table).__name__}",
            remedy="fix the recipe's loader",
        )
    _check_columns(recipe, table)
    _check_rows(recipe, table)
    for target in recipe.targets:
        _check_target(recipe, table[target])
    return table.reset_index(drop=True)


def plain_rows(table: pd.DataFrame, schema: Schema) -> list[dict[str, Value]]:
    """The features of a table as rows of plain Python values; a missing value is None."""
    columns = [_plain(table[feature.name], feature) for feature in schema.features]
    return [dict(zip(schema.names, values, strict=True)) for values in zip(*columns, strict=True)]


def features_of(table: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """The features of a table as the pipeline takes them.

    Categories have pandas' `str` dtype, everything else float64; a missing value is NaN.
    """
    return pd.DataFrame(
        {
            feature.name: table[feature.name].astype("str" if feature.is_category else "float64")
            for feature in schema.features
        }
    )


def frame_of(rows: Sequence[dict[str, Any]], schema: Schema) -> pd.DataFrame:
    """Rows of plain values as the pipeline takes them; the inverse of `plain_rows`."""
    table = pd.DataFrame({name: [row.get(name) for row in rows] for name in schema.names})
    return features_of(table, schema)


def split(recipe: Recipe, table: pd.DataFrame, seed: int) -> Split:
    """A quarter of the rows held out at random; a classifier's classes in proportion.

    The same table and seed always hold out the same rows.

    Raises:
        InvalidData: a class has one row only, or there are more classes than held-out rows.

    """
    features = features_of(table, recipe.schema)
    targets = targets_of(recipe, table)
    if recipe.is_classifier:
        _check_class_sizes(recipe, targets)
    train, holdout, train_target, holdout_target = train_test_split(
        features,
        targets,
        test_size=HOLDOUT_SHARE,
        random_state=seed,
        stratify=targets if recipe.is_classifier else None,
    )
    return Split(train, train_target, holdout, holdout_target, digest_of(table))


def targets_of(recipe: Recipe, table: pd.DataFrame) -> Target:
    """The targets of a table's rows: class names, or values.

    The shape is `(n_rows,)`, and `(n_rows, n_targets)` for several targets.
    """
    if recipe.is_classifier:
        return table[recipe.targets[0]].astype(str).to_numpy(dtype=object)
    values = table[list(recipe.targets)].to_numpy(dtype=float)
    return values[:, 0] if len(recipe.targets) == 1 else values


def encoded_targets(recipe: Recipe, targets: Target) -> Target:
    """Targets as metrics take them: class indices of class names; values as they are.

    A class index is the position of the class in `recipe.classes`.
    """
    if not recipe.is_classifier:
        return targets
    index_of = {name: index for index, name in enumerate(recipe.classes)}
    return np.array([index_of[name] for name in targets])


def digest_of(table: pd.DataFrame) -> str:
    """sha256 over column names and every value, in order."""
    sha = hashlib.sha256("\0".join(map(str, table.columns)).encode())
    sha.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
    return sha.hexdigest()


def _check_columns(recipe: Recipe, table: pd.DataFrame) -> None:
    missing = [n for n in (*recipe.schema.names, *recipe.targets) if n not in table.columns]
    if missing:
        raise InvalidData(
            f"recipe {recipe.name!r}: load: expected the columns {', '.join(missing)}, "
            f"got {', '.join(map(str, table.columns))}",
            remedy="name the columns in the loader as in the schema",
        )
    if len(table) < MIN_TABLE_ROWS:
        raise InvalidData(
            f"recipe {recipe.name!r}: load: expected at least {MIN_TABLE_ROWS} rows, "
            f"got {len(table)}",
            remedy="fewer rows give no meaningful metric",
        )


def _check_rows(recipe: Recipe, table: pd.DataFrame) -> None:
    suspects = suspects_of(table, recipe.schema)
    faults: list[str] = []
    for index in suspects:
        row = plain_rows(table.iloc[[index]], recipe.schema)[0]
        faults += map(str, recipe.schema.violations(row, f"rows[{index}]"))
        if len(faults) >= MAX_FAULTS_SHOWN:
            break
    if faults:
        shown = "; ".join(faults[:MAX_FAULTS_SHOWN])
        raise InvalidData(
            f"recipe {recipe.name!r}: {len(suspects)} rows break the schema: {shown}",
            remedy="fix the loader, or the schema (range, nullable, policy)",
        )


def suspects_of(table: pd.DataFrame, schema: Schema) -> list[int]:
    """Positions of rows that may break the schema, found column by column for speed."""
    bad = np.zeros(len(table), dtype=bool)
    for feature in schema.features:
        column = table[feature.name]
        missing = column.isna().to_numpy()
        bad |= missing & (not feature.nullable)
        bad |= ~missing & ~_fits(column, feature)
    return [int(i) for i in np.flatnonzero(bad)]


def _fits(column: pd.Series, feature: Feature) -> np.ndarray[Any, np.dtype[np.bool_]]:
    if feature.is_category:
        is_text = column.map(lambda value: isinstance(value, str)).to_numpy(dtype=bool)
        if feature.policy != "reject":
            return is_text
        return is_text & column.isin(feature.categories).to_numpy()
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    fits = np.isfinite(numbers)
    if feature.type == "bool":
        return column.isin([True, False]).to_numpy()
    if feature.type == "int":
        fits &= numbers == np.round(numbers)
    if feature.policy == "reject":
        fits &= (numbers >= feature.low) & (numbers <= feature.high)
    return fits


def _plain(column: pd.Series, feature: Feature) -> list[Value]:
    missing = column.isna()
    kinds: dict[str, Any] = {"float": float, "int": _whole, "bool": bool, "category": _unchanged}
    convert = kinds[feature.type]
    pairs = zip(column.tolist(), missing.tolist(), strict=True)
    return [None if is_missing else convert(value) for value, is_missing in pairs]


def _whole(value: Any) -> Any:
    """4.0 as 4, since pandas stores integers with missing values as floats.

    Anything else stays as it is, for the schema to refuse.
    """
    return int(value) if isinstance(value, int | float) and float(value).is_integer() else value


def _unchanged(value: Any) -> Any:
    return value


def _check_class_sizes(recipe: Recipe, targets: Target) -> None:
    """Refuse what cannot be split with every class on both sides."""
    names, counts = np.unique(targets.astype(str), return_counts=True)
    if counts.min() < 2:  # noqa: PLR2004 - one row to train on and one to hold out
        raise InvalidData(
            f"recipe {recipe.name!r}: {recipe.targets[0]}: expected at least 2 rows of each class, "
            f"got 1 of {str(names[counts.argmin()])!r}",
            remedy="leave the class out of the recipe and the data, or add rows of it",
        )
    n_holdout = math.ceil(HOLDOUT_SHARE * len(targets))
    if n_holdout < len(names):
        raise InvalidData(
            f"recipe {recipe.name!r}: {recipe.targets[0]}: expected at most as many classes as "
            f"held-out rows ({n_holdout} of {len(targets)}), got {len(names)}",
            remedy="add rows, or merge classes",
        )


def _check_target(recipe: Recipe, target: pd.Series) -> None:
    if target.isna().any():
        raise InvalidData(
            f"rows[{int(np.argmax(target.isna()))}].{target.name}: expected a label, got nothing",
            remedy="leave rows without a label out of the training data",
        )
    if not recipe.is_classifier:
        if not np.isfinite(pd.to_numeric(target, errors="coerce")).all():
            raise InvalidData(
                f"{target.name}: expected finite numbers, got others",
                remedy="fix the target in the loader",
            )
        return
    got = set(target.astype(str).unique())
    if got != set(recipe.classes):
        raise InvalidData(
            f"{target.name}: expected the classes {', '.join(recipe.classes)}, "
            f"got {', '.join(sorted(got))}",
            remedy="name every class of the data in the recipe, and no other",
        )
