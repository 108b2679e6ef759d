"""XGBoost: its trees from the model's own JSON, as one `TreeEnsemble`.

XGBoost compares float32 numbers (`x < threshold`), sends a missing value to the side that it
learned, and a category that is in a node's set to the right. Sums are float32 there and float64
here, which differs by some 1e-7.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.extras import XGBOOST
from training.frameworks.framework import Framework, SplitPoint
from training.translation.graph import GraphTensor
from training.translation.translator import Translations, Untranslatable
from training.translation.tree_nodes import TreeNodes

_EXPONENTIAL = frozenset({"count:poisson", "reg:gamma", "reg:tweedie"})
_SIGMOID = frozenset({"binary:logistic", "reg:logistic"})
_SOFTMAX = frozenset({"multi:softprob", "multi:softmax"})
_IDENTITY = frozenset(
    {
        "reg:absoluteerror",
        "reg:pseudohubererror",
        "reg:quantileerror",
        "reg:squarederror",
        "reg:squaredlogerror",
    }
)
CATEGORICAL = 1
BOOSTERS = ("gbtree", "dart")


@dataclass(frozen=True)
class _Model:
    """A fitted model as its JSON says it: trees, the output and weight of each, start and link."""

    trees: list[Mapping[str, Any]]
    outputs: list[int]
    weights: list[float]
    start: NDArray[np.float64]
    objective: str


def _booster(estimator: Any) -> Any:
    """The trees with which the estimator predicts: those up to the best iteration, if it stops."""
    booster = estimator.get_booster()
    if estimator.early_stopping_rounds is None:
        return booster
    return booster[: int(booster.best_iteration) + 1]


def _model(estimator: Any) -> _Model:
    learner = json.loads(bytes(_booster(estimator).save_raw("json")))["learner"]
    gradient_booster, objective = learner["gradient_booster"], learner["objective"]["name"]
    if gradient_booster["name"] not in BOOSTERS:
        raise Untranslatable(f"XGBoost with booster={gradient_booster['name']!r}")
    trees = gradient_booster.get("gbtree", gradient_booster)["model"]
    parameters = learner["learner_model_param"]
    n_outputs = max(int(parameters["num_class"]), int(parameters["num_target"]), 1)
    if any(int(tree["tree_param"]["size_leaf_vector"]) > 1 for tree in trees["trees"]):
        raise Untranslatable("XGBoost with multi_strategy='multi_output_tree'")
    base = np.atleast_1d(np.asarray(json.loads(parameters["base_score"]), dtype=np.float64))
    return _Model(
        trees=trees["trees"],
        outputs=trees["tree_info"],
        weights=gradient_booster.get("weight_drop") or [1.0] * len(trees["trees"]),
        start=np.broadcast_to(_unlinked(base, objective), n_outputs),
        objective=objective,
    )


def _unlinked(base: NDArray[np.float64], objective: str) -> NDArray[np.float64]:
    """The start of the sums: the stored start is a probability or a rate where there is a link."""
    if objective in _SIGMOID:
        return np.log(base / (1.0 - base))
    return np.log(base) if objective in _EXPONENTIAL else base


def _sums(estimator: Any, x: GraphTensor) -> tuple[GraphTensor, str]:
    """The sums of the trees, `(n_rows, n_outputs)`, and the objective."""
    model = _model(estimator)
    seen = x.rounded()
    if not math.isnan(estimator.missing):
        seen = seen.equals(float(np.float32(estimator.missing))).where(math.nan, seen)
    nodes = TreeNodes()
    for tree, output, weight in zip(model.trees, model.outputs, model.weights, strict=True):
        _grow(nodes, tree, output, weight)
    return nodes.value(seen, len(model.start)) + model.start, model.objective


def _grow(nodes: TreeNodes, tree: Mapping[str, Any], output: int, weight: float) -> None:
    """Add a tree, whose leaves count `weight` times."""
    lefts, rights = tree["left_children"], tree["right_children"]
    # Of a leaf, the condition is its value.
    conditions, features = _float32(tree["split_conditions"]), tree["split_indices"]
    if lefts[0] < 0:
        nodes.stump(output, float(conditions[0]) * weight)
        return
    sets = _sets(tree)
    own: dict[int, int] = {}
    for i, left in enumerate(lefts):
        missing_left = bool(tree["default_left"][i])
        if i in sets:
            own[i] = nodes.member_of(features[i], sets[i], missing_true=not missing_left)
        elif left >= 0:
            condition = float(conditions[i])
            own[i] = nodes.split_below(features[i], condition, missing_true=missing_left)

    def child(i: int) -> tuple[int, int]:
        return (own[i], 0) if i in own else nodes.leaf(output, float(conditions[i]) * weight)

    for i, index in own.items():
        # A category that is in the set goes to the right.
        yes, no = (rights, lefts) if i in sets else (lefts, rights)
        nodes.true[index], nodes.false[index] = child(yes[i]), child(no[i])
    nodes.roots.append(own[0])


def _float32(values: Any) -> NDArray[np.float64]:
    """Numbers that were printed as short as float32 allows, as the float32 that they are."""
    return np.asarray(values, dtype=np.float64).astype(np.float32).astype(np.float64)


def _sets(tree: Mapping[str, Any]) -> dict[int, list[float]]:
    """The categories of each node that asks for some."""
    return {
        node: [float(each) for each in tree["categories"][start : start + size]]
        for node, start, size in zip(
            tree["categories_nodes"],
            tree["categories_segments"],
            tree["categories_sizes"],
            strict=True,
        )
    }


def _predicted(estimator: Any, x: GraphTensor) -> GraphTensor:
    """`XGBRegressor.predict`, `(n_rows, n_outputs)`.

    Raises:
        Untranslatable: the booster or the objective has no translation.

    """
    sums, objective = _sums(estimator, x)
    if objective in _IDENTITY:
        return sums
    if objective in _EXPONENTIAL:
        return sums.apply("Exp")
    if objective in _SIGMOID:
        return sums.apply("Sigmoid")
    raise Untranslatable(f"XGBoost with objective={objective!r}")


def _probabilities(estimator: Any, x: GraphTensor) -> GraphTensor:
    """`XGBClassifier.predict_proba`, `(n_rows, n_classes)`; raises as `_predicted`."""
    sums, objective = _sums(estimator, x)
    if objective in _SIGMOID:
        return sums.apply("Sigmoid").two_classes()
    if objective in _SOFTMAX:
        return sums.softmax()
    raise Untranslatable(f"XGBoost with objective={objective!r}")


def _splits(estimator: Any) -> Iterator[SplitPoint]:
    """The thresholds of a fitted estimator."""
    try:
        trees = _model(estimator).trees
    except Untranslatable:
        return
    for tree in trees:
        for i, left in enumerate(tree["left_children"]):
            if left >= 0 and tree["split_type"][i] != CATEGORICAL:
                yield int(tree["split_indices"][i]), float(np.float32(tree["split_conditions"][i]))


def _translations() -> Translations:
    """How the estimators of XGBoost are translated."""
    import xgboost

    return Translations(
        regressors={xgboost.XGBRegressor: _predicted, xgboost.XGBRFRegressor: _predicted},
        probabilities={
            xgboost.XGBClassifier: _probabilities,
            xgboost.XGBRFClassifier: _probabilities,
        },
    )


FRAMEWORK = Framework(
    extra=XGBOOST,
    flavour="xgboost",
    translations=_translations,
    splits=_splits,
    takes_class_names=False,
)
