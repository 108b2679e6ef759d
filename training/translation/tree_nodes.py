"""The nodes of a `TreeEnsemble`, of any library's trees."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper

from training.translation.graph import ML_DOMAIN, GraphTensor

BRANCH_LEQ, BRANCH_LT, BRANCH_MEMBER = 0, 1, 6
SUM = 1
NO_TRANSFORM = 0
_NEVER = float(np.iinfo(np.int32).max)
"""A category that no request has, for sets without members.

ONNX Runtime's sets hold int32, and its smallest is what NaN is taken for.
"""


@dataclass
class TreeNodes:
    """The attributes of a `TreeEnsemble` node, grown tree by tree."""

    features: list[int] = field(default_factory=list)
    splits: list[float] = field(default_factory=list)
    modes: list[int] = field(default_factory=list)
    missing_true: list[int] = field(default_factory=list)
    true: list[tuple[int, int]] = field(default_factory=list)
    false: list[tuple[int, int]] = field(default_factory=list)
    members: list[float] = field(default_factory=list)
    roots: list[int] = field(default_factory=list)
    leaf_targets: list[int] = field(default_factory=list)
    leaf_weights: list[float] = field(default_factory=list)

    def leaf(self, target: int, weight: float) -> tuple[int, int]:
        """Add a leaf; returns its reference: its index, and 1 for a leaf."""
        self.leaf_targets.append(target)
        self.leaf_weights.append(weight)
        return len(self.leaf_weights) - 1, 1

    def stump(self, target: int, weight: float) -> None:
        """Add a tree without splits; ONNX has none, so both sides of a split have the same leaf."""
        index = self.split(0, 0.0, missing_true=True)
        self.true[index] = self.false[index] = self.leaf(target, weight)
        self.roots.append(index)

    def split(self, feature: int, threshold: float, *, missing_true: bool) -> int:
        """Add a node that asks `x <= threshold`; its children are set later."""
        return self._node(feature, threshold, BRANCH_LEQ, missing_true=missing_true)

    def split_below(self, feature: int, threshold: float, *, missing_true: bool) -> int:
        """Add a node that asks `x < threshold`; its children are set later."""
        return self._node(feature, threshold, BRANCH_LT, missing_true=missing_true)

    def member_of(
        self, feature: int, members: Sequence[float], *, missing_true: bool = False
    ) -> int:
        """Add a node that asks whether a value is one of some."""
        self.members += [*(members or [_NEVER]), np.nan]
        return self._node(feature, 0.0, BRANCH_MEMBER, missing_true=missing_true)

    def _node(self, feature: int, split: float, mode: int, *, missing_true: bool) -> int:
        self.features.append(feature)
        self.splits.append(split)
        self.modes.append(mode)
        self.missing_true.append(int(missing_true))
        self.true.append((0, 1))
        self.false.append((0, 1))
        return len(self.features) - 1

    def value(self, x: GraphTensor, n_targets: int) -> GraphTensor:
        """The node applied to a matrix: a sum of leaves per target, `(n_rows, n_targets)`."""
        attributes: dict[str, Any] = {
            "n_targets": n_targets,
            "aggregate_function": SUM,
            "post_transform": NO_TRANSFORM,
            "tree_roots": self.roots,
            "nodes_featureids": self.features,
            "nodes_splits": _tensor(np.array(self.splits)),
            "nodes_modes": _tensor(np.array(self.modes, dtype=np.uint8)),
            "nodes_missing_value_tracks_true": self.missing_true,
            "nodes_truenodeids": [index for index, _ in self.true],
            "nodes_trueleafs": [is_leaf for _, is_leaf in self.true],
            "nodes_falsenodeids": [index for index, _ in self.false],
            "nodes_falseleafs": [is_leaf for _, is_leaf in self.false],
            "leaf_targetids": self.leaf_targets,
            "leaf_weights": _tensor(np.array(self.leaf_weights)),
        }
        if self.members:
            attributes["membership_values"] = _tensor(np.array(self.members))
        return x.apply("TreeEnsemble", domain=ML_DOMAIN, **attributes)


def _tensor(array: NDArray[Any]) -> Any:
    return numpy_helper.from_array(array, "")
