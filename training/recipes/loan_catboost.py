"""The loans again, by CatBoost, which takes missing values and categories as they are."""

from typing import Any

from catboost import CatBoostClassifier
from sklearn.pipeline import make_pipeline

from training.features.native_categories import NativeCategories
from training.recipe import Gate, Recipe
from training.recipes._loans import loan_book
from training.recipes.loan import SCHEMA


def estimator() -> Any:
    """Boosted trees that count each category by itself, which has an ONNX form."""
    categories = [feature.name for feature in SCHEMA.features if feature.is_category]
    return make_pipeline(
        NativeCategories(categories, dtype="int"),
        CatBoostClassifier(
            iterations=200, depth=5, cat_features=categories, max_ctr_complexity=1, thread_count=1
        ),
    )


recipe = Recipe(
    description="Whether a loan is paid back, by CatBoost",
    schema=SCHEMA,
    load=lambda: loan_book(20_000, seed=2024),
    target="outcome",
    task="binary",
    classes=("default", "repaid"),
    threshold=0.7,
    estimator=estimator,
    gates=(Gate("roc_auc", minimum=0.75), Gate("brier", maximum=0.2)),
)
