"""A graph whose time depends on a feature is scored where it can be ended."""

import hashlib
import shutil
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
from onnx import TensorProto, helper

from contracts.names import Layout
from services.faults import ModelUnavailable
from services.inference.loader import ServedModel, load_model
from services.inference.model_source import ModelSource
from services.inference.rows import model_input
from services.scoring_process.process import ScoringLimits
from tests.services import broken
from tests.services.http_client import changed

pytestmark = pytest.mark.slow
ENDLESS_AGE = 88
LIMITS = ScoringLimits(deadline_s=4.0)


def looping(directory: Path) -> None:
    """A loop that changes nothing, and takes centuries for one age."""
    tensor = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["goes"]),
            helper.make_node("Identity", ["x"], ["same"]),
        ],
        "body",
        [
            tensor("i", TensorProto.INT64, []),
            tensor("go", TensorProto.BOOL, []),
            tensor("x", TensorProto.FLOAT, None),
        ],
        [tensor("goes", TensorProto.BOOL, []), tensor("same", TensorProto.FLOAT, None)],
    )
    nodes = [
        helper.make_node("Equal", ["features", "age"], ["is_age"]),
        helper.make_node("Cast", ["is_age"], ["found"], to=TensorProto.INT64),
        helper.make_node("ReduceMax", ["found"], ["any"], keepdims=0),
        helper.make_node("Mul", ["any", "many"], ["more"]),
        helper.make_node("Add", ["more", "few"], ["times"]),
        helper.make_node("Loop", ["times", "", "right"], ["scores"], body=body),
    ]
    constants = {
        "age": np.float32(ENDLESS_AGE),
        "many": np.int64(broken.ENDLESS),
        "few": np.int64(3),
    }
    broken.add(directory, nodes, constants)


@pytest.fixture(scope="module")
def plain(models: Path) -> ServedModel:
    source = ModelSource(Layout(models))
    pointer = next(p for p in source.pointers() if p.name == "tiny")
    return load_model(source.directory(pointer), pointer)


def test_a_graph_that_may_not_return_answers_the_same_and_is_ended_if_it_does_not(
    models: Path, plain: ServedModel, tmp_path: Path
) -> None:
    directory = tmp_path / "model"
    shutil.copytree(ModelSource(Layout(models)).directory(plain.pointer), directory)
    looping(directory)
    digest = broken.seal(directory)
    pointer = msgspec.structs.replace(plain.pointer, digest=digest)
    served = load_model(directory, pointer, LIMITS)
    rows, endless = (plain.decoder.one(changed(age=age)) for age in (40, ENDLESS_AGE))
    good = model_input([rows], plain.session.dtype)
    try:
        assert served.pool is not None
        assert served.inline_rows == 0
        np.testing.assert_array_equal(served.session.run(good), plain.session.run(good))
        began = time.monotonic()
        with pytest.raises(ModelUnavailable, match="within the deadline"):
            served.session.run(model_input([endless], plain.session.dtype))
        assert time.monotonic() - began < 60
        np.testing.assert_array_equal(served.session.run(good), plain.session.run(good))
    finally:
        served.session.close()

    assert hashlib.sha256((directory / "manifest.json").read_bytes()).hexdigest() == digest
