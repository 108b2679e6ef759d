"""The form in which a fitted model is served: ONNX if that answers like it, else itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
from sklearn.pipeline import Pipeline

from contracts.errors import CertificateFailed, InvalidRecipe, PlatformError
from contracts.manifest import Certificate, Runtime
from contracts.names import MODEL_FILE
from training.dataset import Split
from training.forms import certified_model
from training.recipe import Recipe
from training.sklearn_form import certify_stored, sklearn_form


@dataclass(frozen=True)
class ServedForm:
    """A certified form: the files that score, and the libraries that they need.

    `pipeline` is the fitted pipeline that they were compared with.
    """

    runtime: Runtime
    pipeline: Pipeline
    files: Mapping[str, bytes]
    certificate: Certificate
    requirements: Mapping[str, str] = field(default_factory=dict)


def served_form(
    pipeline: Pipeline, recipe: Recipe, rows: Split, seed: int, learned: type = np.float32
) -> ServedForm:
    """The fastest form of a pipeline that the recipe allows and that answers like it.

    `learned` is the type of the matrix that it was fitted on.

    Raises:
        InvalidRecipe: it has no form that can be stored.
        CertificateFailed: it has one, which predicts differently.

    """
    if recipe.runtime == "onnx":
        return onnx_form(pipeline, recipe, rows, seed, learned)
    if recipe.runtime == "sklearn":
        return stored_form(pipeline, recipe, rows, seed)
    try:
        return onnx_form(pipeline, recipe, rows, seed, learned)
    except (InvalidRecipe, CertificateFailed) as err:
        return _or_both_errors(err, lambda: stored_form(pipeline, recipe, rows, seed))


def onnx_form(
    pipeline: Pipeline, recipe: Recipe, rows: Split, seed: int, learned: type
) -> ServedForm:
    """The pipeline as an ONNX graph."""
    found = certified_model(pipeline, recipe, rows, seed, learned)
    return ServedForm("onnx", found.pipeline, {MODEL_FILE: found.model}, found.certificate)


def stored_form(pipeline: Pipeline, recipe: Recipe, rows: Split, seed: int) -> ServedForm:
    """The pipeline itself, for scoring processes."""
    form = sklearn_form(pipeline, recipe)
    rng = np.random.default_rng(seed)
    certificate = certify_stored(pipeline, form, recipe, rows.holdout, rng)
    return ServedForm("sklearn", pipeline, form.files, certificate, form.requirements)


def _or_both_errors(first: PlatformError, serve: Callable[[], ServedForm]) -> ServedForm:
    """What `serve` returns; its certificate, or its error, also says why ONNX was refused."""
    try:
        form = serve()
        certificate = msgspec.structs.replace(form.certificate, other_forms={"onnx": first.what})
        return replace(form, certificate=certificate)
    except PlatformError as err:
        raise type(err)(f"{err.what}; as ONNX: {first.what}", remedy=err.remedy) from err
