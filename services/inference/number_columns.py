"""The schema's rule for a whole column of numbers: which are plainly valid, clipped or flagged.

Tensors, tables and files are checked by it. It accepts nothing that `Schema.violations` refuses,
and gives what `Schema.apply_policies` and `Schema.matrix` give. Rows that it does not accept are
doubtful: the row decoder judges them one by one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.schema import FLOAT32_MAX, Feature

RowMask = NDArray[np.bool_]
"""Which rows, shape `(n_rows,)`."""
MAX_EXACT_INTEGER = 2.0**53
"""Integers from here on are rounded as float64, so only the row decoder compares them."""


@dataclass(frozen=True)
class CheckedNumbers:
    """A feature's numbers after its policy; arrays have the shape `(n_rows,)`.

    `values`: float64, NaN where one is missing, no negative zero for an integer. `doubtful`: rows
    that the row decoder must judge, whose values mean nothing; None if there are none. `outside`:
    rows out of range that the policy clipped or flagged; None if there are none.
    """

    values: NDArray[np.float64]
    doubtful: RowMask | None = None
    outside: RowMask | None = None


def check_numbers(
    feature: Feature, values: NDArray[np.float64], *, is_exact: bool
) -> CheckedNumbers:
    """The numbers of a float or an int, shape `(n_rows,)`, NaN where one is missing.

    `is_exact`: no value was rounded when it became a float64, as large integers are.
    """
    in_range = (values >= feature.low) & (values <= feature.high)
    accepted, outside = in_range, None
    checked = values
    if not in_range.all():
        if feature.policy != "reject":
            # Comparisons with NaN are false, so a missing value is not outside.
            outside = ~in_range & (np.abs(values) <= FLOAT32_MAX)
            accepted = in_range | outside
            if not outside.any():
                outside = None
            elif feature.policy == "clip":
                checked = _clipped(feature, values, outside)
        if feature.nullable:
            accepted = accepted | np.isnan(values)
    odd = _inexact(feature, values, is_exact=is_exact)
    if odd is not None:
        accepted = accepted & ~odd
    if feature.type == "int":
        # The row decoder makes an integer of a negative zero, which has no sign.
        checked = checked + 0.0
    return CheckedNumbers(checked, None if accepted.all() else ~accepted, outside)


def either(first: RowMask | None, second: RowMask | None) -> RowMask | None:
    """The rows of one mask or the other; None is a mask of no rows."""
    if first is None or second is None:
        return second if first is None else first
    return first | second


def _inexact(feature: Feature, values: NDArray[np.float64], *, is_exact: bool) -> RowMask | None:
    """Numbers that are not whole, for an integer, and integers that float64 may have rounded."""
    odd: RowMask | None = None
    if feature.type == "int":
        odd = ~(np.isnan(values) | (values == np.trunc(values)))
    if not is_exact:
        huge = np.abs(values) >= MAX_EXACT_INTEGER
        odd = either(odd, huge if huge.any() else None)
    return odd


def _clipped(
    feature: Feature, values: NDArray[np.float64], outside: RowMask
) -> NDArray[np.float64]:
    bounds = np.clip(values, feature.low, feature.high)
    return np.where(outside, np.trunc(bounds) if feature.type == "int" else bounds, values)
