"""The smallest true models: recipes that train within a second, with every kind of feature."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from contracts.schema import Schema, boolean, category, integer, number
from training.recipe import Gate, Recipe

SCHEMA = Schema(
    features=(
        category("region", ["north", "south", "east"], nullable=True, policy="flag"),
        number("age", 18, 100, unit="years"),
        number("income", 0, 1e6, nullable=True, policy="clip"),
        integer("lines", 0, 50, policy="flag"),
        boolean("owner"),
        category("work", ["yes", "no"]),
    )
)
WHOLE = Schema(
    features=tuple(
        number("income", 0, 1e6, policy="clip") if f.name == "income" else f
        for f in SCHEMA.features
    )
)
"""`SCHEMA` without missing numbers, which most trees cannot handle."""
GOOD = {"region": "north", "age": 40, "income": 5e4, "lines": 3, "owner": True, "work": "yes"}
NUMBERS = ["age", "income", "lines", "owner"]
WORDS = ["region", "work"]


def people(n: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "region": rng.choice(["north", "south", "east"], n),
            "age": rng.integers(18, 90, n).astype(float),
            "income": rng.lognormal(10.5, 0.5, n),
            "lines": rng.poisson(4, n),
            "owner": rng.random(n) < 0.4,
            "work": rng.choice(["yes", "no"], n, p=[0.8, 0.2]),
        }
    )
    odds = 0.05 * (table.age - 45) + 1.5 * (table.work == "yes") - 0.2 * table.lines
    table["income"] = table.income.mask(rng.random(n) < 0.1)
    table["region"] = table.region.astype(object).mask(rng.random(n) < 0.05)
    table["paid"] = np.where(rng.random(n) < 1 / (1 + np.exp(-odds)), "yes", "no")
    table["value"] = 100 * odds + rng.normal(0, 20, n)
    return table


def whole_people(n: int = 400) -> pd.DataFrame:
    return people(n).fillna({"income": 4e4})


def linear() -> Any:
    return make_pipeline(
        make_column_transformer(
            (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), NUMBERS),
            (OneHotEncoder(handle_unknown="ignore", sparse_output=False), WORDS),
        ),
        LogisticRegression(max_iter=500),
    )


def binary(name: str = "tiny", estimator: Callable[[], Any] = linear, **changes: Any) -> Recipe:
    fields: dict[str, Any] = {
        "name": name,
        "schema": SCHEMA,
        "load": people,
        "target": "paid",
        "task": "binary",
        "classes": ("no", "yes"),
        "threshold": 0.6,
        "estimator": estimator,
        "gates": (Gate("roc_auc", minimum=0.5),),
    }
    return Recipe(**(fields | changes))


def multiclass(name: str = "tiny3") -> Recipe:
    return binary(
        name,
        lambda: HistGradientBoostingClassifier(max_iter=15),
        schema=WHOLE,
        task="multiclass",
        target="region3",
        classes=("west", "north", "south"),
        threshold=0.5,
        load=lambda: whole_people().assign(
            region3=lambda t: np.where(t.age < 40, "north", np.where(t.lines > 4, "south", "west"))
        ),
        gates=(Gate("accuracy", minimum=0.5),),
    )


def pair(name: str = "tinypair") -> Recipe:
    """Two values at once."""
    return binary(
        name,
        lambda: RandomForestRegressor(n_estimators=10),
        task="regression",
        target=("value", "worth"),
        classes=(),
        threshold=0.5,
        schema=WHOLE,
        load=lambda: whole_people().assign(worth=lambda t: t.income / 1e3 - t.value),
        gates=(Gate("r2", minimum=0.0),),
    )


def regression(name: str = "tinyvalue") -> Recipe:
    return binary(
        name,
        lambda: RandomForestRegressor(n_estimators=15),
        task="regression",
        target="value",
        classes=(),
        threshold=0.5,
        unit="EUR",
        schema=WHOLE,
        load=whole_people,
        gates=(Gate("rmse", maximum=1000.0),),
    )
