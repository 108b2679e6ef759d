"""The form in which a fitted model is served: ONNX if that answers like it, else itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from sklearn.pipeline import Pipeline

from contracts.errors import CertificateFailed, InvalidRecipe, PlatformError
from contracts.manifest import Certificate, Runtime
from contracts.names import MODEL_FILE
from training.dataset import Split
from training.export import onnx_of
from training.parity import certify
from training.recipe import Recipe
from training.sklearn_form import certify_stored, sklearn_form


@dataclass(frozen=True)
class ServedForm:
    """A certified form: the files that score, and the libraries that they need."""

    runtime: Runtime
    files: Mapping[str, bytes]
    certificate: Certificate
    requirements: Mapping[str, str] = field(default_factory=dict)


def served_form(pipeline: Pipeline, recipe: Recipe, rows: Split, seed: int) -> ServedForm:
    """The fastest form of a pipeline that the recipe allows and that answers like it.

    Raises:
        InvalidRecipe: it has no form that can be stored.
        CertificateFailed: it has one, which predicts differently.

    """
    if recipe.runtime == "onnx":
        return onnx_form(pipeline, recipe, rows, seed)
    if recipe.runtime == "sklearn":
        return stored_form(pipeline, recipe, rows, seed)
    try:
        return onnx_form(pipeline, recipe, rows, seed)
    except (InvalidRecipe, CertificateFailed) as err:
        return _or_both_errors(err, lambda: stored_form(pipeline, recipe, rows, seed))


def onnx_form(pipeline: Pipeline, recipe: Recipe, rows: Split, seed: int) -> ServedForm:
    """The pipeline as an ONNX graph."""
    model = onnx_of(pipeline, recipe)
    deviation = 1.0 if recipe.is_classifier else np.std(rows.train_target, axis=0)
    rng = np.random.default_rng(seed)
    certificate = certify(pipeline, model, recipe, rows.holdout, deviation, rng)
    return ServedForm("onnx", {MODEL_FILE: model}, certificate)


def stored_form(pipeline: Pipeline, recipe: Recipe, rows: Split, seed: int) -> ServedForm:
    """The pipeline itself, for scoring processes."""
    form = sklearn_form(pipeline, recipe)
    rng = np.random.default_rng(seed)
    certificate = certify_stored(pipeline, form, recipe, rows.holdout, rng)
    return ServedForm("sklearn", form.files, certificate, form.requirements)


def _or_both_errors(first: PlatformError, serve: Callable[[], ServedForm]) -> ServedForm:
    """What `serve` returns; its error also says why ONNX was refused."""
    try:
        return serve()
    except PlatformError as err:
        raise type(err)(f"{err.what}; as ONNX: {first.what}", remedy=err.remedy) from err
