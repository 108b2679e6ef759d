"""What monitoring compares traffic with: histograms of the training rows, and held-out rows."""

import io

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contracts.reference import (
    CategoryReference,
    ColumnReference,
    NumberReference,
    Reference,
    TimestampReference,
)
from contracts.schema import Feature
from training.dataset import Split
from training.recipe import Recipe

MAX_BINS = 64
NARROW_BIN_SHARES = np.array([0.002, 0.005])
"""Shares of the rows in further bins at both ends, where a few rows may do much harm."""
MAX_SAMPLE_ROWS = 20_000


def reference_of(recipe: Recipe, split: Split, scores: NDArray[np.float64]) -> Reference:
    """Histograms of the features, and of the predictions for the held-out rows.

    The features are those of `split.reference_rows`, else of the training rows; `scores` are
    those of the held-out rows, shape `(n_rows, n_outputs)`.
    """
    rows = split.train if split.reference_rows is None else split.reference_rows
    columns: dict[str, ColumnReference] = {
        "score": number_reference(recipe.decision_rule.monitored_scores(scores))
    }
    if recipe.is_classifier:
        columns["prediction"] = _category_reference(pd.Series(predictions(recipe, scores)))
    return Reference(
        n_rows=len(rows),
        n_predictions=len(scores),
        features={
            each.name: _column_reference(each, rows[each.name])
            for feature in recipe.schema.features
            for each in feature.inputs
        },
        predictions=columns,
        timestamps={
            f.name: _timestamp_reference(f, rows[f.name])
            for f in recipe.schema.features
            if f.is_timestamp
        },
    )


def sample_of(recipe: Recipe, split: Split, scores: NDArray[np.float64]) -> pd.DataFrame:
    """Held-out rows: features, `prediction`, `score`, `label` (of the first output)."""
    sample = split.holdout.assign(
        prediction=predictions(recipe, scores),
        score=recipe.decision_rule.monitored_scores(scores),
        label=split.holdout_target.reshape(len(scores), -1)[:, 0],
    )
    return sample.iloc[:MAX_SAMPLE_ROWS]


def sample_parquet(sample: pd.DataFrame) -> bytes:
    """The sample as Parquet."""
    buffer = io.BytesIO()
    sample.to_parquet(buffer, index=False)
    return buffer.getvalue()


def predictions(recipe: Recipe, scores: NDArray[np.float64]) -> NDArray[np.object_]:
    """The prediction for each row, shape `(n_rows,)`: a class name, or the first output's value."""
    if not recipe.is_classifier:
        return scores[:, 0].astype(object)
    class_indices = recipe.decision_rule.class_indices(scores)
    return np.array(recipe.classes, dtype=object)[class_indices]


def number_reference(values: NDArray[np.float64]) -> NumberReference:
    """The histogram of a numeric column `(n_rows,)`: 64 bins, and narrow ones at both ends.

    The 64 are equally full if possible; where there are fewer distinct values, each has a bin.
    A bin holds the values above its left edge up to its right edge; NaN counts as missing.

    >>> column = number_reference(np.array([1.0, 2.0, 2.0, 3.0, np.nan]))
    >>> column.edges, column.counts, column.missing
    ((1.0, 2.0), (1, 2, 1), 1)
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return NumberReference(
            edges=(), counts=(0,), missing=len(values), minimum=0, maximum=0, mean=0, std=0
        )
    edges = _edges(finite)
    bin_index = np.searchsorted(edges, finite, side="left")
    return NumberReference(
        edges=tuple(float(edge) for edge in edges),
        counts=tuple(int(n) for n in np.bincount(bin_index, minlength=len(edges) + 1)),
        missing=len(values) - len(finite),
        minimum=float(finite.min()),
        maximum=float(finite.max()),
        mean=float(finite.mean()),
        std=float(finite.std()),
    )


def _edges(finite: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inner edges: the values themselves where there are few, quantiles where there are many."""
    distinct = np.unique(finite)
    if len(distinct) <= MAX_BINS:
        return distinct[:-1]
    points = np.concatenate(
        [NARROW_BIN_SHARES, np.arange(1, MAX_BINS) / MAX_BINS, 1 - NARROW_BIN_SHARES]
    )
    quantiles = np.quantile(finite, points, method="inverted_cdf")
    return np.unique(quantiles[quantiles < distinct[-1]])


def _column_reference(feature: Feature, column: pd.Series) -> ColumnReference:
    if feature.is_category:
        is_other = column.notna() & ~column.isin(feature.categories)
        return _category_reference(column, int(is_other.sum()))
    if feature.type == "bool":
        return _category_reference(column.map({1.0: "true", 0.0: "false"}))
    return number_reference(column.to_numpy(dtype=np.float64))


def _timestamp_reference(feature: Feature, seconds: pd.Series) -> TimestampReference:
    known = seconds.dropna()
    return TimestampReference(
        parts=tuple(each.name for each in feature.inputs),
        missing=len(seconds) - len(known),
        minimum=float(known.min()) if len(known) else 0.0,
        maximum=float(known.max()) if len(known) else 0.0,
    )


def _category_reference(column: pd.Series, other: int = 0) -> CategoryReference:
    counts = column.value_counts()
    return CategoryReference(
        counts={str(category): int(n) for category, n in counts.items()},
        missing=int(column.isna().sum()),
        other=other,
    )
