"""Trees, forests and boosted trees, as one `TreeEnsemble` node each."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import ensemble, tree

from training.translation.graph import GraphTensor
from training.translation.translator import Untranslatable
from training.translation.tree_nodes import TreeNodes

BITS = 32


def _grow(nodes: TreeNodes, part: Any, target: int, weights: NDArray[np.float64]) -> None:
    """Add a tree of scikit-learn whose leaves have these weights, one per node of the tree."""
    left, right = part.children_left, part.children_right
    go_left = np.asarray(part.missing_go_to_left, dtype=bool)
    if left[0] < 0:
        nodes.stump(target, float(weights[0]))
        return
    own = {
        int(i): nodes.split(
            int(part.feature[i]), float(part.threshold[i]), missing_true=bool(go_left[i])
        )
        for i in np.flatnonzero(left >= 0)
    }
    for i, index in own.items():
        for side, children in ((nodes.true, left), (nodes.false, right)):
            child = int(children[i])
            side[index] = (
                (own[child], 0) if child in own else nodes.leaf(target, float(weights[child]))
            )
    nodes.roots.append(own[0])


def _total(x: GraphTensor, parts: Sequence[Any]) -> GraphTensor:
    """The sum over trees of their leaves' values, `(n_rows, n_outputs)`; `x` as float32.

    A leaf of ONNX has one number. Trees with several outputs return the number of the leaf,
    which is looked up in a table.
    """
    rounded = x.rounded()
    nodes = TreeNodes()
    values = [part.value.reshape(part.node_count, -1) for part in parts]
    n_outputs = values[0].shape[1]
    if n_outputs == 1:
        for part, each in zip(parts, values, strict=True):
            _grow(nodes, part, 0, each[:, 0])
        return nodes.value(rounded, 1)
    start = 0
    for target, part in enumerate(parts):
        _grow(nodes, part, target, start + np.arange(part.node_count, dtype=np.float64))
        start += part.node_count
    leaves = nodes.value(rounded, len(parts)).apply("Cast", to=7)
    table = x.graph.constant(np.concatenate(values))
    return GraphTensor(x.graph, x.graph.node("Gather", table, leaves.name, axis=0)).sum(
        keepdims=False
    )


def _second_class(x: GraphTensor, parts: Sequence[Any]) -> GraphTensor:
    """The sum over trees of two classes of the second one's share."""
    nodes = TreeNodes()
    for part in parts:
        _grow(nodes, part, 0, part.value[:, 0, 1])
    return nodes.value(x.rounded(), 1)


def _trees_of(model: Any) -> list[Any]:
    members = getattr(model, "estimators_", None)
    return [model.tree_] if members is None else [each.tree_ for each in members]


def tree_probabilities(model: Any, x: GraphTensor) -> GraphTensor:
    """The probabilities of a tree or a forest."""
    if getattr(model, "n_outputs_", 1) != 1:
        raise Untranslatable("a forest for several targets of classes")
    parts = _trees_of(model)
    if model.n_classes_ == 2:  # noqa: PLR2004 - the first class has the rest
        return (_second_class(x, parts) / float(len(parts))).two_classes()
    return _total(x, parts) / float(len(parts))


def tree_values(model: Any, x: GraphTensor) -> GraphTensor:
    """The predictions of a tree or a forest for a regression."""
    parts = _trees_of(model)
    return _total(x, parts) / float(len(parts))


def boosted_raw(model: Any, x: GraphTensor) -> GraphTensor:
    """The sum of the trees of `GradientBoosting*`, before its link."""
    if model.init is not None and model.init_ != "zero":
        raise Untranslatable("gradient boosting with an estimator as init")
    start = model._raw_predict_init(np.zeros((1, model.n_features_in_)))[0]  # noqa: SLF001 - see ARCHITECTURE.md, private APIs
    nodes = TreeNodes()
    for stage in model.estimators_:
        for target, part in enumerate(stage):
            _grow(nodes, part.tree_, target, part.tree_.value[:, 0, 0] * model.learning_rate)
    return nodes.value(x.rounded(), model.estimators_.shape[1]) + start


def boosted_probabilities(model: Any, x: GraphTensor) -> GraphTensor:
    """The probabilities of `GradientBoostingClassifier`."""
    raw = boosted_raw(model, x)
    if len(model.classes_) > 2:  # noqa: PLR2004 - two classes have one sum
        return raw.softmax()
    scale = 2.0 if model.loss == "exponential" else 1.0
    return (raw * scale).apply("Sigmoid").two_classes()


def _members(words: Any, categories: NDArray[np.float64]) -> list[float]:
    """The categories whose bits are set."""
    return [
        float(value)
        for code, value in enumerate(categories)
        if int(words[code // BITS]) >> (code % BITS) & 1
    ]


def _histogram_columns(model: Any) -> tuple[list[int], list[NDArray[np.float64]]]:
    """The column of each feature of the trees; and the categories of the first of them.

    A model with categories puts them first, and numbers them.
    """
    if model._preprocessor is None:  # noqa: SLF001 - see ARCHITECTURE.md, private APIs
        return list(range(model.n_features_in_)), []
    mask = np.asarray(model.is_categorical_, dtype=bool)
    encoder = model._preprocessor.named_transformers_["encoder"]  # noqa: SLF001 - see ARCHITECTURE.md, private APIs
    categories = [np.asarray(each, dtype=np.float64) for each in encoder.categories_]
    return [*np.flatnonzero(mask).tolist(), *np.flatnonzero(~mask).tolist()], [
        each[~np.isnan(each)] for each in categories
    ]


def _grow_histogram(
    nodes: TreeNodes,
    predictor: Any,
    target: int,
    columns: list[int],
    categories: list[NDArray[np.float64]],
) -> None:
    records = predictor.nodes
    if records[0]["is_leaf"]:
        nodes.stump(target, float(records[0]["value"]))
        return
    own: dict[int, tuple[int, bool]] = {}
    for i in np.flatnonzero(records["is_leaf"] == 0).tolist():
        record = records[i]
        feature, go_left = int(record["feature_idx"]), bool(record["missing_go_to_left"])
        if not record["is_categorical"]:
            threshold = float(record["num_threshold"])
            own[i] = nodes.split(columns[feature], threshold, missing_true=go_left), False
            continue
        known = categories[feature]
        left = _members(predictor.raw_left_cat_bitsets[record["bitset_idx"]], known)
        # What is missing or unknown is in no set, and goes where the model sends it.
        members = [float(value) for value in known if value not in left] if go_left else left
        own[i] = nodes.member_of(columns[feature], members), go_left
    for i, (index, is_swapped) in own.items():
        sides = (nodes.false, nodes.true) if is_swapped else (nodes.true, nodes.false)
        for side, child in zip(sides, (records[i]["left"], records[i]["right"]), strict=True):
            key = int(child)
            side[index] = (
                (own[key][0], 0) if key in own else nodes.leaf(target, float(records[key]["value"]))
            )
    nodes.roots.append(own[0][0])


def histogram_raw(model: Any, x: GraphTensor) -> GraphTensor:
    """The sum of the trees of `HistGradientBoosting*`, before its link."""
    columns, categories = _histogram_columns(model)
    nodes = TreeNodes()
    for stage in model._predictors:  # noqa: SLF001 - see ARCHITECTURE.md, private APIs
        for target, predictor in enumerate(stage):
            _grow_histogram(nodes, predictor, target, columns, categories)
    start = np.asarray(model._baseline_prediction, dtype=np.float64).reshape(1, -1)  # noqa: SLF001 - see ARCHITECTURE.md, private APIs
    return nodes.value(x, model.n_trees_per_iteration_) + start


def histogram_probabilities(model: Any, x: GraphTensor) -> GraphTensor:
    """The probabilities of `HistGradientBoostingClassifier`."""
    raw = histogram_raw(model, x)
    if len(model.classes_) > 2:  # noqa: PLR2004 - two classes have one sum
        return raw.softmax()
    return raw.apply("Sigmoid").two_classes()


def histogram_values(model: Any, x: GraphTensor) -> GraphTensor:
    """The predictions of `HistGradientBoostingRegressor`."""
    raw = histogram_raw(model, x)
    return raw.apply("Exp") if model.loss in {"poisson", "gamma"} else raw


def _with(classes: Iterable[Any], translate: Any) -> dict[Any, Any]:
    return dict.fromkeys(classes, translate)


REGRESSORS = _with(
    (
        ensemble.ExtraTreesRegressor,
        ensemble.RandomForestRegressor,
        tree.DecisionTreeRegressor,
        tree.ExtraTreeRegressor,
    ),
    tree_values,
) | {
    ensemble.GradientBoostingRegressor: boosted_raw,
    ensemble.HistGradientBoostingRegressor: histogram_values,
}
PROBABILITIES = _with(
    (
        ensemble.ExtraTreesClassifier,
        ensemble.RandomForestClassifier,
        tree.DecisionTreeClassifier,
        tree.ExtraTreeClassifier,
    ),
    tree_probabilities,
) | {
    ensemble.GradientBoostingClassifier: boosted_probabilities,
    ensemble.HistGradientBoostingClassifier: histogram_probabilities,
}
MARGINS = {
    ensemble.GradientBoostingClassifier: boosted_raw,
    ensemble.HistGradientBoostingClassifier: histogram_raw,
}
