"""Sample ratio mismatch: whether units were split between the variants as configured.

A mismatch means that something besides chance decides who gets which variant (a variant whose
errors are not logged, a cache, a client that retries): the users of the variants are then not
comparable, and no difference between them can be trusted (Fabijan et al. 2019, KDD, "Diagnosing
sample ratio mismatch in online controlled experiments").
"""

import numpy as np
from numpy.typing import NDArray
from scipy import special

from contracts.experiment import RatioCheck, Stratum

MIN_EXPECTED = 5
"""Expected units that a cell of a chi-square test needs (Cochran 1954)."""


def ratio_check(
    units: NDArray[np.uint64],
    treated: NDArray[np.bool_],
    strata: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> RatioCheck:
    """Compare the number of units of each variant with the weights.

    Args:
        units: who each row was for, shape `(n_rows,)`, in the order of time.
        treated: whether the row was assigned to the challenger, shape `(n_rows,)`.
        strata: the index of the row's weight, shape `(n_rows,)`.
        weights: the challenger's share by stratum, NaN where none was logged.

    A unit counts once, under the weight and variant where it was first seen: a unit that comes
    again is not a new draw.
    """
    _, first = np.unique(units, return_index=True)
    counts = np.zeros((len(weights), 2), dtype=np.int64)
    np.add.at(counts, (strata[first], treated[first].astype(np.int64)), 1)
    by_stratum = tuple(
        Stratum(weight=float(w) if np.isfinite(w) else 0.0, production=int(p), challenger=int(c))
        for w, (p, c) in zip(weights, counts, strict=True)
    )
    expected = counts.sum(axis=1, keepdims=True) * np.column_stack([1 - weights, weights])
    usable = np.isfinite(weights) & (expected.min(axis=1, initial=np.inf) >= MIN_EXPECTED)
    if not usable.any():
        return RatioCheck(strata=by_stratum, checked=False)
    observed, expected = counts[usable], expected[usable]
    statistic = float(((observed - expected) ** 2 / expected).sum())
    dof = int(usable.sum())
    return RatioCheck(
        strata=by_stratum,
        checked=True,
        chi_square=statistic,
        dof=dof,
        p_value=float(special.chdtrc(dof, statistic)),
    )


def mixed_units(
    units: NDArray[np.uint64], treated: NDArray[np.bool_], strata: NDArray[np.int64]
) -> int:
    """Units that got both variants under one weight; a sticky split has none."""
    if not len(units):
        return 0
    seen = np.unique(np.column_stack([units, strata.astype(np.uint64), treated]), axis=0)
    _, times = np.unique(seen[:, :2], axis=0, return_counts=True)
    return int((times > 1).sum())
