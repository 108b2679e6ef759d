"""What Slipway has to know about a framework."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from contracts.extras import Extra
from training.translation.translator import Translations

SplitPoint = tuple[int, float]
"""The column of a number, and a threshold with which it is compared."""


def itself(estimator: Any) -> Any:
    """The estimator, for a flavour that logs estimators."""
    return estimator


@dataclass(frozen=True)
class Framework:
    """A framework: its package, and the functions that know its estimators.

    Attributes:
        extra: Its name and package.
        flavour: The module of MLflow that logs its models.
        loggable: What that module logs of a fitted estimator.
        translations: How its estimators become ONNX graphs; imports the package.
        splits: The thresholds of a fitted estimator.
        prepare: Sets parameters of an unfitted estimator that Slipway needs.
        takes_class_names: Whether its classifiers learn class names; else numbers from 0.
    """

    extra: Extra
    flavour: str
    translations: Callable[[], Translations]
    splits: Callable[[Any], Iterator[SplitPoint]]
    takes_class_names: bool = True
    loggable: Callable[[Any], Any] = itself
    prepare: Callable[[Any], object] = itself
