"""Preparations that many pipelines begin with."""

from typing import Any

from sklearn.compose import (
    ColumnTransformer,
    make_column_transformer,
)
from sklearn.ensemble import (
    RandomForestClassifier,
)
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - it makes the next importable
from sklearn.linear_model import (
    LogisticRegression,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    OneHotEncoder,
    StandardScaler,
)

from tests.training.cases.table import NUMBERS, WORDS


def columns(*numbers: Any) -> ColumnTransformer:
    """The preparation of every tutorial: numbers scaled, words one-hot."""
    steps = numbers or (StandardScaler(),)
    return make_column_transformer(
        (make_pipeline(*steps), NUMBERS), (OneHotEncoder(handle_unknown="ignore"), WORDS)
    )


def scaled(model: Any) -> Any:
    return make_pipeline(StandardScaler(), model)


def prepared(model: Any) -> Any:
    return make_pipeline(columns(), model)


def with_steps(*steps: Any, model: Any = None) -> Any:
    return make_pipeline(*steps, LogisticRegression() if model is None else model)


def forest() -> RandomForestClassifier:
    return RandomForestClassifier(n_estimators=15)


def prepared_dense(model: Any) -> Any:
    return make_pipeline(
        make_column_transformer(
            (StandardScaler(), NUMBERS),
            (OneHotEncoder(handle_unknown="ignore", sparse_output=False), WORDS),
        ),
        model,
    )
