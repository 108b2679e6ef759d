"""CatBoost: its trees from the model's own JSON, as one `TreeEnsemble`.

CatBoost compares float32 numbers (`x > border`). A split on a category is a function of that
category alone, unless it counts combinations of several; such a function is asked of the library
for each category and becomes a set.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.extras import CATBOOST
from training.features.native_categories import UNSEEN
from training.frameworks.framework import Framework, SplitPoint
from training.translation.graph import GraphTensor
from training.translation.translator import Translations, Untranslatable
from training.translation.tree_nodes import TreeNodes

CATEGORIES = range(UNSEEN, 1000)
"""The values that a category may have: those of `NativeCategories(dtype="int")`, unseen first."""
_IDENTITY = frozenset({"RMSE", "MAE", "Quantile", "MAPE", "Huber", "Expectile", "MultiRMSE", "Lq"})
_EXPONENTIAL = frozenset({"Poisson", "Tweedie", "LogLinQuantile"})
_SIGMOID = frozenset({"Logloss", "CrossEntropy"})
_VERBOSITY = frozenset({"logging_level", "silent", "verbose", "verbose_eval"})
_Split = Mapping[str, Any]


@dataclass
class _Model:
    """A fitted model as its JSON says it, and the library's answers about categories."""

    estimator: Any
    document: Mapping[str, Any]
    loss: str
    _leaves: dict[int, NDArray[np.int64]] = field(default_factory=dict)

    @property
    def trees(self) -> Sequence[Mapping[str, Any]]:
        """The trees, each of which asks one split per level.

        Raises:
            Untranslatable: they are of another kind.

        """
        if "oblivious_trees" not in self.document:
            raise Untranslatable("CatBoost with a grow_policy other than SymmetricTree")
        trees: Sequence[Mapping[str, Any]] = self.document["oblivious_trees"]
        return trees

    def number(self, split: _Split) -> Mapping[str, Any]:
        """The feature of a split on a number."""
        features: Sequence[Mapping[str, Any]] = self.document["features_info"]["float_features"]
        return features[split["float_feature_index"]]

    def question(self, tree: int, level: int, split: _Split) -> "_Question":
        """The question of a split on a category.

        Its members are the values that are answered differently from one that was never seen.

        Raises:
            Untranslatable: the split depends on more than one category.

        """
        index = self._category_of(split)
        feature = self.document["features_info"]["categorical_features"][index]
        column = int(feature["flat_feature_index"])
        if column not in self._leaves:
            self._leaves[column] = self._asked(column)
        is_true = (self._leaves[column][:, tree] >> level & 1).astype(bool)
        of_unseen = bool(is_true[0])
        members = np.array(CATEGORIES)[is_true != of_unseen].astype(np.float64)
        return _Question(column, members=members.tolist(), is_yes=not of_unseen)

    def _category_of(self, split: _Split) -> int:
        if split["split_type"] == "OneHotFeature":
            return int(split["cat_feature_index"])
        counters = self._counter_of_split[int(split["split_index"])]
        elements = counters["elements"]
        if len(elements) > 1 or "cat_feature_index" not in elements[0]:
            raise Untranslatable(
                "CatBoost that counts combinations of categories; set max_ctr_complexity=1"
            )
        return int(elements[0]["cat_feature_index"])

    @property
    def _counter_of_split(self) -> dict[int, Mapping[str, Any]]:
        """The counter that a split asks, by the number of the split among all of the model."""
        info = self.document["features_info"]
        number = sum(len(each["borders"] or ()) for each in info.get("float_features", ()))
        number += sum(len(each.get("values", ())) for each in info.get("categorical_features", ()))
        found: dict[int, Mapping[str, Any]] = {}
        for counter in info.get("ctrs", ()):
            for _ in counter["borders"]:
                found[number] = counter
                number += 1
        return found

    def _asked(self, column: int) -> NDArray[np.int64]:
        """The leaf of each tree for each category in a column, `(n_categories, n_trees)`."""
        import pandas as pd

        names = self.estimator.feature_names_
        categorical = set(self.estimator.get_cat_feature_indices())
        values = {
            name: CATEGORIES if index == column else UNSEEN if index in categorical else 0.0
            for index, name in enumerate(names)
        }
        rows = pd.DataFrame(values, index=range(len(CATEGORIES)), columns=names)
        return np.asarray(self.estimator.calc_leaf_indexes(rows), dtype=np.int64)


def _model(estimator: Any) -> _Model:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.json")
        pool = _any_row(estimator) if estimator.get_cat_feature_indices() else None
        estimator.save_model(str(path), format="json", pool=pool)
        document = json.loads(path.read_bytes())
    loss = str(estimator.get_all_params()["loss_function"]).partition(":")[0]
    return _Model(estimator, document, loss)


def _any_row(estimator: Any) -> Any:
    """A row of the right shape, without which the library writes no JSON of categories."""
    import pandas as pd
    from catboost import Pool

    categorical = list(estimator.get_cat_feature_indices())
    names = estimator.feature_names_
    row = {name: [UNSEEN if i in categorical else 0.0] for i, name in enumerate(names)}
    return Pool(pd.DataFrame(row), cat_features=categorical)


def _sums(model: _Model, x: GraphTensor) -> GraphTensor:
    """The sums of the trees, `(n_rows, n_outputs)`.

    A leaf of ONNX has one number. Trees of several outputs return the number of the leaf, which
    is looked up in a table.
    """
    scale, bias = model.document["scale_and_bias"]
    n_outputs = len(bias)
    nodes = TreeNodes()
    start = 0
    tables = []
    for index, tree in enumerate(model.trees):
        table = np.asarray(tree["leaf_values"], dtype=np.float64).reshape(-1, n_outputs)
        if n_outputs == 1:
            _grow(nodes, model, index, 0, table[:, 0])
        else:
            _grow(nodes, model, index, index, start + np.arange(len(table), dtype=np.float64))
        tables.append(table)
        start += len(table)
    seen = x.rounded()
    if n_outputs == 1:
        sums = nodes.value(seen, 1)
    else:
        leaves = nodes.value(seen, len(tables)).apply("Cast", to=7)
        constant = x.graph.constant(np.concatenate(tables))
        found = GraphTensor(x.graph, x.graph.node("Gather", constant, leaves.name, axis=0))
        sums = found.sum(keepdims=False)
    return sums * float(scale) + np.asarray(bias, dtype=np.float64)


def _grow(
    nodes: TreeNodes, model: _Model, tree: int, output: int, weights: NDArray[np.float64]
) -> None:
    """Add a tree: at each level the answer to its split is a bit of the number of the leaf."""
    splits = model.trees[tree]["splits"] or []
    if not splits:
        nodes.stump(output, float(weights[0]))
        return
    asked = [_question(model, tree, level, split) for level, split in enumerate(splits)]

    def grown(level: int, leaf: int) -> tuple[int, int]:
        if level == len(asked):
            return nodes.leaf(output, float(weights[leaf]))
        index = asked[level].added_to(nodes)
        no, yes = grown(level + 1, leaf), grown(level + 1, leaf | 1 << level)
        first, second = (yes, no) if asked[level].is_yes else (no, yes)
        nodes.true[index], nodes.false[index] = first, second
        return index, 0

    nodes.roots.append(grown(0, 0)[0])


@dataclass(frozen=True)
class _Question:
    """The question of a level: `x <= border`, or whether x is one of the members.

    `is_yes` says whether the split is true where the answer is.
    """

    column: int
    border: float = 0.0
    missing_true: bool = False
    members: list[float] | None = None
    is_yes: bool = False

    def added_to(self, nodes: TreeNodes) -> int:
        """The index of a new node that asks it."""
        if self.members is not None:
            return nodes.member_of(self.column, self.members)
        return nodes.split(self.column, self.border, missing_true=self.missing_true)


def _question(model: _Model, tree: int, level: int, split: _Split) -> _Question:
    if split["split_type"] != "FloatFeature":
        return model.question(tree, level, split)
    feature = model.number(split)
    border = float(np.float32(split["border"]))
    missing_true = feature["nan_value_treatment"] != "AsTrue"
    return _Question(int(feature["flat_feature_index"]), border, missing_true)


def _predicted(estimator: Any, x: GraphTensor) -> GraphTensor:
    """`CatBoostRegressor.predict`, `(n_rows, n_outputs)`.

    Raises:
        Untranslatable: an option or the loss has no translation.

    """
    model = _model(estimator)
    if model.loss in _IDENTITY:
        return _sums(model, x)
    if model.loss in _EXPONENTIAL:
        return _sums(model, x).apply("Exp")
    raise Untranslatable(f"CatBoost with loss_function={model.loss!r}")


def _probabilities(estimator: Any, x: GraphTensor) -> GraphTensor:
    """`CatBoostClassifier.predict_proba`, `(n_rows, n_classes)`; raises as `_predicted`."""
    model = _model(estimator)
    if model.loss in _SIGMOID:
        return _sums(model, x).apply("Sigmoid").two_classes()
    if model.loss == "MultiClass":
        return _sums(model, x).softmax()
    if model.loss == "MultiClassOneVsAll":
        return _sums(model, x).apply("Sigmoid")
    raise Untranslatable(f"CatBoost with loss_function={model.loss!r}")


def _splits(estimator: Any) -> Iterator[SplitPoint]:
    """The borders of a fitted estimator."""
    info = _model(estimator).document["features_info"]
    for feature in info.get("float_features", ()):
        for border in feature["borders"] or ():
            yield int(feature["flat_feature_index"]), float(np.float32(border))


def _prepare(estimator: Any) -> None:
    """Keep CatBoost from writing files into the current folder, and from printing each step."""
    given = estimator.get_params()
    quiet = {} if _VERBOSITY & given.keys() else {"verbose": False}
    estimator.set_params(allow_writing_files=False, **quiet)


def _translations() -> Translations:
    """How the estimators of CatBoost are translated."""
    import catboost

    return Translations(
        regressors={catboost.CatBoostRegressor: _predicted},
        probabilities={catboost.CatBoostClassifier: _probabilities},
    )


FRAMEWORK = Framework(
    extra=CATBOOST,
    flavour="catboost",
    translations=_translations,
    splits=_splits,
    prepare=_prepare,
)
