"""Whether a loan is paid back, on a made-up loan book with gaps and rare categories."""

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from contracts.manifest import CardNotes
from contracts.schema import Schema, boolean, category, integer, number
from training.recipe import Gate, Recipe
from training.recipes._loans import EMPLOYMENT, PURPOSES, REGIONS, loan_book

SCHEMA = Schema(
    features=(
        integer("age", 18, 100, unit="years"),
        number("income", 0, 1_000_000, unit="EUR/year", nullable=True, policy="clip"),
        integer("credit_score", 300, 850),
        number("amount", 100, 500_000, unit="EUR"),
        integer("term", 6, 120, unit="months"),
        number("debt_to_income", 0, 5, policy="clip"),
        number("employment_years", 0, 80, unit="years", nullable=True),
        integer("open_credit_lines", 0, 100, policy="clip"),
        boolean("owns_home"),
        category("employment", EMPLOYMENT),
        category("region", REGIONS, nullable=True, policy="flag"),
        category("purpose", PURPOSES, policy="flag"),
    )
)


def estimator() -> Any:
    """A logistic regression on scaled numbers and one column per category."""
    categories = [f.name for f in SCHEMA.features if f.is_category]
    numbers = [f.name for f in SCHEMA.features if not f.is_category]
    return make_pipeline(
        make_column_transformer(
            (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            (OneHotEncoder(handle_unknown="ignore", sparse_output=False), categories),
        ),
        LogisticRegression(max_iter=1000),
    )


def recession(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Incomes fall by a fifth, debts rise, and some salaried people lose their work."""
    lost = (rows.employment == "salaried") & (rng.random(len(rows)) < 0.2)
    return rows.assign(
        income=rows.income * 0.8,
        debt_to_income=(rows.debt_to_income + 0.12).round(3),
        employment=rows.employment.mask(lost, "unemployed"),
    )


recipe = Recipe(
    description="Whether a loan is paid back",
    card=CardNotes(
        intended_use="Shows Slipway's loop on a made-up loan book.",
        not_for="Decisions on real people: no row describes one.",
        limitations="The book has no applicants under 18 and no loans over 500,000 EUR.",
    ),
    schema=SCHEMA,
    load=lambda: loan_book(20_000, seed=2024),
    target="outcome",
    task="binary",
    classes=("default", "repaid"),
    threshold=0.7,
    estimator=estimator,
    gates=(Gate("roc_auc", minimum=0.75), Gate("brier", maximum=0.2)),
    margin=0.01,
    label_delay=timedelta(days=90),
    drift=recession,
)
