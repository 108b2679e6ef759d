"""The fitted pipeline, from a DataFrame to scores.

The first step, `encode`, turns the schema's columns into one matrix (`Schema.matrix` is the
definition): in float32, or in float64 where the served model takes that. The parts of timestamps
are columns of the DataFrame already. It is pure scikit-learn,
so that the stored pipeline loads without our code. The second step, `model`, is the recipe's
estimator.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import DTypeLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder

from contracts.errors import InvalidRecipe, PlatformError
from contracts.schema import MISSING_CODE, UNSEEN_CODE, Schema
from training.frameworks.catalog import framework_of, frameworks_of, prepare_estimators, splits_of
from training.frameworks.class_numbers import numbered
from training.frameworks.extras import not_installed
from training.metrics import Target
from training.recipe import Recipe
from training.score_kind import score_kind_of
from training.user_code import failed_at, failing_step


def fitted_pipeline(
    recipe: Recipe,
    features: pd.DataFrame,
    targets: Target,
    seed: int,
    dtype: DTypeLike = np.float32,
) -> Pipeline:
    """The recipe's pipeline, fitted on a matrix of `dtype`.

    `features` and `targets` are as `features_of` and `targets_of` return them; `seed` is set as
    every `random_state` of the estimator. A model of float32 has its tree thresholds rounded to
    float32.

    Raises:
        InvalidRecipe: the estimator cannot be made, or raises in `fit`.

    """
    with errors_of_the_estimator(recipe, "estimator"):
        model = recipe.estimator()
        model.set_params(**_own_parameters(model, recipe, seed))
        prepare_estimators([model, *model.get_params().values()])
        if recipe.is_classifier and _learns_numbers(model):
            model = numbered(model)
    is_natural = recipe.runtime == "sklearn"
    with errors_of_the_estimator(recipe, "fit"):
        encode = natural_encoder(recipe.schema) if is_natural else encoder(recipe.schema, dtype)
        pipeline = Pipeline([("encode", encode), ("model", model)])
        pipeline.fit(features, targets)
    if dtype == np.float32 and not is_natural:
        snap_thresholds(pipeline)
    return pipeline


def _own_parameters(model: Any, recipe: Recipe, seed: int) -> dict[str, Any]:
    """The parameters that we set: each seed; and ties between classes broken as we decide."""
    names = [(name, name.split("__")[-1]) for name in model.get_params()]
    ours: dict[str, Any] = {name: seed for name, last in names if last == "random_state"}
    if recipe.task == "multiclass":
        ours |= {name: True for name, last in names if last == "break_ties"}
    return ours


def _learns_numbers(model: Any) -> bool:
    """Whether a classifier within a model learns numbers instead of class names."""
    parts = [model, *model.get_params().values()]
    return not all(each.takes_class_names for each in frameworks_of(parts))


def in_dtype(pipeline: Pipeline, schema: Schema, features: pd.DataFrame, dtype: Any) -> Pipeline:
    """The fitted pipeline with an encoder of another type; `features` are any valid rows."""
    encode = encoder(schema, dtype).fit(features)
    return Pipeline([("encode", encode), ("model", pipeline.named_steps["model"])])


def encoder(schema: Schema, dtype: DTypeLike = np.float32) -> ColumnTransformer:
    """The step that turns the schema's columns into columns of `dtype`, `(n_rows, n_features)`."""
    numbers = [f.name for f in schema.inputs if not f.is_category]
    categories = [f for f in schema.inputs if f.is_category]
    codes = OrdinalEncoder(
        categories=[np.array([*f.categories, np.nan], dtype=object) for f in categories],
        handle_unknown="use_encoded_value",
        unknown_value=int(UNSEEN_CODE),
        encoded_missing_value=int(MISSING_CODE),
        dtype=dtype,
    )
    numeric = np.dtype(dtype).type
    steps = [
        ("numbers", FunctionTransformer(numeric, feature_names_out="one-to-one"), numbers),
        ("categories", codes, [f.name for f in categories]),
    ]
    return ColumnTransformer(
        [step for step in steps if step[2]], verbose_feature_names_out=False
    ).set_output(transform="pandas")


def natural_encoder(schema: Schema) -> Any:
    """The step for a model that is served by itself: the columns as they are, numbers first."""
    if schema.inputs == schema.features:
        return FunctionTransformer(feature_names_out="one-to-one")
    names = [feature.name for feature in schema.inputs]
    return ColumnTransformer(
        [("columns", "passthrough", names)], verbose_feature_names_out=False
    ).set_output(transform="pandas")


@contextmanager
def errors_of_the_estimator(recipe: Recipe, action: str) -> Iterator[None]:
    """Turn whatever the recipe's estimator raises into an error that names step and line."""
    try:
        yield
    except PlatformError:
        raise
    except Exception as err:
        step = failing_step(err)
        raise not_installed(err, recipe.name) or InvalidRecipe(
            f"recipe {recipe.name!r}: {action}: expected an estimator that fits and predicts the "
            f"training rows, got {failed_at(err)}{f' in the step {step}' if step else ''}",
            remedy=f"fix the estimator in training/recipes/{recipe.name}.py",
        ) from err


def scores_of(pipeline: Any, features: pd.DataFrame, recipe: Recipe) -> NDArray[np.float64]:
    """The scores of a fitted pipeline or estimator, shape `(n_rows, n_outputs)`.

    They are probabilities, margins or decisions in the order of `recipe.classes`, or values in
    the order of `recipe.targets`; see `contracts.manifest.ScoreKind`.
    """
    kind = score_kind_of(pipeline, recipe)
    if kind == "value":
        return np.asarray(pipeline.predict(features), dtype=np.float64).reshape(len(features), -1)
    classes = [str(name) for name in pipeline.classes_]
    if kind == "probability":
        scores = np.asarray(pipeline.predict_proba(features), dtype=np.float64)
    elif kind == "margin":
        scores = np.asarray(pipeline.decision_function(features), dtype=np.float64)
        if scores.ndim == 1:
            scores = np.column_stack([-scores, scores])
    else:
        decided = np.asarray(pipeline.predict(features)).astype(str)
        scores = (decided[:, None] == np.array(classes)).astype(np.float64)
    return scores[:, [classes.index(name) for name in recipe.classes]]


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
        _collect(found, splits_of(part))
    return {column: np.unique(values) for column, values in found.items()}


def _collect(found: dict[int, list[float]], pairs: Any) -> None:
    for column, threshold in pairs:
        if np.isfinite(threshold):
            found.setdefault(int(column), []).append(float(threshold))


def estimators_within(estimator: Any) -> Iterator[Any]:
    """An estimator and every estimator inside it, each once."""
    yield from _within(estimator, set())


def is_estimator(value: Any) -> bool:
    """Whether a value is an estimator of scikit-learn or of a framework."""
    if isinstance(value, BaseEstimator):
        return True
    return framework_of(value) is not None and hasattr(value, "get_params")


def _within(value: Any, seen: set[int]) -> Iterator[Any]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if is_estimator(value):
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
