"""A served graph as a program for one row, in statements that C and JavaScript both read.

A loop over an array, arithmetic and a comparison are spelt alike in both languages; they differ in
how arrays are declared, which `c_source` and `javascript` add. A graph whose operators are not in
`STATEMENTS` has no such program.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from contracts.names import MODEL_INPUT, MODEL_OUTPUT

CellKind = Literal["f32", "f64", "i32", "i16", "u16", "u8"]
"""The type of an array's elements."""
CELL_KINDS: Mapping[int, CellKind] = {
    TensorProto.FLOAT: "f32",
    TensorProto.DOUBLE: "f64",
    TensorProto.INT32: "i32",
    TensorProto.INT64: "i32",
    TensorProto.BOOL: "u8",
}
CELL_DTYPES: Mapping[CellKind, type] = {
    "f32": np.float32,
    "f64": np.float64,
    "i32": np.int32,
    "i16": np.int16,
    "u16": np.uint16,
    "u8": np.uint8,
}
MAX_RESULT_CELLS = 100_000
"""Elements of one row's intermediate result; more is no model for a small device."""


class Unportable(Exception):
    """A graph, or an operator in it, that has no program; the text names it."""


@dataclass(frozen=True)
class Cells:
    """An array of the program: a constant, or an intermediate result of one row."""

    name: str
    shape: tuple[int, ...]
    kind: CellKind

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    def at(self, index: str = "i") -> str:
        """The element that takes part at an index of a longer array."""
        return f"{self.name}[{index if self.size > 1 else 0}]"


@dataclass(frozen=True)
class Step:
    """A node of the graph with its operands: arrays of the program, or known NumPy arrays."""

    operator: str
    operands: Sequence[Cells | NDArray[Any] | None]
    attributes: Mapping[str, Any]
    result_index: int

    def known(self, index: int) -> NDArray[Any]:
        """The constant at an operand; raises `Unportable` if it is computed."""
        operand = self.operands[index] if index < len(self.operands) else None
        if not isinstance(operand, np.ndarray):
            raise Unportable(f"{self.operator} with an operand {index} that is computed")
        return operand


@dataclass
class Program:
    """The statements of one row: from the array `features` to the array `scores`.

    Statements use the integers `i`, `j`, `k` and the number `s`.
    """

    constants: list[tuple[Cells, NDArray[Any]]] = field(default_factory=list)
    results: list[Cells] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    features: Cells = field(default_factory=lambda: Cells("features", (1, 1), "f32"))
    scores: Cells = field(default_factory=lambda: Cells("scores", (1, 1), "f32"))
    _known: dict[tuple[CellKind, tuple[int, ...], bytes], Cells] = field(default_factory=dict)

    def constant(self, values: Any, kind: CellKind | None = None) -> Cells:
        """A constant; equal ones are stored once. Without a kind, integers are stored narrowly."""
        array = np.asarray(values)
        kind = kind or _kind_of(array)
        stored: NDArray[Any] = np.ascontiguousarray(array, dtype=CELL_DTYPES[kind])
        key = (kind, array.shape, stored.tobytes())
        if key not in self._known:
            cells = Cells(f"c{len(self.constants)}", array.shape, kind)
            self.constants.append((cells, stored))
            self._known[key] = cells
        return self._known[key]

    def result(self, shape: Sequence[int], kind: CellKind) -> Cells:
        """A new intermediate result."""
        if prod(shape) > MAX_RESULT_CELLS:
            raise Unportable(f"an intermediate result of {prod(shape)} numbers per row")
        cells = Cells(f"t{len(self.results)}", tuple(shape), kind)
        self.results.append(cells)
        return cells

    def operand(self, step: Step, index: int) -> Cells:
        """An operand as an array of the program."""
        operand = step.operands[index] if index < len(step.operands) else None
        if operand is None:
            raise Unportable(f"{step.operator} without its operand {index}")
        return operand if isinstance(operand, Cells) else self.constant(operand)

    def add(self, *lines: str) -> None:
        """Add statements."""
        self.statements += lines

    def loop(self, size: int, body: str) -> None:
        """Add a statement for each `i` below `size`."""
        self.add(f"for (i = 0; i < {size}; i++) {{ {body} }}")

    def n_bytes(self) -> int:
        """The bytes of the constants: what the model takes in flash memory."""
        return sum(array.nbytes for _, array in self.constants)


Emit = Callable[[Program, Step], Cells]
"""Adds the statements of a node; returns its result. Raises `Unportable`."""


def program_of(model: bytes, operators: Mapping[str, Emit]) -> Program:
    """The program of a served graph.

    Raises:
        Unportable: it has an operator that is not in `operators`, or a use of one.

    """
    graph = onnx.load_from_string(model).graph
    values: dict[str, Cells | NDArray[Any] | None] = {"": None}
    values |= {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    program = Program(features=_described(graph.input[0], "features"))
    values[MODEL_INPUT] = program.features
    for node in _needed(graph):
        values[node.name_of_result] = _emitted(program, node, values, operators)
    found = values[MODEL_OUTPUT]
    if not isinstance(found, Cells):
        raise Unportable("scores that are constant")
    program.scores = Cells("scores", (1, found.size), "f32")
    program.loop(found.size, f"scores[i] = {found.name}[i];")
    return program


@dataclass(frozen=True)
class _Needed:
    """A node of the graph whose result is used; `index` is that of the result among its own."""

    node: Any
    index: int

    @property
    def name_of_result(self) -> str:
        name: str = self.node.output[self.index]
        return name


def _needed(graph: Any) -> list[_Needed]:
    """The nodes that the scores depend on, in order."""
    wanted = {MODEL_OUTPUT}
    found: list[_Needed] = []
    for node in reversed(graph.node):
        used = [i for i, name in enumerate(node.output) if name in wanted]
        if len(used) > 1:
            raise Unportable(f"{node.op_type} with several results")
        if used:
            wanted |= set(node.input)
            found.append(_Needed(node, used[0]))
    return found[::-1]


def _emitted(
    program: Program,
    needed: _Needed,
    values: Mapping[str, Cells | NDArray[Any] | None],
    operators: Mapping[str, Emit],
) -> Cells | NDArray[Any]:
    node = needed.node
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type == "Constant":
        return np.asarray(numpy_helper.to_array(attributes["value"]))
    if node.op_type not in operators:
        raise Unportable(f"the operator {node.op_type}")
    operands = [values[name] for name in node.input]
    return operators[node.op_type](program, Step(node.op_type, operands, attributes, needed.index))


def _described(value: Any, name: str) -> Cells:
    tensor = value.type.tensor_type
    return Cells(name, (1, tensor.shape.dim[1].dim_value), CELL_KINDS[tensor.elem_type])


def _kind_of(array: NDArray[Any]) -> CellKind:
    if array.dtype == np.float64:
        return "f64"
    if array.dtype.kind == "f":
        return "f32"
    if array.dtype.kind == "b":
        return "u8"
    if array.dtype.kind not in "iu":
        raise Unportable(f"constants of {array.dtype}")
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    narrow: tuple[CellKind, ...] = ("u8", "u16", "i16", "i32")
    for kind in narrow:
        limits = np.iinfo(CELL_DTYPES[kind])
        if limits.min <= low and high <= limits.max:
            return kind
    raise Unportable(f"an integer of {high}")
