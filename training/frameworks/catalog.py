"""Every framework that a recipe may use, and which of them an estimator comes from."""

import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from training.features.native_categories import NativeCategories
from training.frameworks import catboost, lightgbm, xgboost
from training.frameworks.framework import Framework, SplitPoint
from training.frameworks.native_categories import native_categories
from training.translation.translator import Translations

FRAMEWORKS: Mapping[str, Framework] = {
    each.extra.package: each for each in (xgboost.FRAMEWORK, lightgbm.FRAMEWORK, catboost.FRAMEWORK)
}


def framework_of(part: Any) -> Framework | None:
    """The framework of an estimator; None for scikit-learn's and all others."""
    return FRAMEWORKS.get(type(part).__module__.partition(".")[0])


def translations() -> Translations:
    """The translations of all frameworks that this process has imported.

    An estimator of a framework cannot be there before its package is.
    """
    found = Translations(transforms={NativeCategories: native_categories})
    for package, framework in FRAMEWORKS.items():
        if package in sys.modules:
            found |= framework.translations()
    return found


def frameworks_of(parts: Iterable[Any]) -> list[Framework]:
    """The frameworks of some estimators, each once."""
    found = {each.extra.package: each for each in map(framework_of, parts) if each}
    return list(found.values())


def splits_of(part: Any) -> list[SplitPoint]:
    """The thresholds of a fitted estimator of a framework; none of any other."""
    framework = framework_of(part)
    return list(framework.splits(part)) if framework and _is_fitted(part) else []


def fitted_parts(framework: Framework, parts: Iterable[Any]) -> list[Any]:
    """The fitted ones among some estimators that are of a framework."""
    return [each for each in parts if framework_of(each) is framework and _is_fitted(each)]


def prepare_estimators(parts: Iterable[Any]) -> None:
    """Set the parameters of unfitted estimators of frameworks that Slipway needs."""
    for part in parts:
        framework = framework_of(part)
        if framework is not None:
            framework.prepare(part)


def _is_fitted(part: Any) -> bool:
    if hasattr(part, "is_fitted"):
        return bool(part.is_fitted())
    try:
        check_is_fitted(part)
    except NotFittedError:
        return False
    return True


def framework_versions(parts: Iterable[Any]) -> dict[str, str]:
    """The distributions that provide the frameworks of some estimators, with their versions."""
    found: dict[str, str] = {}
    for framework in frameworks_of(parts):
        for name in framework.extra.distributions:
            with suppress(PackageNotFoundError):
                found[name] = version(name)
    return found
