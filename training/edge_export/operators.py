"""The operators of ONNX that have statements for one row: what linear models and networks need.

Each function adds the statements of one node and returns its result, whose first axis, the rows,
has the length one. Trees are in `tree_tables`.
"""

from collections.abc import Mapping
from functools import partial
from math import prod
from typing import Any

import numpy as np

from training.edge_export.program import (
    CELL_KINDS,
    CellKind,
    Cells,
    Emit,
    Program,
    Step,
    Unportable,
)
from training.edge_export.tree_tables import TREE_OPERATORS, transformed

TRUE_FALSE: CellKind = "u8"


def _elementwise(program: Program, step: Step, text: str, kind: CellKind | None) -> Cells:
    """Arithmetic element by element; `text` has `{0}`, `{1}`, ... for the operands."""
    operands = [program.operand(step, index) for index in range(len(step.operands))]
    shape = np.broadcast_shapes(*(each.shape for each in operands))
    if any(each.size not in {1, prod(shape)} for each in operands):
        raise Unportable(f"{step.operator} of shapes {[each.shape for each in operands]}")
    result = program.result(shape, kind or _wider(operands))
    values = text.format(*(each.at() for each in operands))
    program.loop(result.size, f"{result.name}[i] = {values};")
    return result


def _wider(operands: list[Cells]) -> CellKind:
    """The kind of a result: integers may be stored narrowly, but are computed in 32 bits."""
    kinds = {each.kind for each in operands}
    floats: tuple[CellKind, ...] = ("f64", "f32")
    return next((kind for kind in floats if kind in kinds), "i32")


def _where(program: Program, step: Step) -> Cells:
    kind = _wider([program.operand(step, 1), program.operand(step, 2)])
    return _elementwise(program, step, "{0} ? {1} : {2}", kind)


def _folded(program: Program, step: Step, sign: str) -> Cells:
    """`Min` or `Max` of several operands; NaN in the first stays."""
    if len(step.operands) != 2:  # noqa: PLR2004 - what our translations write
        raise Unportable(f"{step.operator} of {len(step.operands)} operands")
    return _elementwise(
        program, step, f"({{0}} != {{0}} || {{0}} {sign} {{1}}) ? {{0}} : {{1}}", None
    )


def _cast(program: Program, step: Step) -> Cells:
    if step.attributes["to"] not in CELL_KINDS:
        raise Unportable(f"Cast to type {step.attributes['to']}")
    kind = CELL_KINDS[step.attributes["to"]]
    return _elementwise(program, step, "{0} != 0" if kind == TRUE_FALSE else "{0}", kind)


def _same(program: Program, step: Step) -> Cells:
    """A node that keeps the elements of a row and their order: `Identity`, `Reshape`, ..."""
    found = program.operand(step, 0)
    shape: tuple[int, ...] = (1, found.size)
    if step.operator == "Identity":
        shape = found.shape
    elif step.operator == "Reshape":
        wanted = [int(n) for n in step.known(1)]
        if wanted.count(-1) > 1 or 0 in wanted[1:]:
            raise Unportable(f"Reshape to {wanted}")
        wanted[0] = 1 if wanted[0] in {0, -1} else wanted[0]
        rest = prod(n for n in wanted if n > 0)
        shape = tuple(found.size // rest if n < 0 else n for n in wanted)
        if prod(shape) != found.size:
            raise Unportable(f"Reshape of {found.shape} to {wanted}")
    elif step.operator == "Unsqueeze":
        shape = tuple(np.expand_dims(np.empty(found.shape), tuple(map(int, step.known(1)))).shape)
    return Cells(found.name, shape, found.kind)


def _columns(program: Program, step: Step) -> Cells:
    """Some columns of a row."""
    found = program.operand(step, 0)
    if step.operator == "Gather" and step.attributes.get("axis", 0) == 0:
        return _looked_up(program, step)
    if len(found.shape) != 2:  # noqa: PLR2004 - rows and columns
        raise Unportable(f"{step.operator} on {len(found.shape)} axes")
    columns = np.asarray(step.known(1), dtype=np.int64).ravel()
    chosen = program.constant(np.where(columns < 0, columns + found.size, columns))
    result = program.result((1, chosen.size), found.kind)
    program.loop(result.size, f"{result.name}[i] = {found.name}[{chosen.name}[i]];")
    return result


def _looked_up(program: Program, step: Step) -> Cells:
    """Rows of a table, by computed numbers: `(1, n, width)`."""
    table, index = step.known(0), program.operand(step, 1)
    values = program.constant(table)
    width = prod(table.shape[1:])
    result = program.result((*index.shape, *table.shape[1:]), values.kind)
    program.add(
        f"for (i = 0; i < {index.size}; i++) for (j = 0; j < {width}; j++) "
        f"{result.name}[i * {width} + j] = {values.name}[{index.name}[i] * {width} + j];"
    )
    return result


def _concat(program: Program, step: Step) -> Cells:
    parts = [program.operand(step, index) for index in range(len(step.operands))]
    axis = int(step.attributes["axis"]) % len(parts[0].shape)
    if any(prod(each.shape[:axis]) != 1 for each in parts):
        raise Unportable(f"Concat of shapes {[each.shape for each in parts]}")
    shape = list(parts[0].shape)
    shape[axis] = sum(each.shape[axis] for each in parts)
    result = program.result(shape, _wider(parts))
    start = 0
    for each in parts:
        program.loop(each.size, f"{result.name}[{start} + i] = {each.name}[i];")
        start += each.size
    return result


def _reduced(program: Program, step: Step, begin: str, update: str) -> Cells:
    """A sum or maximum over the second axis; `begin` and `update` set `s`."""
    found = program.operand(step, 0)
    axes = [int(a) % len(found.shape) for a in step.known(1)]
    if axes != [1]:
        raise Unportable(f"{step.operator} over the axes {axes}")
    count, width = found.shape[1], prod(found.shape[2:])
    keep = [1] if step.attributes.get("keepdims", 1) else []
    result = program.result((1, *keep, *found.shape[2:]), found.kind)
    update = update.format(f"{found.name}[j * {width} + i]")
    begin = begin.format(f"{found.name}[i]")
    program.loop(
        width, f"s = {begin}; for (j = 0; j < {count}; j++) {update}; {result.name}[i] = s;"
    )
    return result


def _matmul(program: Program, step: Step) -> Cells:
    """A row times a constant matrix, added up in double precision."""
    x, weights = program.operand(step, 0), np.asarray(step.known(1))
    if step.attributes.get("transA") or step.attributes.get("alpha", 1.0) != 1.0:
        raise Unportable("Gemm with transA or alpha")
    weights = weights.T if step.attributes.get("transB") else weights
    if weights.shape[0] != x.size:
        raise Unportable(f"{step.operator} of shapes {x.shape}, {weights.shape}")
    return _weighted(program, x, weights.T, None if len(step.operands) < 3 else step.known(2))  # noqa: PLR2004 - Gemm's bias


def _weighted(program: Program, x: Cells, weights: Any, bias: Any) -> Cells:
    """`weights @ x + bias`; weights `(n_outputs, n_inputs)`."""
    table = program.constant(np.asarray(weights))
    n_outputs, n_inputs = weights.shape
    first = "0"
    if bias is not None:
        first = f"{program.constant(np.broadcast_to(np.ravel(bias), n_outputs)).name}[i]"
    result = program.result((1, n_outputs), x.kind)
    program.loop(
        n_outputs,
        f"s = {first}; for (j = 0; j < {n_inputs}; j++) "
        f"s += {table.name}[i * {n_inputs} + j] * {x.name}[j]; {result.name}[i] = s;",
    )
    return result


def _linear(program: Program, step: Step) -> Cells:
    """`LinearClassifier` (its scores) and `LinearRegressor`."""
    x = program.operand(step, 0)
    weights = np.array(step.attributes["coefficients"], dtype=np.float32).reshape(-1, x.size)
    bias = np.array(step.attributes.get("intercepts", [0.0] * len(weights)), dtype=np.float32)
    labels = step.attributes.get("classlabels_ints", step.attributes.get("classlabels_strings"))
    if step.operator == "LinearClassifier" and labels and len(labels) != len(weights):
        raise Unportable("LinearClassifier with one row of coefficients for two classes")
    scores = _weighted(program, x, weights, bias)
    return transformed(program, scores, step.attributes.get("post_transform", b"NONE"))


def _imputed(program: Program, step: Step) -> Cells:
    values = step.attributes.get("imputed_value_floats")
    if values is None or not np.isnan(step.attributes.get("replaced_value_float", np.nan)):
        raise Unportable("Imputer of something else than NaN")
    x, filled = program.operand(step, 0), program.constant(np.array(values, dtype=np.float32))
    result = program.result(x.shape, x.kind)
    value = f"{x.name}[i]"
    program.loop(x.size, f"{result.name}[i] = {value} != {value} ? {filled.at()} : {value};")
    return result


def _scaled(program: Program, step: Step) -> Cells:
    x = program.operand(step, 0)
    offset, scale = (
        program.constant(np.array(step.attributes[name], dtype=np.float32))
        for name in ("offset", "scale")
    )
    result = program.result(x.shape, x.kind)
    program.loop(x.size, f"{result.name}[i] = ({x.name}[i] - {offset.at()}) * {scale.at()};")
    return result


def _one_hot(program: Program, step: Step) -> Cells:
    codes = step.attributes.get("cats_int64s")
    if codes is None:
        raise Unportable("OneHotEncoder of text")
    x, known = program.operand(step, 0), program.constant(np.array(codes, dtype=np.int64))
    count = known.size
    result = program.result((*x.shape, count), "f32")
    program.add(
        f"for (i = 0; i < {x.size}; i++) for (j = 0; j < {count}; j++) "
        f"{result.name}[i * {count} + j] = {x.name}[i] == {known.name}[j] ? 1 : 0;"
    )
    return result


def _normalized(program: Program, step: Step) -> Cells:
    x = program.operand(step, 0)
    norms = {
        b"L1": ("s += ABS({0})", "s"),
        b"L2": ("s += {0} * {0}", "SQRT(s)"),
        b"MAX": ("s = ABS({0}) > s ? ABS({0}) : s", "s"),
    }
    update, norm = norms[step.attributes.get("norm", b"MAX")]
    result = program.result(x.shape, x.kind)
    program.add("s = 0;")
    program.loop(x.size, update.format(f"{x.name}[i]") + ";")
    program.add(f"s = {norm}; if (s == 0) s = 1;")
    program.loop(x.size, f"{result.name}[i] = {x.name}[i] / s;")
    return result


def _soft_maximum(program: Program, step: Step) -> Cells:
    return transformed(program, program.operand(step, 0), b"SOFTMAX")


_EXPRESSIONS: Mapping[str, tuple[str, CellKind | None]] = {
    "Add": ("{0} + {1}", None),
    "Sub": ("{0} - {1}", None),
    "Mul": ("{0} * {1}", None),
    "Div": ("{0} / {1}", None),
    "Pow": ("POW({0}, {1})", None),
    "Neg": ("-{0}", None),
    "Abs": ("ABS({0})", None),
    "Exp": ("EXP({0})", None),
    "Log": ("LOG({0})", None),
    "Sqrt": ("SQRT({0})", None),
    "Tanh": ("TANH({0})", None),
    "Sigmoid": ("1 / (1 + EXP(-{0}))", None),
    "Relu": ("{0} < 0 ? 0 : {0}", None),
    "IsNaN": ("{0} != {0}", TRUE_FALSE),
    "Equal": ("{0} == {1}", TRUE_FALSE),
    "Less": ("{0} < {1}", TRUE_FALSE),
    "LessOrEqual": ("{0} <= {1}", TRUE_FALSE),
    "Greater": ("{0} > {1}", TRUE_FALSE),
    "GreaterOrEqual": ("{0} >= {1}", TRUE_FALSE),
    "Not": ("!{0}", TRUE_FALSE),
    "And": ("{0} && {1}", TRUE_FALSE),
    "Or": ("{0} || {1}", TRUE_FALSE),
}
STATEMENTS: Mapping[str, Emit] = {
    **{
        name: partial(_elementwise, text=text, kind=kind)
        for name, (text, kind) in _EXPRESSIONS.items()
    },
    **dict.fromkeys(("Identity", "Reshape", "Unsqueeze", "Flatten", "Squeeze"), _same),
    **dict.fromkeys(("Gather", "ArrayFeatureExtractor"), _columns),
    **dict.fromkeys(("MatMul", "Gemm"), _matmul),
    **dict.fromkeys(("LinearClassifier", "LinearRegressor"), _linear),
    **TREE_OPERATORS,
    "Cast": _cast,
    "Concat": _concat,
    "Imputer": _imputed,
    "Max": partial(_folded, sign=">"),
    "Min": partial(_folded, sign="<"),
    "Normalizer": _normalized,
    "OneHotEncoder": _one_hot,
    "ReduceMax": partial(_reduced, begin="{0}", update="s = {0} > s ? {0} : s"),
    "ReduceSum": partial(_reduced, begin="0", update="s += {0}"),
    "Scaler": _scaled,
    "Softmax": _soft_maximum,
    "Where": _where,
}
"""Adds the statements of a node, by the name of its operator."""
