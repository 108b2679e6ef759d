"""The loans again, by LightGBM, which takes missing values and categories as they are."""

from typing import Any

from lightgbm import LGBMClassifier
from sklearn.pipeline import make_pipeline

from training.features.native_categories import NativeCategories
from training.recipe import Gate, Recipe
from training.recipes._loans import loan_book
from training.recipes.loan import SCHEMA


def estimator() -> Any:
    """Boosted trees that split categories by sets."""
    return make_pipeline(
        NativeCategories([feature.name for feature in SCHEMA.features if feature.is_category]),
        LGBMClassifier(n_estimators=200, num_leaves=15, learning_rate=0.05, n_jobs=1, verbose=-1),
    )


recipe = Recipe(
    description="Whether a loan is paid back, by LightGBM",
    schema=SCHEMA,
    load=lambda: loan_book(20_000, seed=2024),
    target="outcome",
    task="binary",
    classes=("default", "repaid"),
    threshold=0.7,
    estimator=estimator,
    gates=(Gate("roc_auc", minimum=0.75), Gate("brier", maximum=0.2)),
)
