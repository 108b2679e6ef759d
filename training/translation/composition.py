"""Pipelines, column transformers, unions, selections and what wraps one estimator."""

from typing import Any

import numpy as np
from sklearn import feature_selection
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.impute._iterative import (
    IterativeImputer,  # the public name needs an experimental import
)
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    StandardScaler,
)

from training.translation.features import named_function, unpowered
from training.translation.graph import GraphTensor, concat
from training.translation.lookup import interpolated
from training.translation.scalers import missing_indicator, unscaled
from training.translation.translator import Translator, Untranslatable


def through_pipeline(to: Translator, steps: list[Any], x: GraphTensor) -> GraphTensor:
    """A matrix after the transformers of a pipeline; `steps` are pairs of name and step."""
    for _, step in steps:
        if step is not None and not (isinstance(step, str) and step == "passthrough"):
            x = to.transform(step, x)
    return x


def pipeline(to: Translator, step: Any, x: GraphTensor) -> GraphTensor:
    """A `Pipeline` that ends in a transformer."""
    return through_pipeline(to, step.steps, x)


def column_positions(step: Any, columns: Any) -> list[int]:
    """The positions of the columns that a fitted `ColumnTransformer` gives to a transformer.

    It names them by name, position, slice or mask; functions have been called when it was fitted.
    """
    names = list(getattr(step, "feature_names_in_", []))
    positions = list(range(step.n_features_in_))
    if isinstance(columns, slice):
        start = names.index(columns.start) if isinstance(columns.start, str) else columns.start
        # A name at the end of a slice is included, as in pandas.
        end = names.index(columns.stop) + 1 if isinstance(columns.stop, str) else columns.stop
        return positions[start : end : columns.step]
    several = [columns] if isinstance(columns, str | int) else list(columns)
    if several and isinstance(several[0], bool | np.bool_):
        return [i for i, chosen in enumerate(several) if chosen]
    return [
        names.index(each) if isinstance(each, str) else positions[int(each)] for each in several
    ]


def column_transformer(to: Translator, step: Any, x: GraphTensor) -> GraphTensor:
    """`ColumnTransformer`, with columns by name, position, slice, mask or function."""
    parts = []
    weights = step.transformer_weights or {}
    for name, inner, columns in step.transformers_:
        positions = column_positions(step, columns)
        if not positions or (isinstance(inner, str) and inner == "drop"):
            continue
        part = x.take(positions)
        if not isinstance(inner, str):
            part = to.transform(inner, part)
        parts.append(part * float(weights[name]) if name in weights else part)
    return concat(parts)


def union(to: Translator, step: Any, x: GraphTensor) -> GraphTensor:
    """`FeatureUnion`."""
    parts = []
    weights = step.transformer_weights or {}
    for name, inner in step.transformer_list:
        if isinstance(inner, str) and inner == "drop":
            continue
        part = x if isinstance(inner, str) else to.transform(inner, x)
        parts.append(part * float(weights[name]) if name in weights else part)
    return concat(parts)


def selection(_to: Translator, step: Any, x: GraphTensor) -> GraphTensor:
    """Every step that selects columns."""
    return x.take(step.get_support(indices=True))


def iterative_imputer(to: Translator, step: Any, x: GraphTensor) -> GraphTensor:
    """`IterativeImputer`: one column after the other, in the order in which it was fitted."""
    if step.sample_posterior or step.imputation_order == "random" or step.skip_complete:
        raise Untranslatable("an IterativeImputer that draws at random or skips columns")
    missing = x.apply("IsNaN")
    filled = to.transform(step.initial_imputer_, x)
    low, high = step._min_value, step._max_value  # noqa: SLF001 - see ARCHITECTURE.md, private APIs
    columns = [filled.take([i]) for i in range(step.n_features_in_)]
    for feature, others, estimator in step.imputation_sequence_:
        guess = to.predict(estimator, concat([columns[i] for i in others]))
        bounded = guess.clip(float(low[feature]), float(high[feature]))
        columns[feature] = missing.take([feature]).where(bounded, columns[feature])
    result = concat(columns)
    if step.indicator_ is None:
        return result
    return concat([result, missing_indicator(step.indicator_, x)])


def transformed_target(to: Translator, model: Any, x: GraphTensor) -> GraphTensor:
    """`TransformedTargetRegressor`: the inverse of the transformation, after the regressor."""
    return _inverse(model.transformer_, to.predict(model.regressor_, x))


def _inverse(step: Any, y: GraphTensor) -> GraphTensor:
    if type(step) is FunctionTransformer:
        return named_function(step.inverse_func, step.inv_kw_args, y)
    if type(step) is StandardScaler:
        return unscaled(step, y)
    if type(step) is MinMaxScaler:
        return (y - step.min_) / step.scale_
    if type(step) is PowerTransformer:
        return unpowered(step, y)
    if type(step) is QuantileTransformer and step.output_distribution == "uniform":
        return interpolated(y, step.references_, step.quantiles_[:, 0])
    raise Untranslatable(f"the inverse of {type(step).__name__} for a target")


SELECTORS = (
    feature_selection.GenericUnivariateSelect,
    feature_selection.RFE,
    feature_selection.RFECV,
    feature_selection.SelectFdr,
    feature_selection.SelectFpr,
    feature_selection.SelectFromModel,
    feature_selection.SelectFwe,
    feature_selection.SelectKBest,
    feature_selection.SelectPercentile,
    feature_selection.SequentialFeatureSelector,
    feature_selection.VarianceThreshold,
)
TRANSFORMS = dict.fromkeys(SELECTORS, selection) | {
    ColumnTransformer: column_transformer,
    FeatureUnion: union,
    IterativeImputer: iterative_imputer,
    Pipeline: pipeline,
}
REGRESSORS = {TransformedTargetRegressor: transformed_target}
