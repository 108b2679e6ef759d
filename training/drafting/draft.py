"""A drafted recipe: which columns are features, by what rows are split, and every doubt."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api import types

from contracts.errors import InvalidData
from contracts.manifest import Task
from training.drafting.features import DraftedColumn, drafted_column
from training.drafting.source import Source, read_source
from training.drafting.target import DraftedTarget, drafted_target
from training.drafting.timestamps import PERSONAL_DATE, drafted_timestamp
from training.drafting.values import (
    date_format,
    is_identifier_name,
    n_distinct_of,
    parsed_dates,
)
from training.leakage import LEAK_R2, LEAK_SCORE, single_feature_score
from training.splitting import HOLDOUT_SHARE, MIN_GROUPS
from training.table_checks import MIN_TABLE_ROWS

LEAK_SAMPLE_ROWS = 4_000
MAX_SUM_COLUMNS = 60
"""Columns of which pairs are tried as the parts of a target that is their sum."""
MIN_ROWS_PER_GROUP = 1.5
_GROUP = re.compile(
    r"(customer|client|user|patient|member|account|subject|person|household|session|device|"
    r"machine|store|shop|vehicle|driver|employee|student|group)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Draft:
    """Everything that the text of a recipe needs.

    `dates` are formats by column, for columns of dates that are features or split the rows.
    """

    source: Source
    target: DraftedTarget
    columns: tuple[DraftedColumn, ...]
    time: str
    group: str
    dates: dict[str, str]
    doubts: tuple[str, ...]

    @property
    def n_rows(self) -> int:
        """The number of rows with a target."""
        return len(self.target.labels)

    @property
    def all_doubts(self) -> list[str]:
        """The doubts about the file, the target, the split and each column."""
        found = [*self.source.doubts]
        found += [f"{self.target.name}: {each}" for each in self.target.doubts]
        found += self.doubts
        for column in self.columns:
            if column.left_out:
                found.append(f"{column.name}: left out: {column.left_out}")
            found += [f"{column.name}: {each}" for each in column.doubts]
        return found


def draft_of(path: Path, target: str, task: Task | None, time: str, group: str) -> Draft:
    """A draft for the data in a file; `task`, `time` and `group` override what it suggests.

    Raises:
        InvalidData: the file cannot be read, has too few rows or no usable column, or the target
            is none.

    """
    source = read_source(path)
    found = drafted_target(source.table, target, task)
    table = source.table.loc[found.labels.index]
    if len(table) < MIN_TABLE_ROWS:
        raise InvalidData(
            f"{path}: expected at least {MIN_TABLE_ROWS} rows with a target, got {len(table)}",
            remedy="fewer rows give no meaningful metric",
        )
    dates = {
        name: form
        for name in map(str, table.columns)
        if name != target and (form := date_format(table[name]))
    }
    doubts: list[str] = []
    others = table.drop(columns=target)
    time = _column(others, "--time", time) or (
        "" if group else _suggested_time(others, found, dates, doubts)
    )
    group = _column(others, "--group", group) or ("" if time else _suggested_group(others, doubts))
    columns = [
        _drafted(name, table[name], dates, time, group)
        for name in map(str, table.columns)
        if name != target
    ]
    columns = list(_without_leaks(columns, table, found))
    if not any(column.feature for column in columns):
        raise InvalidData(
            f"{path}: expected at least one column that can be a feature, got none: "
            + "; ".join(f"{each.name}: {each.left_out}" for each in columns[:5]),
            remedy="write the recipe by hand: docs/add-a-model.md",
        )
    used = {time, *(column.name for column in columns if column.feature)}
    parsed = {name: form for name, form in dates.items() if name in used}
    return Draft(source, found, tuple(columns), time, group, parsed, tuple(doubts))


def _column(table: pd.DataFrame, option: str, name: str) -> str:
    if name and name not in table.columns:
        raise InvalidData(
            f"{option}: expected one of the columns {', '.join(map(str, table.columns))}, "
            f"got {name!r}",
            remedy=f"fix {option}, or leave it out",
        )
    return name


def _drafted(
    name: str, column: pd.Series, dates: dict[str, str], time: str, group: str
) -> DraftedColumn:
    if name == group or (name == time and name not in dates):
        return DraftedColumn(name, left_out="the rows are split by it")
    if name in dates:
        return drafted_timestamp(name, parsed_dates(column, dates[name]), is_split=name == time)
    return drafted_column(name, column)


def _suggested_time(
    table: pd.DataFrame, target: DraftedTarget, dates: dict[str, str], doubts: list[str]
) -> str:
    """A column of dates by which the newest rows can be held out; empty if there is none."""
    for name, form in dates.items():
        parsed = parsed_dates(table[name], form)
        if PERSONAL_DATE.search(name) or parsed.isna().any():
            continue
        cut = parsed.sort_values().iloc[-round(HOLDOUT_SHARE * len(parsed))]
        newest = parsed >= cut
        sides = target.labels[newest], target.labels[~newest]
        if newest.all() or any(set(side) < set(target.classes) for side in sides):
            continue
        doubts.append(
            f"{name}: the newest quarter of the rows is held out, since a model predicts the "
            f"future; is it the time of the row (read as {form})?"
        )
        return name
    return ""


def _suggested_group(table: pd.DataFrame, doubts: list[str]) -> str:
    """A column of identifiers that repeat, such as customers; empty if there is none."""
    for name in map(str, table.columns):
        column = table[name]
        is_named = is_identifier_name(name) and _GROUP.search(name)
        if not is_named or column.isna().any() or types.is_float_dtype(column.dtype):
            continue
        n_groups = n_distinct_of(column)
        if MIN_GROUPS * 5 <= n_groups <= len(column) / MIN_ROWS_PER_GROUP:
            doubts.append(
                f"{name}: {n_groups:,} groups in {len(column):,} rows are kept on one side of the "
                "split each; will the model see new ones?"
            )
            return name
    return ""


def _without_leaks(
    columns: list[DraftedColumn], table: pd.DataFrame, target: DraftedTarget
) -> Iterator[DraftedColumn]:
    """The columns; one that alone predicts the target, or is a part of it, is left out."""
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(table))[:LEAK_SAMPLE_ROWS]
    index_of = {name: index for index, name in enumerate(target.classes)}
    values = target.labels.map(index_of) if target.classes else target.labels
    sample, truth = table.iloc[rows], values.iloc[rows].to_numpy(dtype=float)
    parts = _parts_of(columns, sample, truth) if not target.classes else set()
    half = len(rows) // 2
    for column in columns:
        if column.feature is None or column.feature.is_timestamp:
            yield column
            continue
        kind = "str" if column.feature.is_category else "float64"
        given = sample[column.name].astype(kind)
        score = single_feature_score(
            given.iloc[:half],
            truth[:half],
            given.iloc[half:],
            truth[half:],
            is_classifier=bool(target.classes),
        )
        if column.name in parts:
            reason = f"likely leak: {target.name} is the sum of it and another column"
            yield replace(column, feature=None, left_out=reason)
        elif score >= (LEAK_SCORE if target.classes else LEAK_R2):
            reason = f"likely leak: it alone predicts {target.name} (score {score:.4f} of 1)"
            yield replace(column, feature=None, left_out=reason)
        else:
            yield column


def _parts_of(columns: list[DraftedColumn], sample: pd.DataFrame, truth: np.ndarray) -> set[str]:
    """Two columns whose sum is the target in every row."""
    names = [
        column.name
        for column in columns
        if column.feature is not None and column.feature.type in {"int", "float"}
    ][:MAX_SUM_COLUMNS]
    numbers = {name: sample[name].to_numpy(dtype=float, na_value=np.nan) for name in names}
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            if np.allclose(numbers[first] + numbers[second], truth, rtol=1e-9):
                return {first, second}
    return set()
