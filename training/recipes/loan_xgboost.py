"""The loans again, by XGBoost, which takes missing values and categories as they are."""

from typing import Any

from sklearn.pipeline import make_pipeline
from xgboost import XGBClassifier

from training.features.native_categories import NativeCategories
from training.recipe import Gate, Recipe
from training.recipes._loans import loan_book
from training.recipes.loan import SCHEMA


def estimator() -> Any:
    """Boosted trees that split categories by sets."""
    return make_pipeline(
        NativeCategories([feature.name for feature in SCHEMA.features if feature.is_category]),
        XGBClassifier(
            n_estimators=200, max_depth=4, learning_rate=0.05, enable_categorical=True, n_jobs=1
        ),
    )


recipe = Recipe(
    description="Whether a loan is paid back, by XGBoost",
    schema=SCHEMA,
    load=lambda: loan_book(20_000, seed=2024),
    target="outcome",
    task="binary",
    classes=("default", "repaid"),
    threshold=0.7,
    estimator=estimator,
    gates=(Gate("roc_auc", minimum=0.75), Gate("brier", maximum=0.2)),
)
