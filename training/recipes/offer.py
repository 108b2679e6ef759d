"""Whether a visitor of a shop takes the offer at the checkout, on made-up visits.

The outcome is known as soon as the visitor goes on, so labels are due at once: the example for
labels, A/B analysis and retraining on the first day (docs/first-labels.md).

The process: visitors who came before, full baskets and high discounts make an offer attractive,
late hours and advertisements less so; on a phone the discount counts for more.
"""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from contracts.schema import Schema, category, integer, number
from training.recipe import Gate, Recipe

DEVICES = ("desktop", "phone", "tablet")
SOURCES = ("search", "newsletter", "advertisement", "direct")
_ROWS = 8_000

_SCHEMA = Schema(
    features=(
        number("basket", 0, 2_000, unit="EUR", policy="clip"),
        integer("items", 1, 100),
        number("discount", 0, 50, unit="%", description="Off the offered article"),
        integer("earlier_visits", 0, 500, policy="clip", description="As the cookie counts them"),
        integer("hour", 0, 23, description="Hour of the visitor's day"),
        category("device", DEVICES),
        category("source", SOURCES, policy="flag"),
    )
)


def load() -> pd.DataFrame:
    """Visits with the target `outcome`: `declined` or `taken`."""
    rng = np.random.default_rng(2025)
    visits = pd.DataFrame(
        {
            "basket": np.clip(rng.lognormal(3.6, 0.8, _ROWS), 2, 2_000).round(2),
            "items": 1 + rng.poisson(2.2, _ROWS),
            "discount": rng.choice([0, 5, 10, 15, 20, 30], _ROWS).astype(float),
            "earlier_visits": rng.negative_binomial(0.8, 0.12, _ROWS).clip(0, 500),
            "hour": np.clip(rng.normal(15.5, 4.5, _ROWS), 0, 23).round().astype(int),
            "device": rng.choice(DEVICES, _ROWS, p=[0.38, 0.54, 0.08]),
            "source": rng.choice(SOURCES, _ROWS, p=[0.41, 0.17, 0.24, 0.18]),
        }
    )
    log_odds = (
        -2.6
        + 0.055 * visits.discount
        + 0.045 * visits.discount * (visits.device == "phone")
        + 0.75 * np.log1p(visits.earlier_visits)
        + 0.35 * np.log1p(visits.basket / 20)
        - 0.5 * (visits.hour >= 21)
        - 0.7 * (visits.source == "advertisement")
        + 0.5 * (visits.source == "newsletter")
    )
    is_taken = rng.random(_ROWS) < 1 / (1 + np.exp(-log_odds))
    return visits.assign(outcome=np.where(is_taken, "taken", "declined"))


def estimator() -> Any:
    """A logistic regression on scaled numbers and one column per category."""
    categories = [f.name for f in _SCHEMA.features if f.is_category]
    numbers = [f.name for f in _SCHEMA.features if not f.is_category]
    return make_pipeline(
        make_column_transformer(
            (StandardScaler(), numbers),
            (OneHotEncoder(handle_unknown="ignore", sparse_output=False), categories),
        ),
        LogisticRegression(max_iter=1000),
    )


def pages_counted(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The cookie counts pages instead of visits; visitors buy as they always did."""
    pages = rng.integers(4, 13, len(rows))
    return rows.assign(earlier_visits=rows.earlier_visits * pages)


recipe = Recipe(
    description="Whether a visitor takes the offer at the checkout",
    schema=_SCHEMA,
    load=load,
    target="outcome",
    task="binary",
    classes=("declined", "taken"),
    estimator=estimator,
    gates=(Gate("roc_auc", minimum=0.7),),
    drift=pages_counted,
)
