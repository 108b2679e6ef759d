"""The only import of skops in training: what a stored pipeline holds, and whether it may."""

from collections.abc import Iterable, Mapping
from typing import Any

import skops.io
from sklearn.base import BaseEstimator

from contracts.errors import InvalidRecipe, first_line
from contracts.names import feature_module
from contracts.trusted_types import untrusted
from training.frameworks.catalog import FRAMEWORKS, framework_of

OWN_MODULES = (
    "sklearn.",
    "training.features.",
    "training.frameworks.",
    *(f"{package}." for package in FRAMEWORKS),
)
"""Modules whose estimators may be in a recipe."""


def stored_pipeline(pipeline: Any, recipe_name: str) -> tuple[bytes, list[str]]:
    """A fitted pipeline as skops stores it, and the types in it that skops does not know.

    Raises:
        InvalidRecipe: it cannot be stored without pickle.

    """
    try:
        stored = skops.io.dumps(pipeline)
        return stored, skops.io.get_untrusted_types(data=stored)
    except Exception as err:  # skops raises what the types raise that it visits
        raise InvalidRecipe(
            f"recipe {recipe_name!r}: estimator: expected a pipeline that skops can store, got "
            f"{type(err).__name__}: {first_line(err)}",
            remedy="use functions and classes of a module, no lambda; own ones belong into "
            "training/features (docs/own-code.md)",
        ) from err


def check_types(types: Iterable[str], recipe_name: str, feature_code: Mapping[str, bytes]) -> None:
    """Refuse types that are neither on our list nor in `feature_code`, the files of own code.

    Raises:
        InvalidRecipe: with the names of the types.

    """
    foreign = untrusted(types, {feature_module(name) for name in feature_code})
    if foreign:
        raise InvalidRecipe(
            f"recipe {recipe_name!r}: estimator: expected types of scikit-learn that the platform "
            f"trusts, got {', '.join(foreign)}",
            remedy="own functions and transformers belong into training/features "
            "(docs/own-code.md); a type of a library that is safe into contracts/trusted_types.py",
        )


def check_estimator(model: Any, recipe_name: str) -> None:
    """Refuse, before any fit, an estimator that is not scikit-learn's.

    Raises:
        InvalidRecipe: with its class, and that of the part which is foreign.

    """
    known = isinstance(model, BaseEstimator) or framework_of(model) is not None
    if not known or isinstance(model, type):
        raise InvalidRecipe(
            f"recipe {recipe_name!r}: estimator: expected an unfitted estimator of scikit-learn "
            "or of a framework (docs/frameworks.md), "
            f"got {type(model).__name__}",
            remedy="return an estimator: estimator=lambda: LogisticRegression()",
        )
    parts = [model, *(v for v in model.get_params().values() if isinstance(v, BaseEstimator))]
    kinds = {f"{type(part).__module__}.{type(part).__qualname__}" for part in parts}
    foreign = sorted(k for k in kinds if not k.startswith(OWN_MODULES))
    if foreign:
        raise InvalidRecipe(
            f"recipe {recipe_name!r}: estimator: expected steps of scikit-learn, "
            f"got {', '.join(foreign)}",
            remedy="use scikit-learn's own steps",
        )
