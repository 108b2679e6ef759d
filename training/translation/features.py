"""Steps that make new features of numbers: functions, polynomials, splines, quantiles."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.interpolate import BSpline, PPoly
from sklearn.preprocessing import (
    FunctionTransformer,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    SplineTransformer,
)

from training.translation.graph import GraphTensor, concat
from training.translation.lookup import interpolated, piecewise_polynomial
from training.translation.scalers import standard_scaler, unscaled
from training.translation.translator import Untranslatable

FUNCTIONS: Mapping[Any, Callable[[GraphTensor], GraphTensor]] = {
    np.log: lambda x: x.apply("Log"),
    np.log1p: lambda x: (x + 1.0).apply("Log"),
    np.log2: lambda x: x.apply("Log") / np.log(2.0),
    np.log10: lambda x: x.apply("Log") / np.log(10.0),
    np.exp: lambda x: x.apply("Exp"),
    np.expm1: lambda x: x.apply("Exp") - 1.0,
    np.exp2: lambda x: (x * np.log(2.0)).apply("Exp"),
    np.sqrt: lambda x: x.apply("Sqrt"),
    np.square: lambda x: x * x,
    np.abs: lambda x: x.apply("Abs"),
    np.sin: lambda x: x.apply("Sin"),
    np.cos: lambda x: x.apply("Cos"),
    np.tan: lambda x: x.apply("Tan"),
    np.tanh: lambda x: x.apply("Tanh"),
    np.arctan: lambda x: x.apply("Atan"),
    np.arcsinh: lambda x: x.apply("Asinh"),
    np.sign: lambda x: x.apply("Sign"),
    np.floor: lambda x: x.apply("Floor"),
    np.ceil: lambda x: x.apply("Ceil"),
    np.negative: lambda x: -x,
    np.reciprocal: lambda x: 1.0 / x,
    np.isnan: lambda x: x.apply("IsNaN").numbers(),
    np.float64: lambda x: x,
    np.float32: lambda x: x.rounded(),
    None: lambda x: x,
}
"""Functions of NumPy that a `FunctionTransformer` or a target may use by name."""


def named_function(function: Any, arguments: Any, x: GraphTensor) -> GraphTensor:
    """A function of NumPy.

    Raises:
        Untranslatable: it is not in `FUNCTIONS`, or has arguments.

    """
    if function not in FUNCTIONS or arguments:
        name = getattr(function, "__name__", function)
        raise Untranslatable(f"the function {name}")
    return FUNCTIONS[function](x)


def function_transformer(step: Any, x: GraphTensor) -> GraphTensor:
    """`FunctionTransformer` of a named function of NumPy."""
    return named_function(step.func, step.kw_args, x)


def polynomial(step: Any, x: GraphTensor) -> GraphTensor:
    """`PolynomialFeatures`: products of columns, degree after degree."""
    groups: dict[int, list[list[int]]] = {}
    for powers in step.powers_:
        factors = [i for i, times in enumerate(powers) for _ in range(times)]
        groups.setdefault(len(factors), []).append(factors)
    parts: list[GraphTensor] = []
    for degree, products in groups.items():
        if degree == 0:
            parts.append(x.take([0]).apply("IsNaN").numbers() * 0.0 + 1.0)
            continue
        part = x.take([each[0] for each in products])
        for place in range(1, degree):
            part = part * x.take([each[place] for each in products])
        parts.append(part)
    return concat(parts)


def splines(step: Any, x: GraphTensor) -> GraphTensor:
    """`SplineTransformer`: each basis function as a polynomial per piece."""
    if getattr(step, "handle_missing", "error") != "error":
        raise Untranslatable("splines of missing values")
    parts = [_spline(step, each, x.take([i])) for i, each in enumerate(step.bsplines_)]
    return concat(parts)


def _spline(step: Any, spline: BSpline, x: GraphTensor) -> GraphTensor:
    degree, knots = spline.k, spline.t
    low, high = knots[degree], knots[-degree - 1]
    coefficients = spline.c
    n_splines = coefficients.shape[1] - (0 if step.include_bias else 1)
    if step.extrapolation == "periodic":
        period = high - low
        turns = ((x - low) / period).apply("Floor")
        x = x - turns * period
    pieces = [
        PPoly.from_spline(BSpline(knots, coefficients[:, each], degree))
        for each in range(n_splines)
    ]
    inside = [
        i for i in range(len(knots) - 1) if knots[i] < knots[i + 1] and low <= knots[i] < high
    ]
    per_piece = np.array([[each.c[:, i] for each in pieces] for i in inside])
    origins = knots[inside]
    below, above = per_piece[0], per_piece[-1]
    ends = (origins[0], origins[-1])
    if step.extrapolation in {"constant", "linear"}:
        ends = (low, high)
        below, above = (_outside(step, pieces, at, degree) for at in ends)
    elif step.extrapolation == "error":
        raise Untranslatable("splines that refuse what lies outside of their knots")
    return piecewise_polynomial(
        x,
        np.concatenate([origins, [np.nextafter(high, np.inf)]]),
        np.concatenate([[ends[0]], origins, [ends[1]]]),
        np.concatenate([below[None], per_piece, above[None]]),
    )


def _outside(step: Any, pieces: list[Any], at: float, degree: int) -> Any:
    """The polynomials beyond the outermost knot `at`: level, or the tangent."""
    values = np.zeros((len(pieces), degree + 1))
    values[:, -1] = [each(at) for each in pieces]
    if step.extrapolation == "linear" and degree:
        values[:, -2] = [each(at, nu=1) for each in pieces]
    return values


def power(step: Any, x: GraphTensor) -> GraphTensor:
    """`PowerTransformer` (Yeo and Johnson 2000; Box and Cox 1964)."""
    bent = (
        _box_cox(step.lambdas_, x) if step.method == "box-cox" else _yeo_johnson(step.lambdas_, x)
    )
    return standard_scaler(step._scaler, bent) if step.standardize else bent  # noqa: SLF001 - see ARCHITECTURE.md, private APIs


def _box_cox(exponents: Any, x: GraphTensor) -> GraphTensor:
    flat = exponents == 0.0
    safe = np.where(flat, 1.0, exponents)
    bent = (x**safe - 1.0) / safe
    return _chosen(flat, x.apply("Log"), bent) if flat.any() else bent


def _yeo_johnson(exponents: Any, x: GraphTensor) -> GraphTensor:
    positive = _box_cox(exponents, x.at_least(0.0) + 1.0)
    negative = -_box_cox(2.0 - exponents, 1.0 - x.at_most(0.0))
    return (x >= 0.0).where(positive, negative)


def unpowered(step: Any, y: GraphTensor) -> GraphTensor:
    """The inverse of `PowerTransformer`, for the method of Yeo and Johnson."""
    if step.method != "yeo-johnson":
        raise Untranslatable("a target transformed by Box and Cox")
    bent = unscaled(step._scaler, y) if step.standardize else y  # noqa: SLF001 - see ARCHITECTURE.md, private APIs
    exponents = step.lambdas_
    positive = _inverse_box_cox(exponents, bent.at_least(0.0)) - 1.0
    negative = 1.0 - _inverse_box_cox(2.0 - exponents, (-bent).at_least(0.0))
    return (bent >= 0.0).where(positive, negative)


def _inverse_box_cox(exponents: Any, y: GraphTensor) -> GraphTensor:
    flat = exponents == 0.0
    safe = np.where(flat, 1.0, exponents)
    straight = (y * safe + 1.0) ** (1.0 / safe)
    return _chosen(flat, y.apply("Exp"), straight) if flat.any() else straight


def _chosen(columns: Any, yes: GraphTensor, no: GraphTensor) -> GraphTensor:
    """The columns of `yes` where true, of `no` elsewhere."""
    n_columns = len(columns)
    order = [i if taken else n_columns + i for i, taken in enumerate(columns)]
    return concat([yes, no]).take(order)


def quantiles(step: Any, x: GraphTensor) -> GraphTensor:
    """`QuantileTransformer` to uniform: the mean of both interpolations."""
    if step.output_distribution != "uniform":
        raise Untranslatable("QuantileTransformer to a normal distribution")
    references = step.references_
    parts = []
    for column in range(step.n_features_in_):
        places, one = step.quantiles_[:, column], x.take([column])
        up = interpolated(one, places, references)
        down = interpolated(-one, -places[::-1], -references[::-1])
        mean = (up - down) * 0.5
        ends = ((one <= places[0]).where(0.0, mean), one >= places[-1])
        parts.append(ends[1].where(1.0, ends[0]))
    return concat(parts)


TRANSFORMS = {
    FunctionTransformer: function_transformer,
    PolynomialFeatures: polynomial,
    PowerTransformer: power,
    QuantileTransformer: quantiles,
    SplineTransformer: splines,
}
