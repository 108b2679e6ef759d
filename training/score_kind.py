"""What the scores of a fitted model are, and from which score on it decides."""

import math
from typing import Any

import numpy as np
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline

from contracts.decision_rule import DEFAULT_THRESHOLD, POSITIVE
from contracts.errors import InvalidRecipe
from contracts.manifest import ScoreKind
from training.frameworks.class_numbers import without_numbers
from training.recipe import Recipe

MARGIN_THRESHOLD = 0.0
_THRESHOLDS = FixedThresholdClassifier | TunedThresholdClassifierCV


def score_kind_of(model: Any, recipe: Recipe) -> ScoreKind:
    """Probabilities if the classifier has them, else margins, else decisions; or values."""
    if not recipe.is_classifier:
        return "value"
    if hasattr(model, "predict_proba"):
        return "probability"
    return "margin" if hasattr(model, "decision_function") else "decision"


def decision_threshold(model: Any, recipe: Recipe) -> float:
    """The score from which on the model decides for the positive class of the recipe.

    That is the recipe's, unless it has the default and scikit-learn's own rule is another one:
    a threshold that the estimator has learned, or 0 for margins.

    Raises:
        InvalidRecipe: the estimator's threshold is one of margins, and its scores are
            probabilities.

    """
    if recipe.task != "binary" or recipe.threshold != DEFAULT_THRESHOLD:
        return recipe.threshold
    is_margin = score_kind_of(model, recipe) == "margin"
    classifier = _threshold_classifier(model)
    if classifier is None:
        return MARGIN_THRESHOLD if is_margin else recipe.threshold
    if not is_margin and classifier.response_method == "decision_function":
        raise InvalidRecipe(
            f"recipe {recipe.name!r}: estimator: expected a threshold of the probabilities that "
            f"are served, got one of decision_function in {type(classifier).__name__}",
            remedy='set its response_method="predict_proba"',
        )
    learned, label = _threshold_and_label(classifier)
    if learned is None:
        return MARGIN_THRESHOLD if is_margin else recipe.threshold
    if np.issubdtype(classifier.classes_.dtype, np.integer):
        # It has learned numbers in place of the names (`class_numbers`).
        label = sorted(recipe.classes)[int(label)]
    if label == recipe.classes[POSITIVE]:
        return learned
    # It decides for the other class from `learned` on, so for this one above the complement.
    complement = -learned if is_margin else 1.0 - learned
    return math.nextafter(complement, math.inf)


def _threshold_classifier(model: Any) -> Any:
    """The classifier of thresholds that decides for a fitted model; None without one."""
    while not isinstance(model, _THRESHOLDS):
        if isinstance(model, Pipeline):
            model = model.steps[-1][1]
        elif isinstance(model, BaseSearchCV):
            model = model.best_estimator_
        elif without_numbers(model) is not model:
            model = without_numbers(model)
        else:
            return None
    return model


def _threshold_and_label(classifier: Any) -> tuple[float | None, str]:
    """The threshold, None for scikit-learn's own, and the class whose score it is of."""
    threshold: float | None
    if isinstance(classifier, TunedThresholdClassifierCV):
        threshold = float(classifier.best_threshold_)
        label = classifier._curve_scorer._get_pos_label()  # noqa: SLF001 - see ARCHITECTURE.md, private APIs
    else:
        threshold = None if classifier.threshold == "auto" else float(classifier.threshold)
        label = classifier.pos_label
    return threshold, str(classifier.classes_[1] if label is None else label)
