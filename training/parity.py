"""The certificate: the exported model predicts like the fitted pipeline, where it is hardest."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from contracts.decision_rule import POSITIVE, Scores
from contracts.errors import CertificateFailed
from contracts.manifest import Certificate
from contracts.schema import FLOAT32_MAX, Feature
from training.dataset import plain_rows
from training.onnx_session import onnx_scores
from training.pipeline import scores_of, thresholds_of
from training.recipe import Recipe

TOLERANCE = 1e-5
"""The largest difference of a probability, or of a value in standard deviations of the target:
about a hundred float32 roundings, far below what any decision depends on."""
MAX_HOLDOUT_ROWS = 5_000
MAX_ADVERSARIAL_ROWS = 3_000
"""Rows per kind of adversarial row."""
UNSEEN_CATEGORY = "never seen"


@dataclass(frozen=True)
class _Differences:
    """Both models' scores of the same rows, `(n_rows, n_outputs)`, and how far they differ.

    `largest` is the largest difference of each row's scores, shape `(n_rows,)`, infinite for
    NaN; `other_class` says whose decided class differs.
    """

    fitted: Scores
    exported: Scores
    largest: NDArray[np.float64]
    other_class: NDArray[np.bool_]


def certify(
    pipeline: Pipeline,
    model: bytes,
    recipe: Recipe,
    holdout: pd.DataFrame,
    target_deviation: NDArray[np.float64] | float,
    rng: np.random.Generator,
) -> Certificate:
    """Compare the exported model with the pipeline on held-out and adversarial rows.

    `target_deviation` is the standard deviation of a regression's target, one per output, in
    which differences are measured; 1.0 for a classifier.

    Raises:
        CertificateFailed: a score differs by more than `TOLERANCE`, or a class differs.

    """
    groups = certified_rows(pipeline, recipe, holdout, rng)
    rows = pd.concat(groups.values(), ignore_index=True)
    matrix = recipe.schema.matrix(plain_rows(rows, recipe.schema))
    found = _differences(
        recipe,
        _fitted_scores(pipeline, rows, recipe),
        onnx_scores(model, matrix).astype(np.float64),
        np.maximum(target_deviation, 1e-12),
    )
    largest, class_differences = float(found.largest.max()), int(found.other_class.sum())
    certificate = Certificate(
        rows={name: len(group) for name, group in groups.items()},
        tolerance=TOLERANCE,
        max_difference=min(largest, FLOAT32_MAX),
        class_differences=class_differences,
        passed=largest <= TOLERANCE and not class_differences,
    )
    if not certificate.passed:
        raise _failure(recipe, certificate, found, rows)
    return certificate


def _fitted_scores(pipeline: Pipeline, rows: pd.DataFrame, recipe: Recipe) -> Scores:
    try:
        return scores_of(pipeline, rows, recipe)
    except ValueError as err:
        raise CertificateFailed(
            f"recipe {recipe.name!r}: expected the pipeline to predict every row that the "
            f"schema allows, got {str(err).splitlines()[0]}",
            remedy="impute what is nullable, or take nullable=True from the schema",
        ) from err


def _differences(
    recipe: Recipe, fitted: Scores, exported: Scores, scale: NDArray[np.float64]
) -> _Differences:
    largest = np.nan_to_num((np.abs(fitted - exported) / scale).max(axis=1), nan=np.inf)
    other_class = np.zeros(len(fitted), dtype=bool)
    if recipe.is_classifier:
        class_indices = recipe.decision_rule.class_indices
        # Where the pipeline itself is within the tolerance of a tie, either class is right.
        clear = _distance_to_tie(recipe, fitted) > TOLERANCE
        other_class = (class_indices(fitted) != class_indices(exported)) & clear
    return _Differences(fitted, exported, largest, other_class)


def _distance_to_tie(recipe: Recipe, scores: Scores) -> NDArray[np.float64]:
    """How far the scores of each row are from another decision, shape `(n_rows,)`."""
    if recipe.task == "binary":
        return np.abs(scores[:, POSITIVE] - recipe.threshold)
    ordered = np.sort(scores, axis=1)
    return ordered[:, -1] - ordered[:, -2]


def certified_rows(
    pipeline: Pipeline, recipe: Recipe, holdout: pd.DataFrame, rng: np.random.Generator
) -> dict[str, pd.DataFrame]:
    """Held-out rows and adversarial ones, by kind; kinds without rows are left out.

    Adversarial rows are held-out rows with one value replaced by one on which exported models
    have been seen to differ: a tree's threshold, an end of the range, a missing value, a
    category.
    """
    base = holdout.iloc[:MAX_HOLDOUT_ROWS]
    groups = {"holdout": base} | adversarial_rows(pipeline, recipe, base, rng)
    return {name: group for name, group in groups.items() if len(group)}


def adversarial_rows(
    pipeline: Pipeline, recipe: Recipe, base: pd.DataFrame, rng: np.random.Generator
) -> dict[str, pd.DataFrame]:
    """Rows of `base` with one value replaced, at most `MAX_ADVERSARIAL_ROWS` per kind."""
    features, columns = recipe.schema.features, recipe.schema.columns
    thresholds = {
        columns[index].name: _around(values)
        for index, values in thresholds_of(pipeline).items()
        if index < len(columns) and columns[index].type in {"float", "int"}
    }
    values_by_kind: dict[str, dict[str, list[Any]]] = {
        "thresholds": thresholds,
        "edges": {f.name: _edges(f, base[f.name]) for f in features if not f.is_category},
        "missing": {f.name: [np.nan] * 8 for f in features if f.nullable},
        "categories": {f.name: _categories(f) for f in features if f.is_category},
    }
    return {
        kind: _sampled([_with_values(base, n, v, rng) for n, v in by_feature.items()], base, rng)
        for kind, by_feature in values_by_kind.items()
    }


def _around(thresholds: NDArray[np.float64]) -> list[float]:
    """Each threshold, and one float32 step to each side."""
    exact = thresholds.astype(np.float32)
    steps = [np.nextafter(exact, np.float32(side)) for side in (-np.inf, np.inf)]
    return [float(v) for v in np.concatenate([exact, *steps]) if abs(v) <= FLOAT32_MAX]


def _edges(feature: Feature, seen: pd.Series) -> list[float]:
    """The ends of the range, or of the values seen if the schema has no end; and 0.1 + 0.2."""
    if feature.type == "bool":
        return [0.0, 1.0]
    low = float(seen.min()) if feature.minimum is None else feature.minimum
    high = float(seen.max()) if feature.maximum is None else feature.maximum
    ends = [low, high, np.nextafter(np.float32(low), np.inf), np.nextafter(np.float32(high), 0)]
    return [float(v) for v in ends for _ in range(4)] + [0.1 + 0.2] * (low <= 0.3 <= high)  # noqa: PLR2004 - a sum that float32 rounds


def _categories(feature: Feature) -> list[str]:
    """Every category four times, and one that was never seen if the schema allows it."""
    unseen = [] if feature.policy == "reject" else [UNSEEN_CATEGORY]
    return [*feature.categories, *unseen] * 4


def _with_values(
    base: pd.DataFrame, feature: str, values: list[Any], rng: np.random.Generator
) -> pd.DataFrame:
    """Random rows of `base`, one for each value, with that value put in."""
    chosen = base.iloc[rng.integers(0, len(base), len(values))].copy()
    chosen[feature] = pd.Series(values, index=chosen.index, dtype=base[feature].dtype)
    return chosen


def _sampled(
    parts: list[pd.DataFrame], base: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    if not parts:
        return base.iloc[:0]
    rows = pd.concat(parts, ignore_index=True)
    if len(rows) <= MAX_ADVERSARIAL_ROWS:
        return rows
    return rows.iloc[rng.choice(len(rows), MAX_ADVERSARIAL_ROWS, replace=False)]


def _failure(
    recipe: Recipe, certificate: Certificate, found: _Differences, rows: pd.DataFrame
) -> CertificateFailed:
    worst = int(found.largest.argmax())
    row = plain_rows(rows.iloc[[worst]], recipe.schema)[0]
    n_beyond = int(np.sum(found.largest > TOLERANCE))
    return CertificateFailed(
        f"recipe {recipe.name!r}: expected the ONNX model to predict within {TOLERANCE:g} of the "
        f"pipeline, got {n_beyond} of {len(rows)} rows beyond it (largest difference "
        f"{certificate.max_difference:.3g}, {certificate.class_differences} rows of another "
        f"class); worst row {row}: {found.fitted[worst].round(6).tolist()} fitted, "
        f"{found.exported[worst].round(6).tolist()} exported",
        remedy="where the worst row has a null, impute it before the model; else float32 is too "
        "coarse between the input and a tree; see docs/certificate.md",
    )
