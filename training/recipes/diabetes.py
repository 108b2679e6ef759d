"""How far diabetes progresses within a year (Efron, Hastie, Johnstone, Tibshirani 2004)."""

import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor

from contracts.schema import Schema, integer, number
from training.recipe import Gate, Recipe


def load() -> pd.DataFrame:
    """The 442 patients that scikit-learn bundles, in the units in which they were measured."""
    patients = load_diabetes(as_frame=True, scaled=False).frame
    return patients.rename(columns={"bp": "blood_pressure", "s6": "glucose"})


recipe = Recipe(
    description="Progression of diabetes after one year",
    schema=Schema(
        features=(
            integer("age", 0, 120, unit="years"),
            integer("sex", 1, 2, description="As coded in the study"),
            number("bmi", 10, 80, unit="kg/m2", description="Body mass index"),
            number("blood_pressure", 30, 200, unit="mmHg", policy="flag"),
            number("s1", 0, 600, unit="mg/dl", description="Total cholesterol"),
            number("s2", 0, 500, unit="mg/dl", description="Low-density lipoproteins"),
            number("s3", 0, 200, unit="mg/dl", description="High-density lipoproteins"),
            number("s4", 0, 20, description="Total cholesterol / HDL"),
            number("s5", 0, 10, description="Log of triglycerides"),
            number("glucose", 20, 600, unit="mg/dl", policy="clip"),
        )
    ),
    load=load,
    target="target",
    task="regression",
    unit="score",
    estimator=lambda: RandomForestRegressor(n_estimators=100, min_samples_leaf=3),
    gates=(Gate("rmse", maximum=70), Gate("r2", minimum=0.2)),
)
