"""Sample ratio mismatch: whether units came to the variants in the ratio that was meant.

A mismatch means that something beside chance decides who is in which variant (a variant that
loses its errors from the log, a cache, a client that retries): the variants' people are then
not alike, and no difference between them can be trusted (Fabijan et al. 2019, KDD, "Diagnosing
sample ratio mismatch in online controlled experiments").
"""

import numpy as np
from numpy.typing import NDArray
from scipy import special

from contracts.experiment import RatioCheck, Stratum

FEWEST_EXPECTED = 5
"""Expected units that a cell of a chi-square test needs (Cochran 1954)."""


def ratio_check(
    units: NDArray[np.uint64],
    treated: NDArray[np.bool_],
    strata: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> RatioCheck:
    """Hold the number of units of each variant against the weights.

    The rows are in the order of time; `weights` has one entry a stratum, NaN where none was
    logged. A unit counts once, under the weight and variant where it was met first: a unit
    that comes again is no new draw.
    """
    _, first = np.unique(units, return_index=True)
    counts = np.zeros((len(weights), 2), dtype=np.int64)
    np.add.at(counts, (strata[first], treated[first].astype(np.int64)), 1)
    told = tuple(
        Stratum(weight=float(w) if np.isfinite(w) else 0.0, production=int(p), challenger=int(c))
        for w, (p, c) in zip(weights, counts, strict=True)
    )
    expected = counts.sum(axis=1, keepdims=True) * np.column_stack([1 - weights, weights])
    usable = np.isfinite(weights) & (expected.min(axis=1, initial=np.inf) >= FEWEST_EXPECTED)
    if not usable.any():
        return RatioCheck(strata=told, checked=False)
    seen, meant = counts[usable], expected[usable]
    statistic = float(((seen - meant) ** 2 / meant).sum())
    freedom = int(usable.sum())
    return RatioCheck(
        strata=told,
        checked=True,
        chi_square=statistic,
        dof=freedom,
        p_value=float(special.chdtrc(freedom, statistic)),
    )


def mixed_units(
    units: NDArray[np.uint64], treated: NDArray[np.bool_], strata: NDArray[np.int64]
) -> int:
    """Units that were met as both variants under one weight; a sticky division has none."""
    if not len(units):
        return 0
    met = np.unique(np.column_stack([units, strata.astype(np.uint64), treated]), axis=0)
    _, times = np.unique(met[:, :2], axis=0, return_counts=True)
    return int((times > 1).sum())
