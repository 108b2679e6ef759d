"""What the scores of a fitted model are, and from which score on it decides."""

from typing import Any

from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline

from contracts.decision_rule import DEFAULT_THRESHOLD
from contracts.manifest import ScoreKind
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
    """
    if recipe.task != "binary" or recipe.threshold != DEFAULT_THRESHOLD:
        return recipe.threshold
    is_margin = score_kind_of(model, recipe) == "margin"
    learned = _learned_threshold(model)
    if learned is None:
        return MARGIN_THRESHOLD if is_margin else recipe.threshold
    is_positive = list(map(str, model.classes_)).index(recipe.classes[1]) == 1
    if is_positive:
        return learned
    return -learned if is_margin else 1.0 - learned


def _learned_threshold(model: Any) -> float | None:
    """The threshold of a classifier of thresholds, on its second class; None without one."""
    while not isinstance(model, _THRESHOLDS):
        if isinstance(model, Pipeline):
            model = model.steps[-1][1]
        elif isinstance(model, BaseSearchCV):
            model = model.best_estimator_
        else:
            return None
    if isinstance(model, TunedThresholdClassifierCV):
        return float(model.best_threshold_)
    if model.threshold == "auto":
        return None
    return float(model.threshold)
