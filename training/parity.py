"""The certificate: the exported model predicts like the fitted pipeline, where it is hardest."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from contracts.decision_rule import Scores
from contracts.errors import CertificateFailed, first_line
from contracts.manifest import Certificate
from contracts.schema import FLOAT32_MAX
from training.divergence import first_divergence
from training.onnx_session import OnnxSession
from training.pipeline import scores_of
from training.probes import certified_rows
from training.recipe import Recipe
from training.rows import plain_rows
from training.score_kind import score_kind_of
from training.user_code import failed_at, failing_step

TOLERANCE = 1e-5
"""The largest difference of a probability, or of a value relative to the larger of the value
and the standard deviation of the target: about a hundred float32 roundings, far below what any
decision depends on. A recipe may set another one."""


@dataclass(frozen=True)
class _Differences:
    """Both models' scores of the same rows, `(n_rows, n_outputs)`, and how far they differ.

    `largest` is the largest difference of each row's scores, shape `(n_rows,)`, infinite for
    NaN; `other_class` says whose decided class differs. Rows for which the pipeline itself has
    no finite score are `meaningless`, and differ in nothing.
    """

    fitted: Scores
    exported: Scores
    largest: NDArray[np.float64]
    other_class: NDArray[np.bool_]
    meaningless: NDArray[np.bool_]


def certify(
    pipeline: Pipeline,
    model: bytes,
    recipe: Recipe,
    holdout: pd.DataFrame,
    target_deviation: NDArray[np.float64] | float,
    rng: np.random.Generator,
) -> Certificate:
    """Compare the exported model with the pipeline on held-out and adversarial rows.

    `target_deviation` is the standard deviation of a regression's target, one per output: values
    are compared in it, and larger values relative to themselves. It is 1.0 for a classifier.

    Raises:
        CertificateFailed: a score differs by more than the tolerance, or a class differs.

    """
    groups = probes_of(pipeline, recipe, holdout, rng)
    return certify_on(groups, pipeline, model, recipe, target_deviation)


def certify_on(
    groups: Mapping[str, pd.DataFrame],
    pipeline: Pipeline,
    model: bytes,
    recipe: Recipe,
    target_deviation: NDArray[np.float64] | float,
) -> Certificate:
    """Compare the exported model with the pipeline on these rows; as `certify`."""
    rows = pd.concat(groups.values(), ignore_index=True)
    fitted = _fitted_scores(pipeline, rows, recipe)
    exported = _exported_scores(model, rows, recipe)
    scale = _scale(pipeline, recipe, target_deviation)
    found = _differences(recipe, fitted, exported, scale)
    largest, class_differences = float(found.largest.max()), int(found.other_class.sum())
    tolerance = recipe.tolerance or TOLERANCE
    certificate = Certificate(
        rows={name: len(group) for name, group in groups.items()},
        tolerance=tolerance,
        max_difference=min(largest, FLOAT32_MAX),
        class_differences=class_differences,
        passed=largest <= tolerance and not class_differences,
        meaningless_rows=int(found.meaningless.sum()),
    )
    if not certificate.passed:
        encoded = pipeline.named_steps["encode"].transform(rows)
        step = first_divergence(pipeline.named_steps["model"], encoded)
        raise _failure(recipe, certificate, found, rows, step)
    return certificate


def probes_of(
    pipeline: Pipeline, recipe: Recipe, holdout: pd.DataFrame, rng: np.random.Generator
) -> dict[str, pd.DataFrame]:
    """The rows of a certificate, by kind.

    Raises:
        CertificateFailed: the pipeline cannot predict a row that the schema allows.

    """
    try:
        return certified_rows(pipeline, recipe, holdout, rng)
    except Exception as err:
        raise unpredictable_row(recipe, err) from err


def _scale(
    pipeline: Pipeline, recipe: Recipe, target_deviation: NDArray[np.float64] | float
) -> NDArray[np.float64] | None:
    """The unit of differences; None where they are absolute."""
    kind = score_kind_of(pipeline, recipe)
    if kind in {"probability", "decision"}:
        return None
    return np.maximum(target_deviation, 1e-12)


def _fitted_scores(pipeline: Pipeline, rows: pd.DataFrame, recipe: Recipe) -> Scores:
    try:
        with np.errstate(over="ignore"):
            return scores_of(pipeline, rows, recipe)
    except Exception as err:
        raise unpredictable_row(recipe, err) from err


def unpredictable_row(recipe: Recipe, err: Exception) -> CertificateFailed:
    """The error for a pipeline that raises on a row that the schema allows."""
    step = failing_step(err)
    return CertificateFailed(
        f"recipe {recipe.name!r}: expected the pipeline to predict every row that the schema "
        f"allows, got {failed_at(err)}{f' in the step {step}' if step else ''}",
        remedy=_remedy_for(str(err)),
    )


def _exported_scores(model: bytes, rows: pd.DataFrame, recipe: Recipe) -> Scores:
    try:
        session = OnnxSession(model)
        matrix = recipe.schema.matrix(plain_rows(rows, recipe.schema), session.dtype)
        return session.run(matrix).astype(np.float64)
    except Exception as err:  # onnxruntime has exception classes of its own
        raise CertificateFailed(
            f"recipe {recipe.name!r}: expected a graph that ONNX Runtime runs, "
            f"got {first_line(err)}",
            remedy="docs/certificate.md lists the estimators and options that have an ONNX form",
        ) from err


def _remedy_for(text: str) -> str:
    """What to change, by what scikit-learn says."""
    if "NaN" in text:
        return "impute what is nullable, or take nullable=True from the schema"
    if "unknown categories" in text:
        return (
            "let the step take what training has not seen (OneHotEncoder(handle_unknown="
            "'ignore')), or narrow the range or the categories in the schema"
        )
    return (
        "let every step, own feature code included, answer what the schema allows, or narrow "
        "the schema"
    )


def _differences(
    recipe: Recipe, fitted: Scores, exported: Scores, scale: NDArray[np.float64] | None
) -> _Differences:
    meaningless: NDArray[np.bool_] = np.logical_not((np.abs(fitted) <= FLOAT32_MAX).all(axis=1))
    unit = np.ones_like(fitted) if scale is None else np.maximum(np.abs(fitted), scale)
    with np.errstate(invalid="ignore"):
        largest = np.nan_to_num((np.abs(fitted - exported) / unit).max(axis=1), nan=np.inf)
    largest[meaningless] = 0.0
    other_class = np.zeros(len(fitted), dtype=bool)
    if recipe.is_classifier:
        class_indices = recipe.decision_rule.class_indices
        # Where the pipeline itself is within the tolerance of a tie, either class is right.
        clear = recipe.decision_rule.distance_to_tie(fitted) > (recipe.tolerance or TOLERANCE)
        other_class = (class_indices(fitted) != class_indices(exported)) & clear & ~meaningless
    return _Differences(fitted, exported, largest, other_class, meaningless)


def _failure(
    recipe: Recipe, certificate: Certificate, found: _Differences, rows: pd.DataFrame, step: str
) -> CertificateFailed:
    worst = int(found.largest.argmax())
    row = plain_rows(rows.iloc[[worst]], recipe.schema)[0]
    n_beyond = int(np.sum(found.largest > certificate.tolerance))
    return CertificateFailed(
        f"recipe {recipe.name!r}: expected the ONNX model to predict within "
        f"{certificate.tolerance:g} of the pipeline, got {n_beyond} of {len(rows)} rows beyond it "
        f"(largest difference {certificate.max_difference:.3g}, "
        f"{certificate.class_differences} rows of another class); worst row {row}: "
        f"{found.fitted[worst].round(6).tolist()} fitted, "
        f"{found.exported[worst].round(6).tolist()} exported",
        remedy=f"{step}; change it, or set tolerance in the recipe if this difference does not "
        "matter; see docs/certificate.md",
    )
