"""Scalers, imputers and other steps that work on each number by itself."""

from typing import Any

import numpy as np
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.preprocessing import (
    Binarizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    RobustScaler,
    StandardScaler,
)

from training.translation.graph import GraphTensor, concat
from training.translation.translator import Untranslatable


def standard_scaler(step: Any, x: GraphTensor) -> GraphTensor:
    """`StandardScaler`: division as in scikit-learn, not multiplication by the inverse."""
    centered = x - step.mean_ if step.with_mean else x
    return centered / step.scale_ if step.with_std else centered


def unscaled(step: Any, y: GraphTensor) -> GraphTensor:
    """The inverse of `StandardScaler`."""
    spread = y * step.scale_ if step.with_std else y
    return spread + step.mean_ if step.with_mean else spread


def min_max_scaler(step: Any, x: GraphTensor) -> GraphTensor:
    """`MinMaxScaler`."""
    scaled = x * step.scale_ + step.min_
    return scaled.clip(*map(float, step.feature_range)) if step.clip else scaled


def max_abs_scaler(step: Any, x: GraphTensor) -> GraphTensor:
    """`MaxAbsScaler`."""
    scaled = x / step.scale_
    return scaled.clip(-1.0, 1.0) if getattr(step, "clip", False) else scaled


def robust_scaler(step: Any, x: GraphTensor) -> GraphTensor:
    """`RobustScaler`."""
    centered = x - step.center_ if step.with_centering else x
    return centered / step.scale_ if step.with_scaling else centered


def normalizer(step: Any, x: GraphTensor) -> GraphTensor:
    """`Normalizer`: each row divided by its norm, rows of zeros unchanged."""
    lengths = {
        "l2": lambda: (x * x).sum().apply("Sqrt"),
        "l1": lambda: x.apply("Abs").sum(),
        "max": lambda: x.apply("Abs").maximum(),
    }[step.norm]()
    return x / lengths.equals(0.0).where(1.0, lengths)


def binarizer(step: Any, x: GraphTensor) -> GraphTensor:
    """`Binarizer`."""
    return (x > float(step.threshold)).numbers()


def _is_missing(x: GraphTensor, marker: Any) -> GraphTensor:
    is_nan = isinstance(marker, float) and np.isnan(marker)
    return x.apply("IsNaN") if is_nan else x.equals(marker)


def simple_imputer(step: Any, x: GraphTensor) -> GraphTensor:
    """`SimpleImputer`, with the indicator columns if it adds them."""
    statistics = np.asarray(step.statistics_)
    if statistics.dtype.kind not in "fiu":
        raise Untranslatable("an imputer of text")
    kept = [i for i, value in enumerate(statistics) if not np.isnan(value)]
    chosen = x if len(kept) == len(statistics) else x.take(kept)
    filled = _is_missing(chosen, step.missing_values).where(statistics[kept], chosen)
    if step.indicator_ is None:
        return filled
    return concat([filled, missing_indicator(step.indicator_, x)])


def missing_indicator(step: Any, x: GraphTensor) -> GraphTensor:
    """`MissingIndicator`."""
    return _is_missing(x.take(step.features_), step.missing_values).numbers()


TRANSFORMS = {
    Binarizer: binarizer,
    MaxAbsScaler: max_abs_scaler,
    MinMaxScaler: min_max_scaler,
    MissingIndicator: missing_indicator,
    Normalizer: normalizer,
    RobustScaler: robust_scaler,
    SimpleImputer: simple_imputer,
    StandardScaler: standard_scaler,
}
