"""Distances and tests on counts: `p` of the reference, `q` of the window, bin by bin.

All take two arrays of counts of shape `(n_bins,)`; the order of bins is that of the numbers.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Counts = NDArray[np.int64] | NDArray[np.float64]

_EMPTY_SHARE = 1e-4
"""Floor of a bin's share in PSI, which is infinite for an empty bin."""


def shares(counts: Counts) -> NDArray[np.float64]:
    """Counts as shares that add up to one (all zero for no count)."""
    return counts / max(float(counts.sum()), 1.0)


def kolmogorov_smirnov(p: Counts, q: Counts) -> tuple[float, float]:
    """Largest difference of the two distribution functions at the bins' edges, and its p-value.

    Kolmogorov's limit with `sqrt(nm / (n + m))` (Smirnov 1948). Seen at the edges only, the
    distance is never larger than over all values, so the p-value errs to the careful side.

    >>> d, p_value = kolmogorov_smirnov(np.array([50, 50]), np.array([80, 20]))
    >>> round(d, 3), p_value < 1e-3
    (0.3, True)
    """
    distance = float(np.abs(np.cumsum(shares(p)) - np.cumsum(shares(q))).max(initial=0))
    n, m = float(p.sum()), float(q.sum())
    if not n or not m:
        return 0.0, 1.0
    return distance, float(stats.kstwobign.sf(distance * np.sqrt(n * m / (n + m))))


def chi_square(p: Counts, q: Counts) -> float:
    """p-value of Pearson's test (1900) that both counts come from the same shares.

    Categories that are rare in both together (fewer than 5 expected rows) are joined, as the
    test's limit demands (Cochran 1954).
    """
    table = _joined(np.array([p, q], dtype=np.float64))
    if table.shape[1] < 2 or not table.sum(axis=1).all():  # noqa: PLR2004 - one column says nothing
        return 1.0
    return float(stats.chi2_contingency(table, correction=False).pvalue)


def _joined(table: NDArray[np.float64]) -> NDArray[np.float64]:
    table = table[:, table.sum(axis=0) > 0]
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / max(float(table.sum()), 1.0)
    rare = expected.min(axis=0, initial=np.inf) < 5  # noqa: PLR2004 - Cochran's five
    if not rare.any():
        return table
    together = table[:, rare].sum(axis=1, keepdims=True)
    return np.hstack([table[:, ~rare], together])


def total_variation(p: Counts, q: Counts) -> float:
    """Half the sum of absolute differences of shares, 0..1.

    >>> total_variation(np.array([50, 50]), np.array([80, 20]))
    0.3
    """
    return round(float(np.abs(shares(p) - shares(q)).sum()) / 2, 12)


def population_stability(p: Counts, q: Counts) -> float:
    """PSI: the symmetric Kullback-Leibler divergence in nats (Jeffreys 1946), 0 for equals."""
    a = np.maximum(shares(p), _EMPTY_SHARE)
    b = np.maximum(shares(q), _EMPTY_SHARE)
    return float(((a - b) * np.log(a / b)).sum())


def jensen_shannon(p: Counts, q: Counts) -> float:
    """Jensen-Shannon distance with base 2 (Endres, Schindelin 2003), 0..1."""
    a, b = shares(p), shares(q)
    middle = (a + b) / 2
    divergence = (_relative_entropy(a, middle) + _relative_entropy(b, middle)) / 2
    return float(np.sqrt(max(divergence, 0.0)))


def _relative_entropy(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    seen = a > 0
    return float((a[seen] * np.log2(a[seen] / b[seen])).sum())


def normed_wasserstein(
    p: Counts, q: Counts, edges: NDArray[np.float64], low: float, high: float, deviation: float
) -> float:
    """Earth mover's distance in deviations of the reference.

    The area between the two distribution functions, which are taken as straight within each
    bin between `low`, the inner `edges` and `high`, the ends of both samples together.
    """
    if deviation <= 0 or not p.sum() or not q.sum():
        return 0.0
    at_edges = np.concatenate([[0.0], np.cumsum(shares(p)) - np.cumsum(shares(q))])
    widths = np.diff(np.concatenate([[min(low, *edges[:1])], edges, [max(high, *edges[-1:])]]))
    left, right = at_edges[:-1], at_edges[1:]
    crosses = left * right < 0
    size = np.abs(left) + np.abs(right)
    with np.errstate(invalid="ignore", divide="ignore"):
        area = np.where(crosses, (left**2 + right**2) / (2 * size), size / 2)
    return float((np.nan_to_num(area) * widths).sum() / deviation)


def rise_of_share(faulty: int, n: int, reference_faulty: int, reference_n: int) -> float:
    """p-value of Fisher's exact test (1922) that the share of faulty rows did not rise."""
    total, bad = n + reference_n, faulty + reference_faulty
    return float(stats.hypergeom.sf(faulty - 1, total, bad, n))
