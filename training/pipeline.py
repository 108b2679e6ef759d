"""The fitted pipeline, from a DataFrame to scores.

The first step, `encode`, turns the schema's columns into one float32 matrix (`Schema.matrix` is
the definition). It is pure scikit-learn, so that the stored pipeline loads without our code. The
second step, `model`, is the recipe's estimator.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder

from contracts.schema import MISSING_CODE, UNSEEN_CODE, Schema
from training.metrics import Target
from training.recipe import Recipe


def fitted_pipeline(recipe: Recipe, features: pd.DataFrame, targets: Target, seed: int) -> Pipeline:
    """The recipe's pipeline, fitted; its tree thresholds are rounded to float32.

    `features` and `targets` are as `features_of` and `targets_of` return them; `seed` is set as
    every `random_state` of the estimator.
    """
    model = recipe.estimator()
    seeds = {k: seed for k in model.get_params() if k.split("__")[-1] == "random_state"}
    model.set_params(**seeds)
    encode = natural_encoder if recipe.runtime == "sklearn" else encoder
    pipeline = Pipeline([("encode", encode(recipe.schema)), ("model", model)])
    pipeline.fit(features, targets)
    snap_thresholds(pipeline)
    return pipeline


def encoder(schema: Schema) -> ColumnTransformer:
    """The step that turns the schema's columns into float32 columns `(n_rows, n_features)`."""
    numbers = [f.name for f in schema.columns if not f.is_category]
    categories = [f for f in schema.columns if f.is_category]
    codes = OrdinalEncoder(
        categories=[np.array([*f.categories, np.nan], dtype=object) for f in categories],
        handle_unknown="use_encoded_value",
        unknown_value=int(UNSEEN_CODE),
        encoded_missing_value=int(MISSING_CODE),
        dtype=np.float32,
    )
    steps = [
        ("numbers", FunctionTransformer(np.float32, feature_names_out="one-to-one"), numbers),
        ("categories", codes, [f.name for f in categories]),
    ]
    return ColumnTransformer(
        [step for step in steps if step[2]], verbose_feature_names_out=False
    ).set_output(transform="pandas")


def natural_encoder(schema: Schema) -> Any:
    """The step for a model that is served by itself: the columns as they are, numbers first."""
    if schema.columns == schema.features:
        return "passthrough"
    names = [feature.name for feature in schema.columns]
    return ColumnTransformer(
        [("columns", "passthrough", names)], verbose_feature_names_out=False
    ).set_output(transform="pandas")


def scores_of(pipeline: Any, features: pd.DataFrame, recipe: Recipe) -> NDArray[np.float64]:
    """The scores of a fitted pipeline or estimator, shape `(n_rows, n_outputs)`.

    They are probabilities in the order of `recipe.classes`, or values in the order of
    `recipe.targets`.
    """
    if not recipe.is_classifier:
        return np.asarray(pipeline.predict(features), dtype=np.float64).reshape(len(features), -1)
    order = [list(pipeline.classes_).index(name) for name in recipe.classes]
    return np.asarray(pipeline.predict_proba(features), dtype=np.float64)[:, order]


def snap_thresholds(estimator: Any) -> None:
    """Round every threshold of every fitted tree down to float32.

    For float32 inputs `x <= t` and `x <= floor32(t)` are equivalent, so no prediction changes.
    ONNX keeps thresholds in float32 and rounds them to nearest, up as often as down, which
    sends a row in between to the other side (a gradient boosting differed on 32 of 20,000 rows
    by up to 0.65).
    """
    for part in estimators_within(estimator):
        if hasattr(part, "tree_"):
            thresholds = part.tree_.threshold
            thresholds[:] = floor32(thresholds)
        for predictor in _boosted(part):
            nodes = predictor.nodes
            nodes["num_threshold"] = floor32(nodes["num_threshold"])


def floor32(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest float32 not above each value, as float64.

    >>> floor32(np.array([0.1, 0.5, -0.1])) <= np.array([0.1, 0.5, -0.1])
    array([ True,  True,  True])
    """
    with np.errstate(over="ignore"):
        nearest = values.astype(np.float32)
    down = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(nearest > values, down, nearest).astype(np.float64)


def thresholds_of(pipeline: Pipeline) -> dict[int, NDArray[np.float64]]:
    """The split points of every tree by the index of their column, each rising.

    Columns are numbered as the tree sees them, which is as in the matrix if no step of the
    estimator comes before it.
    """
    found: dict[int, list[float]] = {}
    for part in estimators_within(pipeline):
        if hasattr(part, "tree_"):
            inner = part.tree_.children_left >= 0
            pairs = zip(part.tree_.feature[inner], part.tree_.threshold[inner], strict=True)
            _collect(found, pairs)
        for predictor in _boosted(part):
            inner_nodes = predictor.nodes[predictor.nodes["is_leaf"] == 0]
            pairs = zip(inner_nodes["feature_idx"], inner_nodes["num_threshold"], strict=True)
            _collect(found, pairs)
    return {column: np.unique(values) for column, values in found.items()}


def _collect(found: dict[int, list[float]], pairs: Any) -> None:
    for column, threshold in pairs:
        if np.isfinite(threshold):
            found.setdefault(int(column), []).append(float(threshold))


def estimators_within(estimator: Any) -> Iterator[Any]:
    """An estimator and every estimator inside it, each once."""
    yield from _within(estimator, set())


def _within(value: Any, seen: set[int]) -> Iterator[Any]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, BaseEstimator):
        yield value
        for inner in vars(value).values():
            yield from _within(inner, seen)
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _within(inner, seen)
    elif isinstance(value, list | tuple) or (
        isinstance(value, np.ndarray) and value.dtype == object
    ):
        for inner in value if not isinstance(value, np.ndarray) else value.ravel():
            yield from _within(inner, seen)


def _boosted(part: Any) -> Iterator[Any]:
    """The trees of a HistGradientBoosting model; scikit-learn has no public name for them."""
    for stage in getattr(part, "_predictors", None) or []:
        yield from stage
