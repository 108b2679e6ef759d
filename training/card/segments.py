"""Figures of a model by segment, and by the crossing of two, on its held-out rows.

A model that is right on average may be wrong for one group, or select one far more often.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contracts.card import MIN_COUNT, Figure, SegmentFigures
from contracts.decision_rule import POSITIVE
from contracts.manifest import Manifest
from contracts.segments import MISSING, UNSEEN, segment_values
from metrics.estimate import MetricEstimate, estimate_accuracy, estimate_mean

MAX_SEGMENT_FEATURES = 4
"""Without segments in the recipe, this many categorical features are taken, by importance."""
MAX_VALUES = 12
"""A feature with more values divides the rows too finely."""
MAX_CROSSINGS = 40

FiguresOf = Callable[[pd.DataFrame], dict[str, Figure | None]]


def segment_features(manifest: Manifest) -> tuple[str, ...]:
    """The features by which the card divides rows: the recipe's, or the most important ones."""
    if manifest.segments:
        return manifest.segments
    fit = [
        feature.name
        for feature in manifest.schema.features
        if feature.type == "bool" or (feature.is_category and len(feature.categories) <= MAX_VALUES)
    ]
    fit.sort(key=lambda name: -manifest.importance.get(name, 0.0))
    return tuple(fit[:MAX_SEGMENT_FEATURES])


def segment_figures(manifest: Manifest, sample: pd.DataFrame) -> tuple[SegmentFigures, ...]:
    """The figures of every segment, and of the crossings that are large enough, largest first.

    `sample` has the held-out rows with `prediction`, `score` and `label`.
    """
    if not {"prediction", "label"} <= set(sample.columns):
        return ()  # a version of a release whose sample had no labels
    features = segment_features(manifest)
    figures_of = _figures_of(manifest)
    sample = sample.assign(**{name: _values(sample[name], manifest) for name in features})
    single = [each for name in features for each in _groups(sample, (name,), figures_of)]
    crossed = [
        each
        for pair in combinations(features, 2)
        for each in _groups(sample, pair, figures_of)
        if each.rows >= MIN_COUNT
    ]
    crossed.sort(key=lambda each: -each.rows)
    return (*single, *crossed[:MAX_CROSSINGS])


def _groups(
    sample: pd.DataFrame, features: Sequence[str], figures_of: FiguresOf
) -> Iterator[SegmentFigures]:
    for values, rows in sample.groupby(list(features), sort=True, observed=True):
        named = {f: str(v) for f, v in zip(features, values, strict=True)}
        yield SegmentFigures(segment=named, rows=len(rows), figures=figures_of(rows))


def _values(column: pd.Series, manifest: Manifest) -> pd.Series:
    """The segment of each row; what is missing and what the schema does not know are two more."""
    known = segment_values(manifest, str(column.name))
    texts = column.map(_text, na_action="ignore")
    return texts.where(texts.isin(known), UNSEEN).mask(column.isna(), MISSING)


def _text(value: object) -> str:
    is_flag = isinstance(value, bool | np.bool_) or value in {0.0, 1.0}
    return ("true" if value else "false") if is_flag else str(value)


def _figures_of(manifest: Manifest) -> FiguresOf:
    if manifest.task == "regression":
        return _of_regression
    if manifest.task == "multiclass":
        return lambda rows: {"accuracy": _share(_is_right(rows))}
    positive = manifest.classes[POSITIVE]
    return lambda rows: _of_binary(rows, positive)


def _of_binary(rows: pd.DataFrame, positive: str) -> dict[str, Figure | None]:
    """The rate of the positive decision, the errors of both kinds, and the accuracy."""
    selected = rows["prediction"].astype(str).to_numpy() == positive
    is_positive = rows["label"].astype(str).to_numpy() == positive
    return {
        "selection rate": _share(selected),
        "false positive rate": _share(selected[~is_positive]),
        "false negative rate": _share(~selected[is_positive]),
        "accuracy": _share(selected == is_positive),
    }


def _of_regression(rows: pd.DataFrame) -> dict[str, Figure | None]:
    """The mean absolute error, and the mean error: above zero if the model says too much."""
    error = rows["prediction"].to_numpy(dtype=float) - rows["label"].to_numpy(dtype=float)
    return {
        "mean absolute error": _figure(estimate_mean(np.abs(error)), len(error)),
        "mean error": _figure(estimate_mean(error), len(error)),
    }


def _is_right(rows: pd.DataFrame) -> NDArray[np.bool_]:
    right: NDArray[np.bool_] = (
        rows["prediction"].astype(str).to_numpy() == rows["label"].astype(str).to_numpy()
    )
    return right


def _share(hits: NDArray[np.bool_]) -> Figure | None:
    return _figure(estimate_accuracy(hits), len(hits)) if len(hits) >= MIN_COUNT else None


def _figure(found: MetricEstimate, n: int) -> Figure | None:
    if n < MIN_COUNT:
        return None
    return Figure(value=found.value, low=found.low, high=found.high)
