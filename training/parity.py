"""The certificate: the exported model answers like the fitted pipeline, where it is hardest."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from contracts.errors import CertificateFailed
from contracts.manifest import Certificate
from contracts.schema import FLOAT32_MAX, Feature
from training.dataset import rows_of
from training.onnx_session import onnx_scores
from training.pipeline import scores_of, thresholds_of
from training.recipe import Recipe

TOLERANCE = 1e-5
"""Largest difference of a probability, or of a value in units of the target's deviation: some
hundred float32 roundings, far below what any decision can see."""
MOST_HOLDOUT = 5_000
MOST_ADVERSARIAL = 3_000


@dataclass(frozen=True)
class _Answers:
    """Both answers to the same rows; `scale` is what a difference is measured in."""

    fitted: NDArray[np.float64]
    exported: NDArray[np.float64]
    scale: NDArray[np.float64]

    @property
    def differences(self) -> NDArray[np.float64]:
        """The largest difference of each row's scores, shape `(n_rows,)`; NaN counts as huge."""
        gap = (np.abs(self.fitted - self.exported) / self.scale).max(axis=1)
        return np.nan_to_num(gap, nan=np.inf)


def certify(
    pipeline: Pipeline,
    model: bytes,
    recipe: Recipe,
    holdout: pd.DataFrame,
    target_deviation: NDArray[np.float64] | float,
    rng: np.random.Generator,
) -> Certificate:
    """Hold the exported model against the pipeline on held-out and adversarial rows.

    Raises:
        CertificateFailed: a score differs by more than `TOLERANCE`, or a class differs.

    """
    groups = probes(pipeline, recipe, holdout, rng)
    rows = pd.concat(groups.values(), ignore_index=True)
    matrix = recipe.schema.matrix(rows_of(rows, recipe.schema))
    answers = _Answers(
        _fitted_scores(pipeline, rows, recipe),
        onnx_scores(model, matrix).astype(np.float64),
        np.maximum(target_deviation, 1e-12),
    )
    certificate = Certificate(
        rows={name: len(group) for name, group in groups.items()},
        tolerance=TOLERANCE,
        largest_difference=float(min(answers.differences.max(), FLOAT32_MAX)),
        class_differences=_class_differences(answers, recipe),
        passed=bool(
            answers.differences.max() <= TOLERANCE and not _class_differences(answers, recipe)
        ),
    )
    if not certificate.passed:
        raise _failure(recipe, certificate, answers, rows)
    return certificate


def _fitted_scores(pipeline: Pipeline, rows: pd.DataFrame, recipe: Recipe) -> NDArray[np.float64]:
    try:
        return scores_of(pipeline, rows, recipe)
    except ValueError as err:
        raise CertificateFailed(
            f"recipe {recipe.name!r}: expected the pipeline to answer every row that the schema "
            f"allows, got {str(err).splitlines()[0]}",
            remedy="impute what is nullable, or take nullable=True from the schema",
        ) from err


def probes(
    pipeline: Pipeline, recipe: Recipe, holdout: pd.DataFrame, rng: np.random.Generator
) -> dict[str, pd.DataFrame]:
    """Rows on which exported models have been seen to differ, by where they come from."""
    base = holdout.iloc[:MOST_HOLDOUT]
    groups = {"holdout": base}
    at_splits = [
        _placed(base, recipe.schema.columns[column].name, _around(thresholds), rng)
        for column, thresholds in thresholds_of(pipeline).items()
        if column < len(recipe.schema.columns)
        and recipe.schema.columns[column].type in {"float", "int"}
    ]
    groups["thresholds"] = _sampled(at_splits, base, rng)
    groups["edges"] = _sampled(
        [
            _placed(base, f.name, _edges(f, base[f.name]), rng)
            for f in recipe.schema.features
            if not f.is_category
        ],
        base,
        rng,
    )
    groups["missing"] = _sampled(
        [_placed(base, f.name, [np.nan] * 8, rng) for f in recipe.schema.features if f.nullable],
        base,
        rng,
    )
    groups["categories"] = _sampled(
        [_placed(base, f.name, _words(f), rng) for f in recipe.schema.features if f.is_category],
        base,
        rng,
    )
    return {name: group for name, group in groups.items() if len(group)}


def _around(thresholds: NDArray[np.float64]) -> list[float]:
    """Each threshold, and one float32 step to each side."""
    exact = thresholds.astype(np.float32)
    steps = [np.nextafter(exact, np.float32(side)) for side in (-np.inf, np.inf)]
    return [float(v) for v in np.concatenate([exact, *steps]) if abs(v) <= FLOAT32_MAX]


def _edges(feature: Feature, seen: pd.Series) -> list[float]:
    """The ends of the range, or of what was seen where the schema has no end; and zero."""
    if feature.type == "bool":
        return [0.0, 1.0]
    low = float(seen.min()) if feature.minimum is None else feature.minimum
    high = float(seen.max()) if feature.maximum is None else feature.maximum
    ends = [low, high, np.nextafter(np.float32(low), np.inf), np.nextafter(np.float32(high), 0)]
    return [float(v) for v in ends for _ in range(4)] + [0.1 + 0.2] * (low <= 0.3 <= high)  # noqa: PLR2004 - a sum that float32 rounds


def _words(feature: Feature) -> list[str]:
    unseen = [] if feature.policy == "reject" else ["never seen"]
    return [*feature.categories, *unseen] * 4


def _placed(
    base: pd.DataFrame, name: str, values: list[Any], rng: np.random.Generator
) -> pd.DataFrame:
    """Random rows of `base`, one for each value, with that value put in."""
    chosen = base.iloc[rng.integers(0, len(base), len(values))].copy()
    chosen[name] = pd.Series(values, index=chosen.index, dtype=base[name].dtype)
    return chosen


def _sampled(
    parts: list[pd.DataFrame], base: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    if not parts:
        return base.iloc[:0]
    rows = pd.concat(parts, ignore_index=True)
    if len(rows) <= MOST_ADVERSARIAL:
        return rows
    return rows.iloc[rng.choice(len(rows), MOST_ADVERSARIAL, replace=False)]


def _class_differences(answers: _Answers, recipe: Recipe) -> int:
    """Rows whose class differs, where the pipeline itself is not within the tolerance of a tie."""
    if not recipe.is_classifier:
        return 0
    fitted = recipe.decision_rule.class_indices(answers.fitted)
    exported = recipe.decision_rule.class_indices(answers.exported)
    if recipe.task == "binary":
        margin = np.abs(answers.fitted[:, 1] - recipe.threshold)
    else:
        ordered = np.sort(answers.fitted, axis=1)
        margin = ordered[:, -1] - ordered[:, -2]
    return int(np.sum((fitted != exported) & (margin > TOLERANCE)))


def _failure(
    recipe: Recipe, certificate: Certificate, answers: _Answers, rows: pd.DataFrame
) -> CertificateFailed:
    worst = int(answers.differences.argmax())
    row = rows_of(rows.iloc[[worst]], recipe.schema)[0]
    return CertificateFailed(
        f"recipe {recipe.name!r}: expected the ONNX model to answer within {TOLERANCE:g} of the "
        f"pipeline, got {int(np.sum(answers.differences > TOLERANCE))} of {len(rows)} rows beyond "
        f"it (largest {certificate.largest_difference:.3g}, {certificate.class_differences} other "
        f"classes); worst row {row}: {answers.fitted[worst].round(6).tolist()} fitted, "
        f"{answers.exported[worst].round(6).tolist()} exported",
        remedy="where the worst row has a null, impute it before the model; else float32 is too "
        "coarse between the input and a tree; see docs/certificate.md",
    )
