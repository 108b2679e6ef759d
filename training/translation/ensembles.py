"""Models made of several models: votes, stacks, bags, chains and calibrations."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn import ensemble
from sklearn.calibration import CalibratedClassifierCV
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import RANSACRegressor
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor, RegressorChain

from training.translation.graph import GraphTensor, concat
from training.translation.lookup import interpolated
from training.translation.pairs import ranked_votes
from training.translation.translator import Translator, Untranslatable


def _mean(parts: Sequence[GraphTensor], weights: Any) -> GraphTensor:
    """The weighted mean of several matrices."""
    shares = np.ones(len(parts)) if weights is None else np.asarray(weights, dtype=np.float64)
    total = parts[0] * shares[0]
    for part, share in zip(parts[1:], shares[1:], strict=True):
        total = total + part * share
    return total / float(shares.sum())


def _weights(model: Any) -> Any:
    """The weights of the members that a vote has kept."""
    if model.weights is None:
        return None
    return [
        w
        for (_, member), w in zip(model.estimators, model.weights, strict=True)
        if member != "drop"
    ]


def soft_vote(to: Translator, model: Any, x: GraphTensor) -> GraphTensor:
    """The probabilities of `VotingClassifier`."""
    return _mean([to.probabilities(each, x) for each in model.estimators_], _weights(model))


def hard_vote(to: Translator, model: Any, x: GraphTensor) -> GraphTensor:
    """The decisions of `VotingClassifier`: the first class with the most votes."""
    if model.voting == "soft":
        return soft_vote(to, model, x).one_hot_of_maximum(len(model.classes_))
    votes = _mean([to.decisions(each, x) for each in model.estimators_], _weights(model))
    return votes.one_hot_of_maximum(len(model.classes_))


def voting_regressor(to: Translator, model: Any, x: GraphTensor) -> GraphTensor:
    """`VotingRegressor`."""
    return _mean([to.predict(each, x) for each in model.estimators_], _weights(model))


def _stacked(to: Translator, model: Any, x: GraphTensor) -> GraphTensor:
    """What the members say, as the features of the final estimator."""
    parts = []
    for member, method in zip(model.estimators_, model.stack_method_, strict=True):
        if method == "predict_proba":
            said = to.probabilities(member, x)
            is_binary = len(model.classes_) == 2  # noqa: PLR2004 - the first class has the rest
            parts.append(said.take([1]) if is_binary else said)
        elif method == "decision_function":
            parts.append(to.margins(member, x))
        elif hasattr(model, "classes_"):
            raise Untranslatable("a stack of predicted classes")
        else:
            parts.append(to.predict(member, x))
    return concat([*parts, x] if model.passthrough else parts)


def stacked_probabilities(to: Translator, model: Any, x: GraphTensor) -> GraphTensor:
    """The probabilities of `StackingClassifier`."""
    return to.probabilities(model.final_estimator_, _stacked(to, model, x))


def stacked_margins(to: Translator, model: Any, x: GraphTensor) -> GraphTensor:
    """The margins of `StackingClassifier`."""
    return to.margins(model.final_estimator_, _stacked(to, model, x))


def stacked_values(to: Translator, model: Any, x: GraphTensor) -> GraphTensor:
    """`StackingRegressor`."""
    return to.predict(model.final_estimator_, _stacked(to, model, x))


def bagged_probabilities(to: Translator, model: Any, x: GraphTensor) -> GraphTensor:
    """The probabilities of `BaggingClassifier`, whose members may miss classes."""
    n_classes = len(model.classes_)
    parts = []
    for member, columns in zip(model.estimators_, model.estimators_features_, strict=True):
        said = to.probabilities(member, x.take(columns))
        if len(member.classes_) < n_classes:
            said = said @ np.eye(n_classes)[np.asarray(member.classes_, dtype=int)]
        parts.append(said)
    return _mean(parts, None)


def bagged_values(to: Translator, model: Any, x: GraphTensor) -> GraphTensor:
    """`BaggingRegressor`."""
    pairs = zip(model.estimators_, model.estimators_features_, strict=True)
    return _mean([to.predict(member, x.take(columns)) for member, columns in pairs], None)


def ada_boost_margins(to: Translator, model: Any, x: GraphTensor) -> GraphTensor:
    """The margins of `AdaBoostClassifier` (SAMME)."""
    n_classes = len(model.classes_)
    parts = []
    for member in model.estimators_:
        places = [list(model.classes_).index(each) for each in member.classes_]
        said = to.decisions(member, x) @ np.eye(n_classes)[places]
        parts.append(said * (1.0 + 1.0 / (n_classes - 1)) - 1.0 / (n_classes - 1))
    margins = _mean(parts, model.estimator_weights_[: len(parts)])
    if n_classes == 2:  # noqa: PLR2004 - two classes have one margin
        return margins.take([1]) - margins.take([0])
    return margins


def ada_boost_probabilities(to: Translator, model: Any, x: GraphTensor) -> GraphTensor:
    """The probabilities of `AdaBoostClassifier`."""
    margins = ada_boost_margins(to, model, x)
    n_classes = len(model.classes_)
    if n_classes == 2:  # noqa: PLR2004 - two classes have one margin
        return concat([margins * -0.5, margins * 0.5]).softmax()
    return (margins / float(n_classes - 1)).softmax()


def ada_boost_median(to: Translator, model: Any, x: GraphTensor) -> GraphTensor:
    """`AdaBoostRegressor`: the weighted median of its members."""
    graph, n_members = x.graph, len(model.estimators_)
    said = concat([to.predict(each, x) for each in model.estimators_])
    count = graph.constant(np.array([n_members], dtype=np.int64))
    how: dict[str, Any] = {"axis": 1, "largest": 0, "sorted": 1}
    rising = GraphTensor(graph, graph.node("TopK", said.name, count, outputs=2, **how))
    weights = graph.constant(np.asarray(model.estimator_weights_[:n_members], dtype=np.float64))
    ordered = GraphTensor(graph, graph.node("Gather", weights, f"{rising.name}_1", axis=0))
    reached = ordered.apply("CumSum", np.array([1], dtype=np.int64))
    half = (reached >= reached.take([n_members - 1]) * 0.5).apply("Cast", to=6)
    place = half.apply("ArgMax", axis=1, keepdims=1)
    return GraphTensor(graph, graph.node("GatherElements", rising.name, place.name, axis=1))


def calibrated_probabilities(to: Translator, model: Any, x: GraphTensor) -> GraphTensor:
    """The probabilities of `CalibratedClassifierCV`."""
    parts = [_calibrated_once(to, each, x) for each in model.calibrated_classifiers_]
    return _mean(parts, None)


def _calibrated_once(to: Translator, part: Any, x: GraphTensor) -> GraphTensor:
    n_classes = len(part.classes)
    said = _response(to, part.estimator, x)
    if part.method not in {"sigmoid", "isotonic"} or len(part.calibrators) < n_classes - 1:
        raise Untranslatable(f"calibration with method={part.method!r}")
    if n_classes == 2:  # noqa: PLR2004 - the first class has the rest
        return _calibrator(part.calibrators[0], said).two_classes()
    if len(part.estimator.classes_) != n_classes:
        raise Untranslatable("calibration of a model that misses a class")
    columns = [_calibrator(each, said.take([i])) for i, each in enumerate(part.calibrators)]
    scores = concat(columns)
    total = scores.sum()
    is_zero = total.equals(0.0)
    return is_zero.where(1.0 / n_classes, scores / is_zero.where(1.0, total))


def _response(to: Translator, model: Any, x: GraphTensor) -> GraphTensor:
    """Margins if the classifier has them, else probabilities; one column for two classes."""
    if hasattr(model, "decision_function"):
        return to.margins(model, x)
    said = to.probabilities(model, x)
    return said.take([1]) if len(model.classes_) == 2 else said  # noqa: PLR2004 - the first class has the rest


def _calibrator(step: Any, x: GraphTensor) -> GraphTensor:
    if isinstance(step, IsotonicRegression):
        return interpolated(x, step.X_thresholds_, step.y_thresholds_)
    return (-(x * float(step.a_) + float(step.b_))).apply("Sigmoid")


def one_vs_rest(to: Translator, model: Any, x: GraphTensor) -> GraphTensor:
    """The probabilities of `OneVsRestClassifier`."""
    columns = [to.probabilities(each, x).take([1]) for each in model.estimators_]
    if len(columns) == 1:
        return columns[0].two_classes()
    scores = concat(columns)
    total = scores.sum()
    return scores / total.equals(0.0).where(1.0, total)


def one_vs_rest_margins(to: Translator, model: Any, x: GraphTensor) -> GraphTensor:
    """The margins of `OneVsRestClassifier`."""
    return concat([to.margins(each, x) for each in model.estimators_])


def one_vs_one(to: Translator, model: Any, x: GraphTensor) -> GraphTensor:
    """The margins of `OneVsOneClassifier`."""
    if model.pairwise_indices_ is not None:
        raise Untranslatable("OneVsOneClassifier of a precomputed kernel")
    wins = concat([to.decisions(each, x).take([1]) for each in model.estimators_])
    confidences = concat([_response(to, each, x) for each in model.estimators_])
    n_classes = len(model.classes_)
    margins = ranked_votes(wins, confidences, n_classes)
    return margins.take([1]) if n_classes == 2 else margins  # noqa: PLR2004 - two classes have one margin


def each_output(to: Translator, model: Any, x: GraphTensor) -> GraphTensor:
    """`MultiOutputRegressor`."""
    return concat([to.predict(each, x) for each in model.estimators_])


def chained(to: Translator, model: Any, x: GraphTensor) -> GraphTensor:
    """`RegressorChain`: each output is a feature of the next."""
    outputs: list[GraphTensor] = []
    for member in model.estimators_:
        outputs.append(to.predict(member, concat([x, *outputs])))
    return concat(outputs).take(np.argsort(model.order_))


def ransac(to: Translator, model: Any, x: GraphTensor) -> GraphTensor:
    """`RANSACRegressor`."""
    return to.predict(model.estimator_, x)


REGRESSORS = {
    MultiOutputRegressor: each_output,
    RANSACRegressor: ransac,
    RegressorChain: chained,
    ensemble.AdaBoostRegressor: ada_boost_median,
    ensemble.BaggingRegressor: bagged_values,
    ensemble.StackingRegressor: stacked_values,
    ensemble.VotingRegressor: voting_regressor,
}
PROBABILITIES = {
    CalibratedClassifierCV: calibrated_probabilities,
    OneVsRestClassifier: one_vs_rest,
    ensemble.AdaBoostClassifier: ada_boost_probabilities,
    ensemble.BaggingClassifier: bagged_probabilities,
    ensemble.StackingClassifier: stacked_probabilities,
    ensemble.VotingClassifier: soft_vote,
}
MARGINS = {
    OneVsOneClassifier: one_vs_one,
    OneVsRestClassifier: one_vs_rest_margins,
    ensemble.AdaBoostClassifier: ada_boost_margins,
    ensemble.StackingClassifier: stacked_margins,
}
DECISIONS = {ensemble.VotingClassifier: hard_vote}
