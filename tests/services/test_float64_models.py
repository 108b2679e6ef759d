"""A model may take float64: numbers that float32 merges reach it unchanged."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from contracts.errors import CorruptModel
from contracts.names import MODEL_INPUT, MODEL_OUTPUT
from contracts.schema import Schema, integer
from services.inference.cache import keys_of
from services.inference.decode import Decoder
from services.onnx_session import Session
from training.onnx_session import OnnxSession

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
SCHEMA = Schema(features=(integer("cents"),))
MERGED = (2**24, 2**24 + 1)
"""Two integers that are one number in float32."""


def first_feature(kind: int) -> bytes:
    """A model whose score is what exceeds 2^24 in its only feature."""
    nodes = [
        helper.make_node("Sub", [MODEL_INPUT, "origin"], ["rest"]),
        helper.make_node("Cast", ["rest"], [MODEL_OUTPUT], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes,
        "rest",
        [helper.make_tensor_value_info(MODEL_INPUT, kind, [None, 1])],
        [helper.make_tensor_value_info(MODEL_OUTPUT, TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor("origin", kind, [1], [2.0**24])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("kind", "dtype", "scores"),
    [(TensorProto.FLOAT, FLOAT32, [0.0, 0.0]), (TensorProto.DOUBLE, FLOAT64, [0.0, 1.0])],
    ids=["float32", "float64"],
)
def test_the_graph_says_which_numbers_it_takes(
    kind: int, dtype: np.dtype, scores: list[float]
) -> None:
    session = Session(first_feature(kind), "here")
    decoder = Decoder(SCHEMA, session.dtype)
    body = b'{"rows":[{"cents":%d},{"cents":%d}]}' % MERGED
    together = decoder.fast_rows(body, 10)
    alone = [decoder.one(b'{"cents":%d}' % value) for value in MERGED]

    assert session.dtype == dtype == OnnxSession(first_feature(kind)).dtype
    assert together is not None
    assert session.run(np.asarray(together.numbers)).ravel().tolist() == scores
    one_by_one = [session.run(np.asarray(rows.numbers, dtype=dtype)).item() for rows in alone]
    assert one_by_one == scores
    assert np.array_equal(SCHEMA.matrix([{"cents": v} for v in MERGED], dtype), together.numbers)


def test_rows_share_a_cached_score_only_if_the_model_cannot_tell_them_apart() -> None:
    rows = [Decoder(SCHEMA).one(b'{"cents":%d}' % value) for value in MERGED]

    assert keys_of(b"v", rows[0], FLOAT32) == keys_of(b"v", rows[1], FLOAT32)
    assert keys_of(b"v", rows[0], FLOAT64) != keys_of(b"v", rows[1], FLOAT64)


def test_a_graph_that_takes_anything_else_is_refused() -> None:
    graph = helper.make_graph(
        [helper.make_node("Cast", [MODEL_INPUT], [MODEL_OUTPUT], to=TensorProto.FLOAT)],
        "words",
        [helper.make_tensor_value_info(MODEL_INPUT, TensorProto.INT64, [None, 1])],
        [helper.make_tensor_value_info(MODEL_OUTPUT, TensorProto.FLOAT, [None, 1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    with pytest.raises(CorruptModel, match=r"tensor\(float\) or tensor\(double\).*int64"):
        Session(model.SerializeToString(), "here")
