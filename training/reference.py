"""What monitoring will compare with: the sketch of the training rows, and a sample."""

import io

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contracts.reference import CategoryReference, ColumnReference, NumberReference, Reference
from contracts.schema import Feature
from training.dataset import Split
from training.recipe import Recipe

BINS = 64
SAMPLE_ROWS = 20_000


def reference_of(recipe: Recipe, split: Split, scores: NDArray[np.float64]) -> Reference:
    """The sketch of the usual rows' features and of the answers on held-out rows."""
    usual = split.train if split.usual is None else split.usual
    answers: dict[str, ColumnReference] = {
        "score": number_reference(recipe.decision_rule.monitored_scores(scores))
    }
    if recipe.is_classifier:
        answers["prediction"] = _category_reference(pd.Series(predictions(recipe, scores)))
    return Reference(
        n_rows=len(usual),
        n_predictions=len(scores),
        features={f.name: _column_reference(f, usual[f.name]) for f in recipe.schema.features},
        predictions=answers,
    )


def sample_parquet(recipe: Recipe, split: Split, scores: NDArray[np.float64]) -> bytes:
    """Held-out rows as Parquet: features, `prediction`, `score`, `label` (of the first output)."""
    sample = split.holdout.assign(
        prediction=predictions(recipe, scores),
        score=recipe.decision_rule.monitored_scores(scores),
        label=split.holdout_target.reshape(len(scores), -1)[:, 0],
    )
    buffer = io.BytesIO()
    sample.iloc[:SAMPLE_ROWS].to_parquet(buffer, index=False)
    return buffer.getvalue()


def predictions(recipe: Recipe, scores: NDArray[np.float64]) -> NDArray[np.object_]:
    """The answer of each row: its class, or its value."""
    if not recipe.is_classifier:
        return scores[:, 0].astype(object)
    places = recipe.decision_rule.class_indices(scores)
    return np.array(recipe.classes, dtype=object)[places]


def number_reference(values: NDArray[np.float64]) -> NumberReference:
    """A numeric column in at most 64 bins with equal shares, as far as ties allow.

    >>> column = number_reference(np.array([1.0, 2.0, 2.0, 3.0, np.nan]))
    >>> column.edges, column.counts, column.missing
    ((1.0, 2.0), (1, 2, 1), 1)
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return NumberReference(
            edges=(), counts=(0,), missing=len(values), minimum=0, maximum=0, mean=0, deviation=0
        )
    edges = _edges(finite)
    places = np.searchsorted(edges, finite, side="left")
    return NumberReference(
        edges=tuple(float(edge) for edge in edges),
        counts=tuple(int(n) for n in np.bincount(places, minlength=len(edges) + 1)),
        missing=len(values) - len(finite),
        minimum=float(finite.min()),
        maximum=float(finite.max()),
        mean=float(finite.mean()),
        deviation=float(finite.std()),
    )


def _edges(finite: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inner edges: the values themselves where there are few, quantiles where there are many."""
    distinct = np.unique(finite)
    if len(distinct) <= BINS:
        return distinct[:-1]
    quantiles = np.quantile(finite, np.arange(1, BINS) / BINS, method="inverted_cdf")
    return np.unique(quantiles[quantiles < distinct[-1]])


def _column_reference(feature: Feature, column: pd.Series) -> ColumnReference:
    if feature.is_category:
        return _category_reference(column)
    if feature.type == "bool":
        return _category_reference(column.map({1.0: "true", 0.0: "false"}))
    return number_reference(column.to_numpy(dtype=np.float64))


def _category_reference(column: pd.Series) -> CategoryReference:
    counts = column.value_counts()
    return CategoryReference(
        counts={str(word): int(n) for word, n in counts.items()},
        missing=int(column.isna().sum()),
    )
