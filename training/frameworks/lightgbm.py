"""LightGBM: its trees from the dump of the model, as one `TreeEnsemble`.

LightGBM compares float64 numbers (`x <= threshold`). A category that is in a node's set goes to
the left; any other one, a missing one included, goes to the right.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from contracts.extras import LIGHTGBM
from training.frameworks.framework import Framework, SplitPoint
from training.translation.graph import GraphTensor
from training.translation.translator import Translations, Untranslatable
from training.translation.tree_nodes import TreeNodes

_EXPONENTIAL = frozenset({"gamma", "poisson", "tweedie"})
_IDENTITY = frozenset(
    {"fair", "huber", "mape", "quantile", "regression", "regression_l1", "regression_l2"}
)
_SIGMOID = frozenset({"binary", "cross_entropy", "multiclassova"})

ZERO = float(np.float32(1e-35))
"""LightGBM takes smaller numbers for zero when it predicts (`kZeroThreshold`)."""
Node = Mapping[str, Any]


def _dump(estimator: Any) -> Mapping[str, Any]:
    """The model, up to its best iteration if the fit stopped early."""
    dumped: Mapping[str, Any] = estimator.booster_.dump_model()
    return dumped


def _sums(dumped: Mapping[str, Any], x: GraphTensor) -> GraphTensor:
    """The sums of the trees, `(n_rows, n_outputs)`; the means of a random forest."""
    n_outputs = int(dumped["num_tree_per_iteration"])
    nodes = TreeNodes()
    for index, tree in enumerate(dumped["tree_info"]):
        output = index % n_outputs
        root = _grown(nodes, tree["tree_structure"], output)
        if root is None:
            nodes.stump(output, float(tree["tree_structure"]["leaf_value"]))
        else:
            nodes.roots.append(root)
    seen = (x.apply("Abs") <= ZERO).where(0.0, x)
    sums = nodes.value(seen, n_outputs)
    n_iterations = len(dumped["tree_info"]) // n_outputs
    return sums / float(n_iterations) if dumped["average_output"] else sums


def _grown(nodes: TreeNodes, root: Node, output: int) -> int | None:
    """The index of a tree's first node; None for a tree without splits."""
    if "split_feature" not in root:
        return None
    first = _asked(nodes, root)
    waiting = [(root, first)]
    while waiting:
        node, index = waiting.pop()
        for name, side in (("left_child", nodes.true), ("right_child", nodes.false)):
            child = node[name]
            if "split_feature" in child:
                place = _asked(nodes, child)
                side[index] = (place, 0)
                waiting.append((child, place))
            else:
                side[index] = nodes.leaf(output, float(child["leaf_value"]))
    return first


def _asked(nodes: TreeNodes, node: Node) -> int:
    """Add the question of a node.

    Raises:
        Untranslatable: it takes zero for missing, or has a linear model in its leaves.

    """
    feature = int(node["split_feature"])
    if node["decision_type"] == "==":
        return nodes.member_of(feature, [float(each) for each in node["threshold"].split("||")])
    if node["missing_type"] == "Zero":
        raise Untranslatable("LightGBM with zero_as_missing=True")
    threshold = float(node["threshold"])
    # Where the fit saw nothing missing, LightGBM takes a missing value for zero.
    is_left = node["default_left"] if node["missing_type"] == "NaN" else threshold >= 0.0
    return nodes.split(feature, threshold, missing_true=bool(is_left))


def _objective(dumped: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """The objective, and its parameters: `binary sigmoid:1`.

    Raises:
        Untranslatable: the model has one of its own, or linear models in its leaves.

    """
    words = str(dumped.get("objective", "")).split()
    if not words:
        raise Untranslatable("LightGBM with an objective of its own")
    if any("leaf_coeff" in leaf for tree in dumped["tree_info"] for leaf in _leaves(tree)):
        raise Untranslatable("LightGBM with linear_tree=True")
    parameters = dict(word.partition(":")[::2] for word in words[1:])
    return words[0], parameters


def _leaves(tree: Node) -> Iterator[Node]:
    waiting = [tree["tree_structure"]]
    while waiting:
        node = waiting.pop()
        if "split_feature" in node:
            waiting += [node["left_child"], node["right_child"]]
        else:
            yield node


def _predicted(estimator: Any, x: GraphTensor) -> GraphTensor:
    """`LGBMRegressor.predict`, `(n_rows, 1)`.

    Raises:
        Untranslatable: an option or the objective has no translation.

    """
    dumped = _dump(estimator)
    objective, parameters = _objective(dumped)
    sums = _sums(dumped, x)
    if "sqrt" in parameters:
        return sums.apply("Sign") * sums * sums
    if objective in _IDENTITY:
        return sums
    if objective in _EXPONENTIAL:
        return sums.apply("Exp")
    if objective in _SIGMOID:
        return sums.apply("Sigmoid")
    raise Untranslatable(f"LightGBM with objective={objective!r}")


def _probabilities(estimator: Any, x: GraphTensor) -> GraphTensor:
    """`LGBMClassifier.predict_proba`, `(n_rows, n_classes)`; raises as `_predicted`."""
    dumped = _dump(estimator)
    objective, parameters = _objective(dumped)
    sums = _sums(dumped, x)
    if objective == "multiclass":
        return sums.softmax()
    if objective not in _SIGMOID:
        raise Untranslatable(f"LightGBM with objective={objective!r}")
    single = (sums * float(parameters.get("sigmoid", 1.0))).apply("Sigmoid")
    return single if objective == "multiclassova" else single.two_classes()


def _splits(estimator: Any) -> Iterator[SplitPoint]:
    """The thresholds of a fitted estimator."""
    for tree in _dump(estimator)["tree_info"]:
        waiting = [tree["tree_structure"]]
        while waiting:
            node = waiting.pop()
            if "split_feature" not in node:
                continue
            if node["decision_type"] != "==":
                yield int(node["split_feature"]), float(node["threshold"])
            waiting += [node["left_child"], node["right_child"]]


def _booster(estimator: Any) -> Any:
    """What MLflow stores as text; it would pickle the estimator."""
    return estimator.booster_


def _translations() -> Translations:
    """How the estimators of LightGBM are translated."""
    import lightgbm

    return Translations(
        regressors={lightgbm.LGBMRegressor: _predicted},
        probabilities={lightgbm.LGBMClassifier: _probabilities},
    )


FRAMEWORK = Framework(
    extra=LIGHTGBM,
    flavour="lightgbm",
    translations=_translations,
    splits=_splits,
    loggable=_booster,
)
