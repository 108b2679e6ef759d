"""The seam between families: an estimator may contain one of another family."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from training.translation.graph import GraphTensor


class Untranslatable(Exception):
    """An estimator, or one of its options, that has no translation; the text names it."""


class Translator(Protocol):
    """Translates fitted estimators; each method raises `Untranslatable`."""

    def transform(self, estimator: Any, x: GraphTensor, /) -> GraphTensor:
        """What `estimator.transform` returns."""

    def predict(self, estimator: Any, x: GraphTensor, /) -> GraphTensor:
        """What a regressor's `predict` returns, `(n_rows, n_outputs)`."""

    def probabilities(self, estimator: Any, x: GraphTensor, /) -> GraphTensor:
        """What a classifier's `predict_proba` returns, `(n_rows, n_classes)`."""

    def margins(self, estimator: Any, x: GraphTensor, /) -> GraphTensor:
        """What a classifier's `decision_function` returns, `(n_rows, n_classes)` or one column."""

    def decisions(self, estimator: Any, x: GraphTensor, /) -> GraphTensor:
        """A classifier's `predict` as 1.0 in the column of the class, `(n_rows, n_classes)`."""


Translate = Callable[[Any, GraphTensor], GraphTensor]
"""Translates an estimator that has no other one inside."""
TranslateWith = Callable[[Translator, Any, GraphTensor], GraphTensor]
"""Translates an estimator with the help of the translator for those inside it."""


@dataclass(frozen=True)
class Translations:
    """How estimators of a library are translated, by their exact classes."""

    transforms: Mapping[type, Translate] = field(default_factory=dict)
    regressors: Mapping[type, Translate] = field(default_factory=dict)
    probabilities: Mapping[type, Translate] = field(default_factory=dict)

    def __or__(self, other: "Translations") -> "Translations":
        return Translations(
            transforms={**self.transforms, **other.transforms},
            regressors={**self.regressors, **other.regressors},
            probabilities={**self.probabilities, **other.probabilities},
        )
