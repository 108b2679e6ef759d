"""One small table with a target of each kind, and a recipe for an estimator on it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - it makes the next importable

from contracts.schema import Schema, category, integer, number
from training.recipe import Gate, Recipe

Kind = Literal["two", "three", "value", "count", "pair"]
CLASSES = {"two": ("bad", "good"), "three": ("high", "low", "middle")}
COLORS = ["blue", "green", "red", "yellow"]
NUMBERS = ["a", "b", "i"]
WORDS = ["c"]
SCHEMA = Schema(
    features=(
        number("a", -6, 6),
        number("b", 0, 200),
        integer("i", 0, 23),
        category("c", COLORS),
    )
)
GAPPY = Schema(
    features=tuple(
        number("a", -6, 6, nullable=True) if f.name == "a" else f for f in SCHEMA.features
    )
)


def table(n_rows: int = 400, seed: int = 0) -> pd.DataFrame:
    """Two numbers, an integer, a category, and a target of each kind."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "a": np.clip(rng.normal(size=n_rows), -6, 6),
            "b": np.clip(rng.lognormal(3, 0.6, n_rows), 0, 200),
            "i": rng.integers(0, 24, n_rows),
            "c": rng.choice(COLORS, n_rows),
        }
    )
    value = rows.a + rows.b / 20 + (rows.c == "red") - 0.05 * rows.i
    rows["value"] = value + rng.normal(0, 0.3, n_rows)
    rows["worth"] = 3 * rows.value - rows.i
    rows["count"] = rng.poisson(np.exp(np.clip(value / 2, -2, 3))).astype(float) + 0.5
    rows["two"] = np.where(rows.value > 1, "good", "bad")
    rows["three"] = np.select([rows.value < 0.5, rows.value < 1.5], ["low", "middle"], "high")
    return rows


def gappy_table() -> pd.DataFrame:
    """The table with missing values."""
    rows = table()
    rows.loc[::9, "a"] = np.nan
    return rows


@dataclass(frozen=True)
class Case:
    """An estimator, the kind of its target, and whether its table has missing values."""

    kind: Kind
    estimator: Callable[[], Any]
    gaps: bool = False

    def recipe(self, name: str) -> Recipe:
        """The recipe that a person would write for it."""
        is_classifier = self.kind in CLASSES
        tasks: dict[str, Any] = {"two": "binary", "three": "multiclass"}
        return Recipe(
            name=name,
            schema=GAPPY if self.gaps else SCHEMA,
            target=("value", "worth") if self.kind == "pair" else self.kind,
            task=tasks.get(self.kind, "regression"),
            classes=CLASSES.get(self.kind, ()),
            load=gappy_table if self.gaps else table,
            estimator=self.estimator,
            gates=(Gate("accuracy" if is_classifier else "mae", minimum=0.0),),
        )
