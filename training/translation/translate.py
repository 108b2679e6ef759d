"""The translation of a whole model: which family translates which class."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.pipeline import Pipeline
from sklearn.semi_supervised import SelfTrainingClassifier

from contracts.manifest import ScoreKind
from training.translation import (
    composition,
    encoders,
    ensembles,
    features,
    kernels,
    linear,
    projections,
    scalers,
    simple_models,
    trees,
)
from training.translation.graph import Graph, GraphTensor
from training.translation.translator import (
    Translate,
    TranslateWith,
    Translations,
    Untranslatable,
)

TWO = 2
"""Two classes have one margin."""

_TRANSFORMS: Mapping[type, Translate] = {
    **encoders.TRANSFORMS,
    **features.TRANSFORMS,
    **kernels.TRANSFORMS,
    **linear.TRANSFORMS,
    **projections.TRANSFORMS,
    **scalers.TRANSFORMS,
}
_REGRESSORS: Mapping[type, Translate] = {
    **kernels.REGRESSORS,
    **linear.REGRESSORS,
    **simple_models.REGRESSORS,
    **trees.REGRESSORS,
}
_PROBABILITIES: Mapping[type, Translate] = {
    **kernels.PROBABILITIES,
    **linear.PROBABILITIES,
    **simple_models.PROBABILITIES,
    **trees.PROBABILITIES,
}
_MARGINS: Mapping[type, Translate] = {**kernels.MARGINS, **linear.MARGINS, **trees.MARGINS}
_TRANSFORMS_WITH: Mapping[type, TranslateWith] = composition.TRANSFORMS
_REGRESSORS_WITH: Mapping[type, TranslateWith] = {
    **composition.REGRESSORS,
    **ensembles.REGRESSORS,
}
_WRAPPERS: Mapping[type, str] = {
    FixedThresholdClassifier: "estimator_",
    FrozenEstimator: "estimator",
    GridSearchCV: "best_estimator_",
    RandomizedSearchCV: "best_estimator_",
    SelfTrainingClassifier: "estimator_",
    TunedThresholdClassifierCV: "estimator_",
}
"""The attribute with the fitted estimator that a wrapper asks."""


def unwrapped(model: Any) -> Any:
    """The fitted estimator inside searches and thresholds; other models as they are."""
    while type(model) in _WRAPPERS or type(model).__name__.startswith("Halving"):
        model = getattr(model, _WRAPPERS.get(type(model), "best_estimator_"))
    return model


class _ByClass:
    """Translates an estimator by its exact class, since a subclass may do something else.

    `more` are the translations of libraries other than scikit-learn.
    """

    def __init__(self, more: Translations) -> None:
        self._transforms = {**_TRANSFORMS, **more.transforms}
        self._regressors = {**_REGRESSORS, **more.regressors}
        self._probabilities = {**_PROBABILITIES, **more.probabilities}

    def transform(self, estimator: Any, x: GraphTensor, /) -> GraphTensor:
        return self._translated(unwrapped(estimator), x, self._transforms, _TRANSFORMS_WITH)

    def predict(self, estimator: Any, x: GraphTensor, /) -> GraphTensor:
        model = unwrapped(estimator)
        if type(model) is Pipeline:
            return self.predict(model.steps[-1][1], self._before_last(model, x))
        return self._translated(model, x, self._regressors, _REGRESSORS_WITH)

    def probabilities(self, estimator: Any, x: GraphTensor, /) -> GraphTensor:
        model = unwrapped(estimator)
        if type(model) is Pipeline:
            return self.probabilities(model.steps[-1][1], self._before_last(model, x))
        return self._translated(model, x, self._probabilities, ensembles.PROBABILITIES)

    def margins(self, estimator: Any, x: GraphTensor, /) -> GraphTensor:
        model = unwrapped(estimator)
        if type(model) is Pipeline:
            return self.margins(model.steps[-1][1], self._before_last(model, x))
        return self._translated(model, x, _MARGINS, ensembles.MARGINS)

    def decisions(self, estimator: Any, x: GraphTensor, /) -> GraphTensor:
        model = unwrapped(estimator)
        if type(model) is Pipeline:
            return self.decisions(model.steps[-1][1], self._before_last(model, x))
        if type(model) in ensembles.DECISIONS:
            return ensembles.DECISIONS[type(model)](self, model, x)
        n_classes = len(model.classes_)
        if hasattr(model, "predict_proba"):
            return self.probabilities(model, x).one_hot_of_maximum(n_classes)
        margins = self.margins(model, x)
        if n_classes == TWO:
            second = (margins > 0.0).numbers()
            return second.two_classes()
        return margins.one_hot_of_maximum(n_classes)

    def _before_last(self, model: Any, x: GraphTensor) -> GraphTensor:
        return composition.through_pipeline(self, model.steps[:-1], x)

    def _translated(
        self,
        model: Any,
        x: GraphTensor,
        alone: Mapping[type, Translate],
        with_others: Mapping[type, TranslateWith],
    ) -> GraphTensor:
        kind = type(model)
        if kind in alone:
            return alone[kind](model, x)
        if kind in with_others:
            return with_others[kind](self, model, x)
        raise Untranslatable(kind.__name__)


def translated_step(
    step: Any, n_features: int, ends: tuple[str, str], more: Translations | None = None
) -> bytes:
    """A fitted transformer as an ONNX file; its columns are rounded to float32 at the end.

    Raises:
        Untranslatable: as for `translated_model`.

    """
    graph = Graph(ends[0])
    to = _ByClass(more or Translations())
    return graph.model(to.transform(step, graph.input), ends[1], n_features, None)


def translated_model(
    model: Any,
    scores: ScoreKind,
    *,
    n_features: int,
    n_outputs: int,
    order: list[int],
    ends: tuple[str, str],
    more: Translations | None = None,
) -> bytes:
    """A fitted model as an ONNX file: float64 `(n_rows, n_features)` in, float32 scores out.

    `order` has the position of each output among the model's classes, empty if it is theirs;
    `ends` are the names of the input and of the output, `more` the translations of libraries
    other than scikit-learn.

    Raises:
        Untranslatable: a step has no translation; the text names it.

    """
    graph = Graph(ends[0])
    to = _ByClass(more or Translations())
    if scores == "value":
        result = to.predict(model, graph.input)
    elif scores == "probability":
        result = to.probabilities(model, graph.input)
    elif scores == "decision":
        result = to.decisions(model, graph.input)
    else:
        result = to.margins(model, graph.input)
        if n_outputs == TWO:
            result = result @ np.array([[-1.0, 1.0]])
    return graph.model(result.take(order) if order else result, ends[1], n_features, n_outputs)
