"""Rows come in as a table, are held against the schema, and are split the same way always."""

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from contracts.errors import InvalidData, PlatformError
from contracts.schema import Feature, Schema, Value
from training.recipe import HOLDOUT_SHARE, Recipe

FEWEST_ROWS = 50
FAULTS_SHOWN = 5


@dataclass(frozen=True)
class Split:
    """Training and held-out rows: features as a DataFrame, targets as an array.

    `usual` are the rows that monitoring shall compare traffic with; by default the training
    rows.
    """

    train: pd.DataFrame
    train_target: np.ndarray[Any, np.dtype[Any]]
    holdout: pd.DataFrame
    holdout_target: np.ndarray[Any, np.dtype[Any]]
    digest: str
    usual: pd.DataFrame | None = None


def read_csv(path: Path | str, *, separator: str = ",") -> pd.DataFrame:
    """A CSV file with a header as a DataFrame.

    Raises:
        InvalidData: no such file, not UTF-8, empty, or a line with more or fewer fields than
            the header; the line is named.

    """
    file = Path(path)
    if not file.is_file():
        raise InvalidData(f"{file}: expected a CSV file, got nothing", remedy="mend the path")
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            reader = csv.reader(lines, delimiter=separator)
            header = next(reader, [])
            for row in reader:
                if row and len(row) != len(header):
                    raise InvalidData(
                        f"{file}:{reader.line_num}: expected {len(header)} fields as in the "
                        f"header, got {len(row)}",
                        remedy=f"mend the line; the separator is {separator!r}",
                    )
        return pd.read_csv(file, sep=separator)
    except (UnicodeDecodeError, csv.Error, pd.errors.ParserError, pd.errors.EmptyDataError) as err:
        raise InvalidData(
            f"{file}: expected CSV in UTF-8 with a header, got {err}", remedy="mend the file"
        ) from err


def load_table(recipe: Recipe) -> pd.DataFrame:
    """The recipe's rows, held against its schema.

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
            remedy="mend the recipe's loader",
        ) from err
    if not isinstance(table, pd.DataFrame):
        raise InvalidData(
            f"recipe {recipe.name!r}: load: expected a DataFrame, got {type(table).__name__}",
            remedy="mend the recipe's loader",
        )
    _check_columns(recipe, table)
    _check_rows(recipe, table)
    for target in recipe.targets:
        _check_target(recipe, table[target])
    return table.reset_index(drop=True)


def rows_of(table: pd.DataFrame, schema: Schema) -> list[dict[str, Value]]:
    """The features of a table as rows of plain Python values; missing is None."""
    columns = [_plain(table[feature.name], feature) for feature in schema.features]
    return [dict(zip(schema.names, values, strict=True)) for values in zip(*columns, strict=True)]


def features_of(table: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """The features of a table as the pipeline takes them.

    Categories have pandas' `str` type, in which whatever is missing is NaN; everything else
    is float.
    """
    return pd.DataFrame(
        {
            feature.name: table[feature.name].astype("str" if feature.is_category else "float64")
            for feature in schema.features
        }
    )


def frame_of(rows: Sequence[dict[str, Any]], schema: Schema) -> pd.DataFrame:
    """Rows of plain values as the pipeline takes them; the inverse of `rows_of`."""
    table = pd.DataFrame({name: [row.get(name) for row in rows] for name in schema.names})
    return features_of(table, schema)


def split(recipe: Recipe, table: pd.DataFrame, seed: int) -> Split:
    """A quarter of the rows held out, the same rows each time; classes in proportion."""
    features = features_of(table, recipe.schema)
    answers = answers_of(recipe, table)
    train, holdout, train_target, holdout_target = train_test_split(
        features,
        answers,
        test_size=HOLDOUT_SHARE,
        random_state=seed,
        stratify=answers if recipe.is_classifier else None,
    )
    return Split(train, train_target, holdout, holdout_target, digest_of(table))


def answers_of(recipe: Recipe, table: pd.DataFrame) -> np.ndarray[Any, np.dtype[Any]]:
    """The targets, shape `(n_rows,)`; of several targets `(n_rows, n_targets)`."""
    if recipe.is_classifier:
        return table[recipe.targets[0]].astype(str).to_numpy(dtype=object)
    values = table[list(recipe.targets)].to_numpy(dtype=float)
    return values[:, 0] if len(recipe.targets) == 1 else values


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
    if len(table) < FEWEST_ROWS:
        raise InvalidData(
            f"recipe {recipe.name!r}: load: expected at least {FEWEST_ROWS} rows, got {len(table)}",
            remedy="with fewer rows no metric means anything",
        )


def _check_rows(recipe: Recipe, table: pd.DataFrame) -> None:
    suspects = suspects_of(table, recipe.schema)
    faults: list[str] = []
    for index in suspects:
        row = rows_of(table.iloc[[index]], recipe.schema)[0]
        faults += map(str, recipe.schema.violations(row, f"rows[{index}]"))
        if len(faults) >= FAULTS_SHOWN:
            break
    if faults:
        shown = "; ".join(faults[:FAULTS_SHOWN])
        raise InvalidData(
            f"recipe {recipe.name!r}: {len(suspects)} rows break the schema: {shown}",
            remedy="mend the loader, or the schema (range, nullable, policy)",
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
    kinds: dict[str, Any] = {"float": float, "int": _whole, "bool": bool, "category": _same}
    convert = kinds[feature.type]
    pairs = zip(column.tolist(), missing.tolist(), strict=True)
    return [None if is_missing else convert(value) for value, is_missing in pairs]


def _whole(value: Any) -> Any:
    """4.0 is 4 (pandas has no missing integers by default); anything else stays to be refused."""
    return int(value) if isinstance(value, int | float) and float(value).is_integer() else value


def _same(value: Any) -> Any:
    return value


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
                remedy="mend the target in the loader",
            )
        return
    got = set(target.astype(str).unique())
    if got != set(recipe.classes):
        raise InvalidData(
            f"{target.name}: expected the classes {', '.join(recipe.classes)}, "
            f"got {', '.join(sorted(got))}",
            remedy="name every class of the data in the recipe, and no other",
        )
