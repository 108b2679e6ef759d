"""The forms in which a fitted model can be served: the fastest that passes the certificate.

1. `float32`: the graph of skl2onnx; half the memory, and the fastest kernels.
2. `float64`: our own translation (`training.translation`), which repeats scikit-learn's
   arithmetic, on a matrix of float64.

The certificate says which form passed, and why the faster one did not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from contracts.errors import CertificateFailed, InvalidRecipe, PlatformError
from contracts.manifest import Certificate, Form
from contracts.names import MODEL_INPUT, MODEL_OUTPUT
from contracts.schema import Schema
from training.dataset import Split
from training.export import onnx_of
from training.frameworks.catalog import frameworks_of, translations
from training.parity import certify_on, probes_of
from training.pipeline import estimators_within, in_dtype
from training.recipe import Recipe
from training.rows import n_merged_in_float32
from training.score_kind import score_kind_of
from training.translation.translate import translated_model
from training.translation.translator import Untranslatable


@dataclass(frozen=True)
class CertifiedModel:
    """A model in the form that passed: its graph, and the pipeline that it was compared with."""

    pipeline: Pipeline
    model: bytes
    certificate: Certificate


def input_dtype(schema: Schema, rows: pd.DataFrame) -> type[np.float32] | type[np.float64]:
    """The type in which the rows are learned: float64 if float32 merges numbers of them."""
    numeric = [f.name for f in schema.features if f.type in {"float", "int"}]
    return np.float64 if any(n_merged_in_float32(rows[name]) for name in numeric) else np.float32


def certified_model(
    pipeline: Pipeline, recipe: Recipe, rows: Split, seed: int, learned: type
) -> CertifiedModel:
    """The fastest form of a fitted pipeline that answers like it.

    `learned` is the type of the matrix that it was fitted on.

    Raises:
        InvalidRecipe: it has no ONNX form.
        CertificateFailed: it has, and none predicts like the pipeline.

    """
    probes = probes_of(pipeline, recipe, rows.holdout, np.random.default_rng(seed))
    refused: dict[str, str] = {}
    failures: list[PlatformError] = []
    if learned is np.float64:
        refused["float32"] = "the training rows have numbers that float32 merges"
    foreign = [each.extra.name for each in frameworks_of(estimators_within(pipeline))]
    if foreign:
        refused["float32"] = f"skl2onnx does not convert {' and '.join(foreign)}"
    for form in _FORMS:
        if form in refused:
            continue
        try:
            certified = _in_form(form, pipeline, recipe, rows, probes)
        except (InvalidRecipe, CertificateFailed) as err:
            refused[form] = err.what.removeprefix(f"recipe {recipe.name!r}: ")
            failures.append(err)
            continue
        certificate = msgspec.structs.replace(certified.certificate, form=form, other_forms=refused)
        return replace(certified, certificate=certificate)
    raise _no_form(recipe, refused, failures)


def _no_form(
    recipe: Recipe, refused: dict[str, str], failures: list[PlatformError]
) -> InvalidRecipe | CertificateFailed:
    """The error of a model without a form; a form that differs says more than one that is not."""
    remedy = failures[-1].remedy
    reasons = "; ".join(f"{form}: {reason}" for form, reason in refused.items())
    differing = [each for each in failures if isinstance(each, CertificateFailed)]
    if differing:
        what = f"recipe {recipe.name!r}: expected a form that predicts like the pipeline"
        return CertificateFailed(f"{what}, got none ({reasons})", remedy=differing[-1].remedy)
    what = f"recipe {recipe.name!r}: estimator: expected one with an ONNX form"
    return InvalidRecipe(f"{what}, got none ({reasons})", remedy=remedy)


def _in_form(
    form: Form,
    pipeline: Pipeline,
    recipe: Recipe,
    rows: Split,
    probes: Mapping[str, pd.DataFrame],
) -> CertifiedModel:
    if form == "float32":
        served, model = pipeline, onnx_of(pipeline, recipe)
    else:
        served = in_dtype(pipeline, recipe.schema, rows.train, np.float64)
        model = float64_graph(served, recipe)
    deviation = 1.0 if recipe.is_classifier else np.std(rows.train_target, axis=0)
    certificate = certify_on(probes, served, model, recipe, deviation)
    return CertifiedModel(served, model, certificate)


def float64_graph(pipeline: Pipeline, recipe: Recipe) -> bytes:
    """Our translation of the pipeline's model, an ONNX file that takes float64.

    Raises:
        InvalidRecipe: a step has no translation; the error names it.

    """
    model = pipeline.named_steps["model"]
    order: list[int] = []
    if recipe.is_classifier:
        order = [list(map(str, model.classes_)).index(name) for name in recipe.classes]
    try:
        return translated_model(
            model,
            score_kind_of(model, recipe),
            n_features=len(recipe.schema.inputs),
            n_outputs=len(recipe.classes or recipe.targets),
            order=[] if order == sorted(order) else order,
            ends=(MODEL_INPUT, MODEL_OUTPUT),
            more=translations(),
        )
    except Untranslatable as err:
        raise InvalidRecipe(
            f"recipe {recipe.name!r}: estimator: expected steps that have an ONNX form, got {err}",
            remedy="docs/certificate.md lists the estimators and options that have one",
        ) from err


_FORMS: tuple[Form, ...] = ("float32", "float64")
