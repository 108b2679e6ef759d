"""Which level each attempt at one evaluation may spend, and what it can detect at that level."""

import numpy as np
from scipy import stats

ALPHA = 0.05
"""The share of worthless challengers that may be promoted, over all attempts at one evaluation."""
POWER = 0.8


def alpha_at_attempt(attempt: int) -> float:
    """The part of `ALPHA` that this attempt may spend: alpha * 6 / (pi^2 k^2).

    The terms add up to alpha over any number of attempts (Euler 1735). By Bonferroni's
    inequality no series of attempts promotes a worthless challenger more often than that,
    however the series ends: alpha-spending, Foster and Stine (2008), JRSS B 70.

    >>> round(alpha_at_attempt(1), 4)
    0.0304
    >>> round(sum(alpha_at_attempt(k) for k in range(1, 100_000)), 4)
    0.05
    """
    return float(ALPHA * 6 / (np.pi * attempt) ** 2)


def detectable_difference(standard_error: float, dof: float, alpha: float) -> float:
    """The true difference whose lower bound at `1 - alpha` is above zero in `POWER` of cases.

    In standard errors it is the sum of two quantiles, here 1.875 and 0.842:

    >>> round(detectable_difference(1.0, 1e9, alpha_at_attempt(1)), 2)
    2.72
    """
    return float(standard_error * (stats.t.isf(alpha, dof) + stats.t.ppf(POWER, dof)))
