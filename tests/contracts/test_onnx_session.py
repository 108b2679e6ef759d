"""A model is opened in training as it is in the service, so the gate measures what is served."""

from typing import Any

import pytest
from onnx import TensorProto, checker, helper

from contracts.names import MODEL_INPUT, MODEL_OUTPUT
from contracts.onnx_session import PROVIDERS, SESSION_OPTIONS
from services.onnx_session import Session
from training.onnx_session import OnnxSession


def identity() -> bytes:
    """The smallest model: its scores are its features."""
    value = (TensorProto.FLOAT, [None, 2])
    graph = helper.make_graph(
        [helper.make_node("Identity", [MODEL_INPUT], [MODEL_OUTPUT])],
        "identity",
        [helper.make_tensor_value_info(MODEL_INPUT, *value)],
        [helper.make_tensor_value_info(MODEL_OUTPUT, *value)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    checker.check_model(model)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    "opened", [lambda m: Session(m, "here"), OnnxSession], ids=["service", "training"]
)
def test_every_session_has_the_shared_options(opened: Any) -> None:
    runtime = opened(identity())._session
    options = runtime.get_session_options()

    assert options.intra_op_num_threads == SESSION_OPTIONS.intra_op_num_threads == 1
    assert options.inter_op_num_threads == SESSION_OPTIONS.inter_op_num_threads == 1
    assert options.log_severity_level == SESSION_OPTIONS.log_severity_level
    for key, value in SESSION_OPTIONS.config_entries:
        assert options.get_session_config_entry(key) == value
    assert tuple(runtime.get_providers()) == PROVIDERS
