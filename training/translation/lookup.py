"""Tables that are looked up by a number: steps, straight lines and polynomials."""

import numpy as np
from numpy.typing import NDArray

from training.translation.graph import GraphTensor

_Numbers = NDArray[np.float64]


def count_reached(x: GraphTensor, breaks: _Numbers) -> GraphTensor:
    """How many of the rising `breaks` each number of a column has reached, `(n_rows, 1)`."""
    return (x >= breaks.reshape(1, -1)).numbers().sum()


def table_rows(index: GraphTensor, table: _Numbers) -> GraphTensor:
    """The row of a table for each index of a column; shape `(n_rows, *table.shape[1:])`."""
    flat = index.apply("Cast", to=7).apply("Squeeze", np.array([1], dtype=np.int64))
    constant = x_constant(index, table)
    return GraphTensor(index.graph, index.graph.node("Gather", constant, flat.name, axis=0))


def x_constant(value: GraphTensor, table: _Numbers) -> str:
    """The name of a constant in the graph of a value."""
    return value.graph.constant(table.astype(np.float64))


def interpolated(x: GraphTensor, places: _Numbers, values: _Numbers) -> GraphTensor:
    """The straight lines through points `(places, values)` at a column, level outside.

    As `numpy.interp`; where several points have one place, the last counts.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes = np.diff(values) / np.diff(places)
    slopes = np.nan_to_num(slopes, nan=0.0, posinf=0.0, neginf=0.0)
    table = np.column_stack(
        [
            np.append(places[0], places),
            np.append(values[0], values),
            np.concatenate([[0.0], slopes, [0.0]]),
        ]
    )
    found = table_rows(count_reached(x, places), table)
    return found.take([1]) + found.take([2]) * (x - found.take([0]))


def piecewise_polynomial(
    x: GraphTensor, breaks: _Numbers, origins: _Numbers, coefficients: _Numbers
) -> GraphTensor:
    """Several polynomials per piece at a column, `(n_rows, n_polynomials)`.

    Piece `i` begins at the `i`-th of the rising `breaks`, piece 0 is below them. `origins` has
    a number per piece, `coefficients` the shape `(n_pieces, n_polynomials, degree + 1)`, with the
    highest power of `x - origin` first.
    """
    n_pieces, n_polynomials, n_powers = coefficients.shape
    table = np.concatenate(
        [origins[:, None], coefficients.transpose(0, 2, 1).reshape(n_pieces, -1)], axis=1
    )
    found = table_rows(count_reached(x, breaks), table)
    offset = x - found.take([0])
    result = found.take(range(1, 1 + n_polynomials))
    for power in range(1, n_powers):
        start = 1 + power * n_polynomials
        result = result * offset + found.take(range(start, start + n_polynomials))
    return result
