"""External data in a graph is found, wherever the reference is hidden."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from contracts.errors import CorruptModel
from services.inference.external_data_check import external_file
from tests.services.broken import point_outside

PLACE = Path("model.onnx")
WORDS = st.text("location/.", max_size=12)


def tensor(outside: str | None) -> Any:
    made = numpy_helper.from_array(np.arange(3, dtype=np.float32), "weights")
    if outside is not None:
        point_outside(made, outside)
    return made


def graph(nodes: list[Any], **options: Any) -> Any:
    return helper.make_graph(nodes, "graph", [], [], **options)


def node(**attributes: Any) -> Any:
    return helper.make_node("Constant", [], ["c"], **attributes)


def sparse(values: Any) -> Any:
    return helper.make_sparse_tensor(values, numpy_helper.from_array(np.arange(3)), [3])


def function(made: Any) -> Any:
    opset = [helper.make_opsetid("", 18)]
    found = helper.make_function("ours", "f", [], ["c"], [node(value=made)], opset)
    return helper.make_model(graph([]), functions=[found])


HIDEOUTS = {
    "initializer": lambda t: helper.make_model(graph([], initializer=[t])),
    "sparse": lambda t: helper.make_model(graph([], sparse_initializer=[sparse(t)])),
    "attribute": lambda t: helper.make_model(graph([node(value=t)])),
    "attributes": lambda t: helper.make_model(graph([node(values=[tensor(None), t])])),
    "inner graph": lambda t: helper.make_model(graph([node(body=graph([], initializer=[t]))])),
    "inner graphs": lambda t: helper.make_model(graph([node(bodies=[graph([node(v=t)])])])),
    "sparse attribute": lambda t: helper.make_model(graph([node(value=sparse(t))])),
    "function": function,
}


@pytest.mark.parametrize("hideout", HIDEOUTS)
@given(location=WORDS, note=WORDS)
def test_a_tensor_outside_is_found_wherever_it_is(hideout: str, location: str, note: str) -> None:
    for outside in (location, None):
        model = HIDEOUTS[hideout](tensor(outside))
        model.doc_string = f"location {note}"
        onnx.helper.set_model_props(model, {"location": note})

        assert external_file(model.SerializeToString(), PLACE) == outside


@given(st.binary(), st.binary())
def test_bytes_that_are_no_graph_are_refused_or_hold_all_of_themselves(
    before: bytes, after: bytes
) -> None:
    with contextlib.suppress(CorruptModel):
        found = external_file(before + b"location" + after, PLACE)

        assert found is None or isinstance(found, str)
