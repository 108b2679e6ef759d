"""A recipe's table checked against its schema: names, types, missing values, ranges."""

import numpy as np
import pandas as pd

from contracts.errors import InvalidData
from contracts.schema import Feature
from training.notes import add_note
from training.recipe import SPLIT_FIELDS, Recipe
from training.rows import EXACT_FLOAT32, n_merged_in_float32, plain_rows, suspects_of
from training.tables.column_fault import ColumnFault
from training.tables.typed import typed_values
from training.targets import typed_target

MIN_TABLE_ROWS = 50
MAX_FAULTS_SHOWN = 5
MAX_NAMES_SHOWN = 30
EXACT_FLOAT64 = 2**53
"""Up to here float64 has every integer."""


def checked_table(recipe: Recipe, table: pd.DataFrame) -> pd.DataFrame:
    """The table with its features and targets in the types of the schema, all rows valid.

    Raises:
        InvalidData: a column is missing or of another type, a row breaks the schema, a target is
            missing or unknown, or there are fewer than `MIN_TABLE_ROWS` rows.

    """
    _check_columns(recipe, table)
    source = f" of {table.attrs['source']}" if isinstance(table.attrs.get("source"), str) else ""
    faults: list[tuple[str, str]] = []
    columns: dict[str, pd.Series] = {}
    for feature in recipe.schema.features:
        values = typed_values(table[feature.name], feature)
        if isinstance(values, ColumnFault):
            faults.append((values.described(feature.name), values.remedy))
        else:
            columns[feature.name] = values
    if faults:
        shown = "; ".join(text for text, _ in faults[:MAX_FAULTS_SHOWN])
        raise InvalidData(
            f"recipe {recipe.name!r}: load{source}: {shown}",
            remedy="; ".join(dict.fromkeys(remedy for _, remedy in faults[:MAX_FAULTS_SHOWN])),
        )
    typed = table.copy(deep=False)
    for name, values in columns.items():
        typed[name] = values
    _check_rows(recipe, typed, source)
    for target in recipe.targets:
        typed[target] = typed_target(recipe, target, table[target])
    for feature in recipe.schema.features:
        _note_doubts(typed[feature.name], feature)
    return typed


def _check_columns(recipe: Recipe, table: pd.DataFrame) -> None:
    by = [column for field in SPLIT_FIELDS if (column := getattr(recipe, field))]
    missing = [n for n in (*recipe.schema.names, *recipe.targets, *by) if n not in table.columns]
    if missing:
        names = list(map(str, table.columns))
        more = f" and {len(names) - MAX_NAMES_SHOWN} more" if len(names) > MAX_NAMES_SHOWN else ""
        raise InvalidData(
            f"recipe {recipe.name!r}: load: expected the columns {', '.join(missing)}, "
            f"got {', '.join(names[:MAX_NAMES_SHOWN])}{more}",
            remedy="name the columns in the loader as in the schema",
        )
    if len(table) < MIN_TABLE_ROWS:
        raise InvalidData(
            f"recipe {recipe.name!r}: load: expected at least {MIN_TABLE_ROWS} rows, "
            f"got {len(table)}",
            remedy="fewer rows give no meaningful metric",
        )


def _check_rows(recipe: Recipe, table: pd.DataFrame, source: str) -> None:
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
            f"recipe {recipe.name!r}: {len(suspects)} rows{source} break the schema: {shown}",
            remedy="fix the loader, or the schema (range, nullable, policy)",
        )


def _note_doubts(column: pd.Series, feature: Feature) -> None:
    """Note what is valid, but perhaps not meant."""
    if feature.is_category:
        unused = sorted(set(feature.categories) - set(column.dropna().unique()))
        if unused:
            add_note(f"{feature.name}: no row has the category {', '.join(map(repr, unused))}")
        return
    if feature.type == "bool":
        return
    if feature.is_timestamp:
        _note_growth(feature)
        return
    largest = float(np.nanmax(np.abs(column.to_numpy()), initial=0.0))
    if largest <= EXACT_FLOAT32:
        return
    n_merged = n_merged_in_float32(column)
    if largest > EXACT_FLOAT64:
        step = float(np.spacing(largest))
        add_note(
            f"{feature.name}: values up to {largest:.10g} are in steps of {step:g} for the model "
            "(float64), so that close values merge; if steps matter, send a difference, such as "
            "seconds since a start"
        )
    elif n_merged:
        step = float(np.spacing(np.float32(largest)))
        add_note(
            f"{feature.name}: values up to {largest:.10g} are in steps of {step:g} in float32, "
            f"where close values merge ({n_merged:,} here), so the model takes float64"
        )


def _note_growth(feature: Feature) -> None:
    growing = [part for part in ("year", "days_since") if part in feature.parts]
    if growing:
        add_note(
            f"{feature.name}: {' and '.join(growing)} of new rows will lie beyond the learned ones "
            "if it is the time of the request, and no tree can extrapolate; they are for times "
            "such as a date of birth"
        )
