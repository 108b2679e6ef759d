"""What a person brings: ordinary estimators, from the fit to the service's answer.

Each case is fitted, certified in its fastest form, written as a model directory, loaded by the
service's own loader, and asked for 1,000 rows as JSON. The oracle is the fitted pipeline.
"""

import hashlib
import json
import warnings
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.errors import PlatformError
from contracts.manifest import DataIdentity, GoldenRequest, Manifest, Pointer
from contracts.names import MANIFEST_FILE, MODEL_FILE
from services.inference.light_graph import reason_not_light
from services.inference.loader import load_model
from services.inference.scores import finite_scores
from tests.frameworks import needs
from tests.training.cases import catalog
from tests.training.cases.frameworks import EXTRA_OF_CASE, FRAMEWORK_CASES
from tests.training.cases.table import SCHEMA, Case, table
from training.dataset import Split, load_table, split
from training.feature_code import feature_code_of
from training.forms import CertifiedModel, certified_model
from training.parity import TOLERANCE
from training.pipeline import fitted_pipeline, scores_of
from training.recipe import Recipe
from training.rows import features_of, frame_of, plain_rows
from training.score_kind import decision_threshold, score_kind_of
from training.served_form import served_form
from training.trust import check_types, stored_pipeline

CASES = catalog.CASES | FRAMEWORK_CASES
N_ROWS = 1_000
MIN_SHARE = 0.8
WITHOUT_ONNX = {
    "cat_leaf_by_leaf": "CatBoost with a grow_policy other than SymmetricTree",
    "gaussian_process": "GaussianProcessClassifier",
    "gaussian_process_regressor": "GaussianProcessRegressor",
    "impute_knn": "KNNImputer",
    "lgbm_linear_leaves": "LightGBM with linear_tree=True",
    "lgbm_zero_is_missing": "LightGBM with zero_as_missing=True",
    "nearest_centroid": "NearestCentroid",
    "nmf": "NMF",
    "quantile_normal": "QuantileTransformer to a normal distribution",
    "xgb_linear": "XGBoost with booster='gblinear'",
    "xgb_vector_leaves": "XGBoost with multi_strategy='multi_output_tree'",
}
"""Cases that have no form in ONNX, and what the refusal names."""
SLOW_AS_PIPELINE = {
    "gaussian_process",
    "gaussian_process_regressor",
    "lgbm_zero_is_missing",
    "xgb_vector_leaves",
}
"""Cases that are slow to certify in a scoring process, or like another one; by hand they pass."""


def cases(names: Collection[str]) -> list[Any]:
    """The names, those of frameworks that are not installed marked to be skipped."""
    return [
        pytest.param(name, marks=needs(EXTRA_OF_CASE[name]) if name in EXTRA_OF_CASE else ())
        for name in sorted(names)
    ]


@cache
def rows_of(kind: str, *, gaps: bool) -> Split:
    case = next(each for each in CASES.values() if (each.kind, each.gaps) == (kind, gaps))
    recipe = case.recipe("rows")
    return split(recipe, load_table(recipe), 0)


def certified(name: str, case: Case) -> tuple[Recipe, CertifiedModel]:
    """The case, fitted and certified as a training run does it."""
    recipe, rows = case.recipe(name), rows_of(case.kind, gaps=case.gaps)
    with warnings.catch_warnings():
        # Small data, few iterations: scikit-learn warns that some fits have not converged.
        warnings.simplefilter("ignore")
        pipeline = fitted_pipeline(recipe, rows.train, rows.train_target, seed=0)
        threshold = decision_threshold(pipeline.named_steps["model"], recipe)
        recipe = recipe.with_threshold(threshold)
        return recipe, certified_model(pipeline, recipe, rows, 0, np.float32)


def directory_of(recipe: Recipe, found: CertifiedModel, folder: Path) -> Pointer:
    """A model directory as small as the service allows; returns the pointer to it."""
    rows = rows_of_recipe(recipe)[:4]
    scores = scores_of(found.pipeline, frame_of(rows, recipe.schema), recipe)
    manifest = Manifest(
        name=recipe.name,
        task=recipe.task,
        schema=recipe.schema,
        classes=recipe.classes,
        outputs=() if recipe.is_classifier else recipe.targets,
        threshold=recipe.threshold if recipe.task == "binary" else None,
        run_id="0" * 32,
        recipe=recipe.name,
        created_at="2026-01-01T00:00:00Z",
        data=DataIdentity(source="", digest="", n_train=1, n_holdout=1),
        libraries={},
        metrics={},
        certificate=found.certificate,
        golden=tuple(
            GoldenRequest(features=row, scores=tuple(map(float, each)))
            for row, each in zip(rows, scores, strict=True)
        ),
        files={MODEL_FILE: hashlib.sha256(found.model).hexdigest()},
        score_kind=score_kind_of(found.pipeline, recipe),
    )
    text = manifest.write_pretty()
    (folder / MODEL_FILE).write_bytes(found.model)
    (folder / MANIFEST_FILE).write_bytes(text)
    return Pointer(
        name=recipe.name,
        version=1,
        run_id=manifest.run_id,
        digest=hashlib.sha256(text).hexdigest(),
        bento_tag="",
        moved_at=manifest.created_at,
    )


@cache
def requests() -> list[dict[str, Any]]:
    """New rows of the table, as clients would send them."""
    return plain_rows(features_of(table(N_ROWS, seed=1), SCHEMA), SCHEMA)


def rows_of_recipe(recipe: Recipe) -> list[dict[str, Any]]:
    gap = {"a": None} if recipe.schema.feature("a").nullable else {}
    return [row | (gap if index % 7 == 0 else {}) for index, row in enumerate(requests())]


@pytest.mark.parametrize("name", cases(CASES.keys() - WITHOUT_ONNX.keys()))
def test_the_service_answers_like_the_fitted_pipeline(name: str, tmp_path: Path) -> None:
    recipe, found = certified(name, CASES[name])
    served = load_model(tmp_path, directory_of(recipe, found, tmp_path))
    sent = rows_of_recipe(recipe)
    decoded = served.decoder.fast_rows(json.dumps({"rows": sent}).encode(), N_ROWS)
    assert decoded is not None
    matrix = np.asarray(decoded.numbers, dtype=served.decoder.dtype)
    got = np.array(finite_scores(served.session.run, matrix))
    expected = scores_of(found.pipeline, frame_of(sent, recipe.schema), recipe)

    assert (np.abs(got - expected) <= TOLERANCE * np.maximum(1.0, np.abs(expected))).all()
    assert reason_not_light(found.model) == "" or found.certificate.form == "float32"
    types = stored_pipeline(found.pipeline, name)[1]
    check_types(types, name, feature_code_of(types, name))
    if recipe.is_classifier:
        decided = recipe.decision_rule.class_indices(got)
        classes = np.array(recipe.classes)[decided]
        clear = np.abs(np.diff(np.sort(expected, axis=1)[:, -2:])).ravel() > TOLERANCE
        if recipe.task == "binary":
            clear = np.abs(expected[:, 1] - recipe.threshold) > TOLERANCE
        predicted = found.pipeline.predict(frame_of(sent, recipe.schema)).astype(str).ravel()
        assert (classes == predicted)[clear].all()


@pytest.mark.parametrize("name", cases(WITHOUT_ONNX))
def test_what_has_no_onnx_form_is_refused_by_the_name_of_its_step(name: str) -> None:
    with pytest.raises(PlatformError, match=r"expected .* got none") as caught:
        certified(name, CASES[name])

    assert WITHOUT_ONNX[name] in caught.value.what
    assert "docs/certificate.md" in caught.value.remedy


@pytest.mark.parametrize("name", cases(WITHOUT_ONNX.keys() - SLOW_AS_PIPELINE))
def test_what_has_no_onnx_form_is_served_as_the_pipeline_itself(name: str) -> None:
    case = CASES[name]
    recipe, rows = case.recipe(name), rows_of(case.kind, gaps=case.gaps)
    pipeline = fitted_pipeline(recipe, rows.train, rows.train_target, seed=0)
    form = served_form(pipeline, recipe, rows, seed=0)

    assert form.runtime == "sklearn"
    assert form.certificate.passed
    assert form.certificate.form == "pipeline"
    assert WITHOUT_ONNX[name] in form.certificate.other_forms["onnx"]


def test_four_of_five_estimators_are_served_by_onnx(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(CASES) >= 90
    share = 1 - len(WITHOUT_ONNX) / len(CASES)
    with capsys.disabled():
        print(f"\n{share:.0%} of {len(CASES)} estimators and pipelines are served by ONNX")  # noqa: T201 - the bar of this matrix, for its reader

    assert share >= MIN_SHARE
