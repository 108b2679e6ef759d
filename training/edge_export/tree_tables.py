"""Trees as tables: one small loop walks every tree, so code stays small however many there are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper

from training.edge_export.program import Cells, Emit, Program, Step, Unportable

TreeColumn = NDArray[Any]
_LEQ, _LT = 0, 1
BOTH_CLASSES = 2


@dataclass(frozen=True)
class Trees:
    """Trees of any operator. Node i asks `x[feature[i]] <= threshold[i]`.

    `yes` and `no` are the next nodes, or `-1 - leaf`. `nan_yes` says where NaN goes. Leaf l adds
    `weights[first[l]:first[l + 1]]` to the targets at the same places.
    """

    roots: TreeColumn
    feature: TreeColumn
    threshold: TreeColumn
    yes: TreeColumn
    no: TreeColumn
    nan_yes: TreeColumn
    first: TreeColumn
    targets: TreeColumn
    weights: TreeColumn


def _tree_ensemble(program: Program, step: Step) -> Cells:
    """`TreeEnsemble` of ai.onnx.ml 5: a sum of leaves per target."""
    own = step.attributes
    if own.get("aggregate_function", 1) != 1 or own.get("post_transform", 0) != 0:
        raise Unportable("TreeEnsemble that does not add up leaves")
    if "membership_values" in own:
        raise Unportable("TreeEnsemble with sets of categories")
    splits = numpy_helper.to_array(own["nodes_splits"])
    weights = numpy_helper.to_array(own["leaf_weights"])
    modes = numpy_helper.to_array(own["nodes_modes"])
    n_nodes = len(splits)
    nodes = {
        side: np.where(
            np.array(own[f"nodes_{side}leafs"]) == 1,
            -1 - np.array(own[f"nodes_{side}nodeids"]),
            own[f"nodes_{side}nodeids"],
        )
        for side in ("true", "false")
    }
    trees = Trees(
        roots=np.array(own["tree_roots"]),
        feature=np.array(own["nodes_featureids"]),
        threshold=_inclusive(splits, modes),
        yes=nodes["true"],
        no=nodes["false"],
        nan_yes=np.array(own.get("nodes_missing_value_tracks_true", [0] * n_nodes)),
        first=np.arange(len(weights) + 1),
        targets=np.array(own["leaf_targetids"]),
        weights=weights,
    )
    return _summed(program, program.operand(step, 0), trees, int(own["n_targets"]), None)


def _tree_scores(program: Program, step: Step) -> Cells:
    """The scores of `TreeEnsembleClassifier` and the values of `TreeEnsembleRegressor`."""
    own = step.attributes
    is_classifier = step.operator == "TreeEnsembleClassifier"
    if own.get("aggregate_function", b"SUM") != b"SUM":
        raise Unportable(f"{step.operator} that does not add up leaves")
    if is_classifier and step.result_index != 1:
        raise Unportable("the label of TreeEnsembleClassifier")
    prefix = "class" if is_classifier else "target"
    trees = _by_number(own, prefix)
    labels = own.get("classlabels_strings") or own.get("classlabels_int64s") or ()
    n_targets = len(labels) if is_classifier else int(own["n_targets"])
    is_one = is_classifier and n_targets == BOTH_CLASSES and len(set(own["class_ids"])) == 1
    base = own.get("base_values")
    x = program.operand(step, 0)
    if not is_one:
        scores = _summed(program, x, trees, n_targets, base)
        return transformed(program, scores, own.get("post_transform", b"NONE"))
    trees = Trees(**{**vars(trees), "targets": np.zeros_like(trees.targets)})
    scores = _summed(program, x, trees, 1, base)
    return _both_classes(program, scores, own, is_share=bool((trees.weights >= 0).all()))


def _both_classes(
    program: Program, second: Cells, own: Mapping[str, Any], *, is_share: bool
) -> Cells:
    """Both scores from the second one, as ONNX Runtime does it for two classes."""
    result = program.result((1, BOTH_CLASSES), "f32")
    transform = own.get("post_transform", b"NONE")
    value = f"{second.name}[0]"
    if transform == b"LOGISTIC":
        pair = f"1 / (1 + EXP({value}))", f"1 / (1 + EXP(-{value}))"
    elif transform == b"NONE":
        pair = (f"1 - {value}" if is_share else f"-{value}"), value
    else:
        raise Unportable(f"TreeEnsembleClassifier with {transform.decode()} for two classes")
    program.add(f"{result.name}[0] = {pair[0]};", f"{result.name}[1] = {pair[1]};")
    return result


def transformed(program: Program, scores: Cells, transform: bytes) -> Cells:
    """Scores after the `post_transform` of an operator."""
    if transform == b"NONE":
        return scores
    result = program.result(scores.shape, scores.kind)
    out, value, size = result.name, f"{scores.name}[i]", scores.size
    if transform == b"LOGISTIC":
        program.loop(size, f"{out}[i] = 1 / (1 + EXP(-{value}));")
    elif transform == b"SOFTMAX":
        program.add(f"s = {scores.name}[0];")
        program.loop(size, f"if ({value} > s) s = {value};")
        program.loop(size, f"{out}[i] = EXP({value} - s);")
        program.add("s = 0;")
        program.loop(size, f"s += {out}[i];")
        program.loop(size, f"{out}[i] = {out}[i] / s;")
    else:
        raise Unportable(f"the transform {transform.decode()}")
    return result


def _summed(
    program: Program, x: Cells, trees: Trees, n_targets: int, base: Sequence[float] | None
) -> Cells:
    """The sum of leaves per target, added up in double precision."""
    sums = program.result((1, n_targets), "f64")
    start = program.constant(np.broadcast_to(np.array(base or 0.0), n_targets).astype(np.float64))
    program.loop(n_targets, f"{sums.name}[i] = {start.name}[i];")
    names = {
        name: program.constant(getattr(trees, name)).name
        for name in ("roots", "feature", "threshold", "yes", "no", "weights")
    }
    side = f"s <= {names['threshold']}[j]"
    if trees.nan_yes.any():
        side = f"(s != s ? {program.constant(trees.nan_yes).name}[j] : {side})"
    walk = (
        f"j = {names['roots']}[i]; while (j >= 0) {{ s = {x.name}[{names['feature']}[j]]; "
        f"j = {side} ? {names['yes']}[j] : {names['no']}[j]; }} j = -1 - j; "
    )
    leaf = f"{names['weights']}[j]"
    is_single = bool((np.diff(trees.first) == 1).all())
    if is_single and n_targets == 1:
        add = f"{sums.name}[0] += {leaf};"
    elif is_single:
        add = f"{sums.name}[{program.constant(trees.targets).name}[j]] += {leaf};"
    else:
        first = program.constant(trees.first).name
        add = (
            f"for (k = {first}[j]; k < {first}[j + 1]; k++) "
            f"{sums.name}[{program.constant(trees.targets).name}[k]] += {names['weights']}[k];"
        )
    program.loop(len(trees.roots), walk + add)
    return sums


def _by_number(own: Mapping[str, Any], prefix: str) -> Trees:
    """Trees whose nodes are numbered within their tree, as the older operators have them."""
    tree_ids, node_ids = np.array(own["nodes_treeids"]), np.array(own["nodes_nodeids"])
    modes = np.array(own["nodes_modes"])
    inner = modes != b"LEAF"
    place = {
        pair: i for i, pair in enumerate(zip(tree_ids.tolist(), node_ids.tolist(), strict=True))
    }
    # Inner nodes are numbered in order, and leaves in theirs.
    number = np.where(inner, np.cumsum(inner) - 1, -np.cumsum(~inner))
    thresholds = np.array(own["nodes_values"], dtype=np.float32)

    def following(side: str) -> TreeColumn:
        ids = np.array(own[f"nodes_{side}nodeids"])
        pairs = zip(tree_ids[inner].tolist(), ids[inner].tolist(), strict=True)
        return number[[place[pair] for pair in pairs]]

    _, roots = np.unique(tree_ids, return_index=True)
    first, targets, weights = _leaves(own, prefix, place, number)
    kinds = np.array([{b"BRANCH_LEQ": _LEQ, b"BRANCH_LT": _LT}.get(m, -1) for m in modes[inner]])
    return Trees(
        roots=number[roots],
        feature=np.array(own["nodes_featureids"])[inner],
        threshold=_inclusive(thresholds[inner], kinds),
        yes=following("true"),
        no=following("false"),
        nan_yes=np.array(own.get("nodes_missing_value_tracks_true", [0] * len(modes)))[inner],
        first=first,
        targets=targets,
        weights=weights,
    )


def _leaves(
    own: Mapping[str, Any], prefix: str, place: Mapping[tuple[int, int], int], number: TreeColumn
) -> tuple[TreeColumn, TreeColumn, TreeColumn]:
    """For each leaf, where its targets and weights begin; then these."""
    pairs = zip(own[f"{prefix}_treeids"], own[f"{prefix}_nodeids"], strict=True)
    leaves = -1 - number[[place[pair] for pair in pairs]]
    order = np.argsort(leaves, kind="stable")
    n_leaves = int(-number.min())
    first = np.searchsorted(leaves[order], np.arange(n_leaves + 1))
    targets = np.array(own[f"{prefix}_ids"])[order]
    weights = np.array(own[f"{prefix}_weights"], dtype=np.float32)[order]
    return first, targets, weights


def _inclusive(thresholds: TreeColumn, modes: TreeColumn) -> TreeColumn:
    """Thresholds t such that `x <= t` asks what the node asks; `x < t` is `x <=` the number below.

    Raises:
        Unportable: a node asks anything else.

    """
    if not np.isin(modes, (_LEQ, _LT)).all():
        raise Unportable("trees that ask anything but <= and <")
    below = np.nextafter(thresholds, thresholds.dtype.type(-np.inf))
    return np.where(modes == _LT, below, thresholds)


TREE_OPERATORS: Mapping[str, Emit] = {
    "TreeEnsemble": _tree_ensemble,
    "TreeEnsembleClassifier": _tree_scores,
    "TreeEnsembleRegressor": _tree_scores,
}
