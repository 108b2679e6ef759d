"""Whether a worker may run an ONNX graph in its event loop: only if its time cannot run away.

The time of a *light* graph depends on the number of rows, not on what is in them: it has no loop
and no branch, only operators of the list below, and no tensor whose size comes from a feature. A
`Scan`, which runs a light graph once per row of a matrix, is light. Then the time measured at
warm-up says how long the next batch takes. All other graphs run in scoring processes, which can be
ended.

The graph is a protocol buffer; only the fields that are needed here are read (onnx.proto).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from services.inference.external_data_check import fields_of

OPERATORS = frozenset(
    """
    Abs Acos Acosh Add And ArgMax ArgMin ArrayFeatureExtractor Asin Asinh Atan Atanh Binarizer
    BitShift CDist Cast CastMap CategoryMapper Ceil Clip Compress Concat Constant ConstantOfShape
    Cos Cosh CumSum Div Einsum Elu Equal Erf Exp Expand EyeLike FeatureVectorizer
    Flatten Floor Gather GatherElements GatherND Gemm Greater GreaterOrEqual HardSigmoid Identity
    Imputer IsInf IsNaN LabelEncoder LeakyRelu Less LessOrEqual LinearClassifier LinearRegressor
    Log LogSoftmax MatMul Max Mean Min Mod Mul Neg NonZero Normalizer Not OneHot OneHotEncoder Or
    PRelu Pow Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean
    ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Round SVMClassifier SVMRegressor
    Scaler ScatterElements ScatterND Selu Shape Sigmoid Sign Sin Sinh Size Slice Softmax Softplus
    Softsign Split Sqrt Squeeze Sub Sum Tan Tanh Tile TopK Transpose TreeEnsemble
    TreeEnsembleClassifier TreeEnsembleRegressor Unsqueeze Where Xor ZipMap
    """.split()  # noqa: SIM905 - a list of a hundred quoted names is harder to read
)
"""Operators whose work is bounded by the sizes of their inputs and outputs."""
SIZED_BY_INPUT = {"ConstantOfShape": 0, "Expand": 1, "Tile": 1, "OneHot": 1}
"""Operators whose output may be larger than their input, and the input that says how large."""
SIZE_OPERATORS = frozenset({"Shape", "Size"})
SCAN = "Scan"
MAX_GRAPH_DEPTH = 4
"""Of graphs within graphs; what converters write has one."""
GRAPH, FUNCTION = 7, 25
NODE, INITIALIZER = 1, 5
INPUT, OUTPUT, OPERATOR, ATTRIBUTE = 1, 2, 4, 5
SUBGRAPHS = frozenset({6, 11})
TENSOR_NAME = 8


@dataclass
class _Node:
    """A node of the graph: its operator, and the names of the tensors that it reads and writes."""

    operator: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    subgraphs: list[memoryview] = field(default_factory=list)


def reason_not_light(model: bytes) -> str:
    """Why a graph is not proved light; empty if it is.

    Raises:
        ValueError, IndexError: the model is not a protocol buffer.

    """
    for number, content in fields_of(memoryview(model)):
        if number == FUNCTION:
            return "it defines functions"
        if number == GRAPH:
            reason = _reason(content, depth=0)
            if reason:
                return reason
    return ""


def _reason(graph: memoryview, depth: int) -> str:
    """Why a graph is not light; empty if it is."""
    if depth > MAX_GRAPH_DEPTH:
        return f"its graphs are nested more than {MAX_GRAPH_DEPTH} deep"
    fixed: set[str] = set()
    nodes: list[_Node] = []
    for kind, message in fields_of(graph):
        if kind == NODE:
            nodes.append(_node(message))
        elif kind == INITIALIZER:
            fixed.update(_names(message, TENSOR_NAME))
    return next(_reasons(nodes, fixed, depth), "")


def _reasons(nodes: list[_Node], fixed: set[str], depth: int) -> Iterator[str]:
    """What keeps each node from being light.

    `fixed` grows by the tensors that do not depend on the values of features. ONNX demands that
    nodes come in the order in which they run.
    """
    for node in nodes:
        if node.operator == SCAN:
            yield from filter(None, (_reason(graph, depth + 1) for graph in node.subgraphs))
        elif node.subgraphs:
            yield f"the operator {node.operator} has a graph of its own"
        elif node.operator not in OPERATORS:
            yield f"the operator {node.operator} is not known"
        position = SIZED_BY_INPUT.get(node.operator)
        if position is not None and not set(node.inputs[position : position + 1]) <= fixed:
            yield f"the size of what {node.operator} gives depends on features"
        if node.operator in SIZE_OPERATORS or set(node.inputs) <= fixed:
            fixed.update(node.outputs)


def _node(message: memoryview) -> _Node:
    node = _Node()
    for number, content in fields_of(message):
        if number == INPUT:
            node.inputs.append(_text(content))
        elif number == OUTPUT:
            node.outputs.append(_text(content))
        elif number == OPERATOR:
            node.operator = _text(content)
        elif number == ATTRIBUTE:
            node.subgraphs += [inner for kind, inner in fields_of(content) if kind in SUBGRAPHS]
    return node


def _names(message: memoryview, wanted: int) -> Iterator[str]:
    return (_text(content) for number, content in fields_of(message) if number == wanted)


def _text(content: memoryview) -> str:
    return bytes(content).decode(errors="replace")
