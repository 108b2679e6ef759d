"""A graph in the making, and the values that flow through it.

`GraphTensor` is a float64 matrix `(n_rows, n_columns)` of the graph. Arithmetic with NumPy arrays
and numbers adds nodes: `(x - scaler.mean_) / scaler.scale_` reads as in scikit-learn.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

ML_DOMAIN = "ai.onnx.ml"
OPSETS = {"": 18, ML_DOMAIN: 5}
"""Operator sets; `TreeEnsemble` in float64 came with `ai.onnx.ml` 5."""
IR_VERSION = 9


class Graph:
    """Collects the nodes and constants of one graph."""

    def __init__(self, input_name: str) -> None:
        self._input_name = input_name
        self._nodes: list[Any] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._tensors: list[Any] = []
        self.input = GraphTensor(self, input_name)

    def constant(self, array: Any) -> str:
        """The name of a constant; equal constants are stored once."""
        stored = np.ascontiguousarray(array)
        key = (stored.dtype.str, stored.shape, stored.tobytes())
        if key not in self._constants:
            name = f"c{len(self._constants)}"
            self._constants[key] = name
            self._tensors.append(numpy_helper.from_array(stored, name))
        return self._constants[key]

    def node(self, kind: str, *inputs: str, domain: str = "", outputs: int = 1, **how: Any) -> str:
        """Add a node; returns the name of its first output (the others end in `_1`, ...)."""
        name = f"n{len(self._nodes)}"
        names = [name, *(f"{name}_{index}" for index in range(1, outputs))]
        self._nodes.append(helper.make_node(kind, [*inputs], names, domain=domain, **how))
        return name

    def model(
        self, output: "GraphTensor", output_name: str, n_features: int, n_outputs: int | None
    ) -> bytes:
        """The graph as an ONNX file: float64 `(n_rows, n_features)` in, float32 scores out.

        The number of outputs may be left open.
        """
        name = output.name
        if n_outputs is not None:
            shape = self.constant(np.array([-1, n_outputs], dtype=np.int64))
            name = self.node("Reshape", name, shape)
        self._nodes.append(helper.make_node("Cast", [name], [output_name], to=TensorProto.FLOAT))
        describe = helper.make_tensor_value_info
        graph = helper.make_graph(
            self._nodes,
            "slipway",
            [describe(self._input_name, TensorProto.DOUBLE, [None, n_features])],
            [describe(output_name, TensorProto.FLOAT, [None, n_outputs])],
            self._tensors,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid(*each) for each in OPSETS.items()],
            ir_version=IR_VERSION,
            producer_name="slipway",
        )
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())


class GraphTensor:
    """A matrix of the graph: float64, or the booleans of a comparison."""

    __array_ufunc__ = None
    """NumPy leaves `array - value` to `GraphTensor.__rsub__`."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph = graph
        self.name = name

    def apply(self, kind: str, *operands: Any, **how: Any) -> "GraphTensor":
        """The result of an operator on this value and further operands."""
        names = [self._name_of(operand) for operand in operands]
        return GraphTensor(self.graph, self.graph.node(kind, self.name, *names, **how))

    def _name_of(self, operand: Any) -> str:
        if isinstance(operand, GraphTensor):
            return operand.name
        array = np.asarray(operand)
        is_index = array.dtype.kind == "i" and array.ndim > 0
        return self.graph.constant(array if is_index else array.astype(np.float64))

    def _swapped(self, kind: str, left: Any) -> "GraphTensor":
        return GraphTensor(self.graph, self.graph.node(kind, self._name_of(left), self.name))

    def __add__(self, other: Any) -> "GraphTensor":
        return self.apply("Add", _number(other))

    def __radd__(self, other: Any) -> "GraphTensor":
        return self.apply("Add", _number(other))

    def __sub__(self, other: Any) -> "GraphTensor":
        return self.apply("Sub", _number(other))

    def __rsub__(self, other: Any) -> "GraphTensor":
        return self._swapped("Sub", _number(other))

    def __mul__(self, other: Any) -> "GraphTensor":
        return self.apply("Mul", _number(other))

    def __rmul__(self, other: Any) -> "GraphTensor":
        return self.apply("Mul", _number(other))

    def __truediv__(self, other: Any) -> "GraphTensor":
        return self.apply("Div", _number(other))

    def __rtruediv__(self, other: Any) -> "GraphTensor":
        return self._swapped("Div", _number(other))

    def __pow__(self, other: Any) -> "GraphTensor":
        return self.apply("Pow", _number(other))

    def __neg__(self) -> "GraphTensor":
        return self.apply("Neg")

    def __matmul__(self, other: Any) -> "GraphTensor":
        return self.apply("MatMul", _number(other))

    def __le__(self, other: Any) -> "GraphTensor":
        return self.apply("LessOrEqual", _number(other))

    def __lt__(self, other: Any) -> "GraphTensor":
        return self.apply("Less", _number(other))

    def __ge__(self, other: Any) -> "GraphTensor":
        return self.apply("GreaterOrEqual", _number(other))

    def __gt__(self, other: Any) -> "GraphTensor":
        return self.apply("Greater", _number(other))

    def equals(self, other: Any) -> "GraphTensor":
        """Where it equals another matrix; NaN equals nothing."""
        return self.apply("Equal", _number(other))

    def take(self, columns: Sequence[int] | NDArray[Any]) -> "GraphTensor":
        """Some of the columns, in the given order."""
        return self.apply("Gather", np.asarray(columns, dtype=np.int64), axis=1)

    def numbers(self) -> "GraphTensor":
        """Booleans or integers as float64."""
        return self.apply("Cast", to=TensorProto.DOUBLE)

    def rounded(self) -> "GraphTensor":
        """The nearest float32 of each number, as float64."""
        return self.apply("Cast", to=TensorProto.FLOAT).numbers()

    def sum(self, *, keepdims: bool = True) -> "GraphTensor":
        """The sum over the second axis: of each row, shape `(n_rows, 1)`.

        For a value of three axes without `keepdims`, the shape is `(n_rows, n_columns)`.
        """
        return self.apply("ReduceSum", np.array([1], dtype=np.int64), keepdims=int(keepdims))

    def maximum(self) -> "GraphTensor":
        """The maximum of each row, shape `(n_rows, 1)`."""
        return self.apply("ReduceMax", np.array([1], dtype=np.int64), keepdims=1)

    def at_least(self, bound: Any) -> "GraphTensor":
        """The larger of each number and the bound."""
        return self.apply("Max", _number(bound))

    def at_most(self, bound: Any) -> "GraphTensor":
        """The smaller of each number and the bound."""
        return self.apply("Min", _number(bound))

    def clip(self, low: Any, high: Any) -> "GraphTensor":
        """Each number within the bounds."""
        return self.at_least(low).at_most(high)

    def where(self, yes: Any, no: Any) -> "GraphTensor":
        """For booleans: the numbers of `yes` where true, of `no` where false."""
        return self.apply("Where", _number(yes), _number(no))

    def one_hot_of_maximum(self, width: int) -> "GraphTensor":
        """1.0 at the first maximum of each row and 0.0 elsewhere, `(n_rows, width)`."""
        places = np.arange(width, dtype=np.float64)
        return self.apply("ArgMax", axis=1, keepdims=1).numbers().equals(places).numbers()

    def softmax(self) -> "GraphTensor":
        """The softmax of each row."""
        exponentials = (self - self.maximum()).apply("Exp")
        return exponentials / exponentials.sum()

    def two_classes(self) -> "GraphTensor":
        """Probabilities of both classes, from a column with that of the second."""
        return concat([1.0 - self, self])


def concat(values: Sequence[GraphTensor]) -> GraphTensor:
    """The columns of several matrices side by side."""
    if len(values) == 1:
        return values[0]
    return values[0].apply("Concat", *values[1:], axis=1)


def _number(operand: Any) -> Any:
    """An operand of arithmetic: a value, or a float64 constant."""
    return operand if isinstance(operand, GraphTensor) else np.asarray(operand, dtype=np.float64)
