"""Random tables with everything that columns hold in practice, and recipes for them."""

import decimal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from contracts.manifest import Task
from contracts.schema import Feature, Schema, boolean, category, integer, number, string
from training.class_names import class_name
from training.recipe import Gate, Recipe

ODD_VALUES: tuple[Any, ...] = (
    *("", " ", "NA", "nan", "None", "0,48", "1.234,5", "01234", "1e400", "-", "größe"),
    *("true", "TRUE", "yes", "x" * 300, "a\nb", 'quo"te', "\x00", "12.5", "\u2028", ";"),
    *(0, 1, -1, 2**24 + 1, 2**63, 10**30, 0.5, 1e300, float("inf"), float("-inf")),
    *(None, True, False, b"bytes", decimal.Decimal("1.5"), 1j, pd.NaT, pd.NA, float("nan")),
    *(pd.Timestamp("2026-01-31"), pd.Timedelta(days=1), [1], {"a": 1}, (1, 2), object()),
)
NAMES = (
    *("a", "b", "class", "3P%", "fixed acidity", "größe", "a,b", 'q"', "x:y", "_x", "copy"),
    *("gro\u0308ße", " ", "", "\n"),
)
TARGETS = ("text", "int", "flag", "float", "categorical", "Int64") * 4
HALF = 0.5
BINARY = 2
TASKS: tuple[Task, ...] = ("binary", "binary", "multiclass", "regression")

Fill = Callable[[np.random.Generator, int], Any]


def _texts(rng: np.random.Generator, n: int) -> Any:
    return rng.choice(["red", "blue", "green", "NA"], n)


def _dates(rng: np.random.Generator, n: int) -> Any:
    return pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 10**6, n), unit="s")


COLUMNS: dict[str, Fill] = {
    "float": lambda rng, n: rng.normal(size=n),
    "float32": lambda rng, n: rng.normal(size=n).astype(np.float32),
    "gaps": lambda rng, n: np.where(rng.random(n) < HALF / 2, np.nan, rng.normal(size=n)),
    "int": lambda rng, n: rng.integers(0, 5, n),
    "row number": lambda _, n: np.arange(n),
    "uint64": lambda rng, n: rng.integers(0, 2**63, n).astype(np.uint64) * 2,
    "cents": lambda rng, n: rng.integers(10**8, 10**9, n),
    "huge": lambda _, n: pd.Series([10**30 + i for i in range(n)], dtype=object),
    "Int64": lambda rng, n: pd.array(rng.integers(0, 5, n), dtype="Int64"),
    "flag": lambda rng, n: rng.random(n) < HALF,
    "boolean": lambda rng, n: pd.array(rng.random(n) < HALF, dtype="boolean"),
    "flag text": lambda rng, n: rng.choice(["true", "false", "TRUE", "0"], n),
    "number text": lambda rng, n: [f"{v:.2f}" for v in rng.normal(size=n)],
    "comma text": lambda rng, n: [f"{v:.2f}".replace(".", ",") for v in rng.normal(size=n)],
    "codes": lambda rng, n: [f"{v:05d}" for v in rng.integers(0, 90, n)],
    "text": _texts,
    "categorical": lambda rng, n: pd.Categorical(_texts(rng, n)),
    "numbered": lambda rng, n: pd.Categorical(rng.integers(0, 3, n)),
    "unique text": lambda _, n: [f"user {i}" for i in range(n)],
    "free text": lambda rng, n: [" ".join(rng.choice(["so", "wie"], 40)) for _ in range(n)],
    "date": _dates,
    "zoned": lambda rng, n: pd.DatetimeIndex(_dates(rng, n)).tz_localize("Europe/Berlin"),
    "date text": lambda rng, n: pd.DatetimeIndex(_dates(rng, n)).strftime("%d.%m.%Y"),
    "duration": lambda rng, n: pd.to_timedelta(rng.integers(0, 99, n), unit="h"),
    "period": lambda _, n: pd.period_range("2020-01", periods=n, freq="M"),
    "interval": lambda rng, n: pd.cut(rng.normal(size=n), 3),
    "decimal": lambda _, n: [decimal.Decimal(i) / 3 for i in range(n)],
    "complex": lambda rng, n: rng.normal(size=n) * 1j,
    "bytes": lambda _, n: [b"x"] * n,
    "lists": lambda _, n: [[1, 2]] * n,
    "constant": lambda _, n: np.ones(n),
    "nothing": lambda _, n: [None] * n,
    "sparse": lambda rng, n: pd.arrays.SparseArray(rng.integers(0, 2, n)),
    "arrow": lambda rng, n: pd.array(rng.integers(0, 5, n), dtype="int64[pyarrow]"),
    "arrow text": lambda rng, n: pd.array(_texts(rng, n), dtype="string[pyarrow]"),
}
FEATURES: dict[str, Callable[[str], Feature]] = {
    "number": number,
    "gaps": lambda name: number(name, -3, 3, policy="clip", nullable=True),
    "integer": integer,
    "counts": lambda name: integer(name, 0, 5, policy="flag", nullable=True),
    "boolean": boolean,
    "flags": lambda name: boolean(name, nullable=True),
    "category": lambda name: category(name, ["red", "blue", "green", "NA"]),
    "flagged": lambda name: category(name, ["red", "01234"], policy="flag", nullable=True),
    "string": lambda name: string(name, 3, nullable=True),
}
FITTING: dict[str, str] = {
    **dict.fromkeys(("float", "float32", "gaps", "decimal"), "gaps"),
    **dict.fromkeys(("int", "Int64", "uint64", "cents", "sparse", "arrow", "huge"), "counts"),
    **dict.fromkeys(("flag", "boolean", "flag text", "constant"), "flags"),
    **dict.fromkeys(("text", "categorical", "codes", "unique text", "arrow text"), "string"),
}
"""For kinds of columns, the feature that takes them; any other is for the loader to refuse."""


@dataclass(frozen=True)
class RandomTable:
    """A table, the name of its target, and a recipe for it that may or may not fit."""

    table: pd.DataFrame
    recipe: Recipe


@st.composite
def random_tables(draw: st.DrawFn) -> RandomTable:
    """Tables of 45 to 90 rows with up to six columns, some values replaced by odd ones."""
    n_rows = draw(st.integers(45, 90))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    usual = st.sampled_from([*sorted(FITTING) * 4, *sorted(COLUMNS)])
    kinds = draw(st.lists(usual, min_size=1, max_size=5))
    kinds.append(draw(st.sampled_from([*TARGETS, *TARGETS, *sorted(COLUMNS)])))
    given = st.lists(st.sampled_from(NAMES), min_size=len(kinds), max_size=len(kinds), unique=True)
    names = draw(given)
    columns = {
        name: pd.Series(COLUMNS[kind](rng, n_rows)) for name, kind in zip(names, kinds, strict=True)
    }
    for name in draw(st.lists(st.sampled_from(names), max_size=1)):
        odd = draw(st.sampled_from(ODD_VALUES))
        values = list(columns[name])
        for row in rng.integers(0, n_rows, draw(st.integers(1, 3))):
            values[row] = odd
        columns[name] = pd.Series(values, dtype=object)
    table = pd.DataFrame(columns)
    recipe = _recipe(draw, table, dict(zip(names, kinds, strict=True)))
    if draw(st.integers(0, 20)) == 0:
        table.insert(0, names[0], 1.0, allow_duplicates=True)
    return RandomTable(table, recipe)


def _recipe(draw: st.DrawFn, table: pd.DataFrame, kinds: dict[str, str]) -> Recipe:
    *names, target = kinds
    features = tuple(
        FEATURES[FITTING[kinds[name]]](name)
        if kinds[name] in FITTING and draw(st.integers(0, 9))
        else FEATURES[draw(st.sampled_from(sorted(FEATURES)))](name)
        for name in names
    )
    is_value = kinds[target] in {"float", "gaps", "uint64"}
    task = "regression" if is_value else draw(st.sampled_from(TASKS))
    classes = sorted({class_name(value) for value in table[target]})[:6]
    if task != "regression":
        task = "binary" if len(classes) == BINARY else "multiclass"
    by = draw(st.sampled_from(["", "", "", "time", "group", "holdout"]))
    column = draw(st.sampled_from(names))
    return Recipe(
        name="random",
        schema=Schema(features=features),
        load=lambda: table,
        target=target,
        task=task,
        classes=() if task == "regression" else tuple(classes),
        estimator=lambda: None,
        gates=(Gate("r2" if task == "regression" else "accuracy", minimum=0),),
        time=column if by == "time" else "",
        group=column if by == "group" else "",
        holdout=column if by == "holdout" else "",
    )
