"""Which graphs a worker runs itself: those whose time cannot depend on what is in a row."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

from services.inference.light_graph import reason_not_light
from tests import tiny
from training.dataset import load_table, split
from training.export import onnx_of
from training.pipeline import fitted_pipeline

X = helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 2])
Y = helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)


def graph(nodes: list[Any], **constants: Any) -> bytes:
    tensors = [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()]
    return bytes(
        helper.make_model(helper.make_graph(nodes, "g", [X], [Y], tensors)).SerializeToString()
    )


@pytest.mark.parametrize(
    "estimator",
    [
        tiny.linear,
        lambda: RandomForestClassifier(n_estimators=3),
        lambda: HistGradientBoostingClassifier(max_iter=3),
        lambda: KNeighborsClassifier(3),
        lambda: MLPClassifier(max_iter=5),
        lambda: SVC(probability=True),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_training_exports_is_light(estimator: Callable[[], Any]) -> None:
    whole: dict[str, Any] = (
        {} if estimator is tiny.linear else {"schema": tiny.WHOLE, "load": tiny.whole_people}
    )
    recipe = tiny.binary(estimator=estimator, **whole)
    rows = split(recipe, load_table(recipe), 0)
    model = onnx_of(fitted_pipeline(recipe, rows.train, rows.train_target, 0), recipe)

    assert reason_not_light(model) == ""


def test_a_loop_is_not_light_wherever_it_is() -> None:
    body = helper.make_graph([], "body", [], [])
    loop = helper.make_node("Loop", ["n", ""], ["scores"], body=body)
    branch = helper.make_node("If", ["n"], ["scores"], then_branch=body, else_branch=body)

    assert "Loop has a graph of its own" in reason_not_light(graph([loop], n=np.int64(3)))
    assert "If has a graph of its own" in reason_not_light(graph([branch], n=np.bool_(1)))


def test_a_scan_is_as_light_as_what_it_runs() -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    reasons = []
    for operator in ("Abs", "Teleport"):
        body = helper.make_graph([helper.make_node(operator, ["x"], ["y"])], "body", [x], [y])
        scan = helper.make_node("Scan", ["features"], ["scores"], body=body, num_scan_inputs=1)
        reasons.append(reason_not_light(graph([scan])))

    assert reasons == ["", "the operator Teleport is not known"]


def test_an_unknown_operator_and_a_function_are_not_light() -> None:
    assert "Teleport is not known" in reason_not_light(
        graph([helper.make_node("Teleport", ["features"], ["scores"])])
    )
    model = onnx.load_from_string(graph([helper.make_node("Abs", ["features"], ["scores"])]))
    model.functions.append(
        helper.make_function("own", "F", [], [], [], [helper.make_opsetid("", 18)])
    )
    assert reason_not_light(bytes(model.SerializeToString())) == "it defines functions"


def test_a_size_that_comes_from_a_feature_is_not_light() -> None:
    """A row of one large number would ask for gigabytes."""
    from_feature = [
        helper.make_node("ReduceMax", ["features"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["size"], to=TensorProto.INT64),
        helper.make_node("Unsqueeze", ["size", "axis"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["scores"]),
    ]
    from_shape = [
        helper.make_node("Shape", ["features"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("Add", ["features", "zeros"], ["scores"]),
    ]

    assert "depends on features" in reason_not_light(graph(from_feature, axis=np.array([0])))
    assert reason_not_light(graph(from_shape)) == ""
