"""The last form of a model: the fitted pipeline itself, for the runtime `sklearn`.

It is stored by skops with the source of the own feature code that it uses, loaded by a scoring
process, and compared with the fitted pipeline on the rows of the certificate, bit for bit.
"""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import parallel_config
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from contracts.decision_rule import Scores
from contracts.errors import CertificateFailed, PlatformError
from contracts.manifest import Certificate, Runtime
from contracts.names import PIPELINE_FILE
from contracts.scoring import LoadModel
from training.feature_code import feature_code_of
from training.frameworks.catalog import framework_versions
from training.parity import probes_of, unpredictable_row
from training.pipeline import estimators_within, scores_of
from training.pipeline_process import MAX_CALL_ROWS, PipelineProcess
from training.recipe import Recipe
from training.rows import plain_rows
from training.score_kind import score_kind_of
from training.trust import check_types, stored_pipeline
from training.versions import versions_of

RUNTIME: Runtime = "sklearn"
REQUIREMENTS = ("scikit-learn", "pandas", "skops")
"""What a scoring process needs in addition to the service's own libraries and frameworks."""


@dataclass(frozen=True)
class SklearnForm:
    """A stored pipeline: files of its model directory, and the libraries that load it."""

    files: dict[str, bytes]
    requirements: dict[str, str]
    score_kind: str


def sklearn_form(pipeline: Pipeline, recipe: Recipe) -> SklearnForm:
    """The pipeline as files.

    Raises:
        InvalidRecipe: it holds a type that the platform does not trust, or own code that a
            scoring process cannot import.

    """
    stored, types = stored_pipeline(pipeline, recipe.name)
    code = feature_code_of(types, recipe.name)
    check_types(types, recipe.name, code)
    kind = score_kind_of(pipeline, recipe)
    requirements = versions_of(REQUIREMENTS) | framework_versions(estimators_within(pipeline))
    return SklearnForm({PIPELINE_FILE: stored, **code}, requirements, kind)


def certify_stored(
    pipeline: Pipeline,
    form: SklearnForm,
    recipe: Recipe,
    holdout: pd.DataFrame,
    rng: np.random.Generator,
) -> Certificate:
    """Compare the stored pipeline, in a scoring process, with the fitted one: bit for bit.

    Raises:
        CertificateFailed: a score differs, or the pipeline raises an error on a row.
        CorruptModel: the scoring process cannot load the model.

    """
    groups = probes_of(pipeline, recipe, holdout, rng)
    rows = pd.concat(groups.values(), ignore_index=True)
    n_meaningless = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, data in form.files.items():
            Path(folder, name).write_bytes(data)
        with PipelineProcess(load_of(form, recipe, Path(folder))) as stored:
            for start in range(0, len(rows), MAX_CALL_ROWS):
                part = rows.iloc[start : start + MAX_CALL_ROWS]
                fitted = _fitted_scores(pipeline, part, recipe)
                _check_equal(recipe, part, fitted, stored)
                n_meaningless += int(np.sum(~np.isfinite(fitted).all(axis=1)))
    return Certificate(
        rows={name: len(group) for name, group in groups.items()},
        tolerance=0.0,
        max_difference=0.0,
        class_differences=0,
        passed=True,
        form="pipeline",
        meaningless_rows=n_meaningless,
    )


def load_of(form: SklearnForm, recipe: Recipe, directory: Path) -> LoadModel:
    """What a scoring process must load, from a folder with the files of the form."""
    return LoadModel(
        runtime=RUNTIME,
        directory=str(directory),
        files={name: hashlib.sha256(data).hexdigest() for name, data in form.files.items()},
        schema=recipe.schema,
        score_kind=form.score_kind,
        classes=recipe.classes,
        requirements=form.requirements,
    )


def _fitted_scores(pipeline: Pipeline, rows: pd.DataFrame, recipe: Recipe) -> Scores:
    """The scores of the fitted pipeline, computed as a scoring process does: in one thread."""
    try:
        with threadpool_limits(1), parallel_config(backend="sequential"):
            return scores_of(pipeline, rows, recipe)
    except Exception as err:
        raise unpredictable_row(recipe, err) from err


def _check_equal(
    recipe: Recipe, rows: pd.DataFrame, fitted: Scores, stored: PipelineProcess
) -> None:
    try:
        got = stored.scores(rows)
    except CertificateFailed:
        raise
    except PlatformError as err:
        raise CertificateFailed(
            f"recipe {recipe.name!r}: expected the stored pipeline to predict as the fitted one, "
            f"got {err.what}",
            remedy="own feature code may use nothing that it does not import (docs/own-code.md)",
        ) from err
    equal = np.zeros(len(rows), dtype=bool)
    if got.shape == fitted.shape:
        # Where the fitted pipeline has no finite score, the service gives none.
        equal = (got == fitted).all(axis=1) | ~np.isfinite(fitted).all(axis=1)
    if equal.all():
        return
    worst = int(np.argmin(equal))
    row = plain_rows(rows.iloc[[worst]], recipe.schema)[0]
    raise CertificateFailed(
        f"recipe {recipe.name!r}: expected the stored pipeline to predict as the fitted one, got "
        f"{int(np.sum(~equal))} of {len(rows)} rows that differ; first {row}: "
        f"{fitted[worst].tolist()} fitted, {got[worst].tolist()} stored",
        remedy="scores must be the same in every call: no random numbers, no clock, no "
        "state that changes in predict (docs/own-code.md)",
    )
