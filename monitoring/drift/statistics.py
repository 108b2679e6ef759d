"""Distances and tests on counts: `p` of the reference, `q` of the window, bin by bin.

All take two arrays of counts of shape `(n_bins,)`; the order of bins is that of the numbers.
`design_effect` is Kish's (1965): rows that follow each other resemble each other,
so n rows tell as much as `n / design_effect` independent ones.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Counts = NDArray[np.int64] | NDArray[np.float64]

_EMPTY_SHARE = 1e-4
"""Floor of a bin's share in PSI, which is infinite for an empty bin."""
_COCHRAN = 5
"""Expected rows that a cell of a chi-square test needs (Cochran 1954)."""
_SURE = 0.001
"""Blocks count as unlike each other below this p-value; else the rows count in full."""


def shares(counts: Counts) -> NDArray[np.float64]:
    """Counts as shares that add up to one (all zero for no count)."""
    return counts / max(float(counts.sum()), 1.0)


def kolmogorov_smirnov(p: Counts, q: Counts, design_effect: float = 1.0) -> tuple[float, float]:
    """Largest difference of the two distribution functions at the bins' edges, and its p-value.

    Kolmogorov's limit with `sqrt(nm / (n + m))` (Smirnov 1948). Seen at the edges only, the
    distance is never larger than over all values, so the p-value errs to the careful side.

    >>> d, p_value = kolmogorov_smirnov(np.array([50, 50]), np.array([80, 20]))
    >>> round(d, 3), p_value < 1e-3
    (0.3, True)
    """
    distance = float(np.abs(np.cumsum(shares(p)) - np.cumsum(shares(q))).max(initial=0))
    n, m = float(p.sum()), float(q.sum()) / design_effect
    if not n or not m:
        return 0.0, 1.0
    return distance, float(special.kolmogorov(distance * np.sqrt(n * m / (n + m))))


def mann_whitney(p: Counts, q: Counts, design_effect: float = 1.0) -> tuple[float, float]:
    """P(window > reference) + P(equal) / 2 - 1/2, in -0.5 .. 0.5, and its two-sided p-value.

    The rank test of Mann and Whitney (1947) with the normal limit and the correction for ties;
    values in one bin count as ties. Of the tests of a shift it loses least to the t-test (4.5 %
    of the rows) and nothing to outliers.

    >>> theta, p_value = mann_whitney(np.array([50, 50]), np.array([80, 20]))
    >>> round(theta, 3), p_value < 1e-4
    (-0.15, True)
    """
    n, m = float(p.sum()), float(q.sum())
    if not n or not m:
        return 0.0, 1.0
    below = np.concatenate([[0.0], np.cumsum(p)[:-1]])
    theta = float((q * (below + p / 2)).sum() / (n * m)) - 0.5
    m_effective = m / design_effect
    ties = shares(p + q / design_effect)
    total = n + m_effective
    spread = (1.0 - float((ties**3).sum())) * (total + 1) / (12 * n * m_effective)
    if spread <= 0:
        return theta, 1.0
    return theta, float(2 * special.ndtr(-abs(theta) / np.sqrt(spread)))


def chi_square(p: Counts, q: Counts, design_effect: float = 1.0) -> tuple[float, float]:
    """Pearson's statistic (1900) that both counts come from the same shares, and its p-value.

    Categories that are rare in both together (fewer than 5 expected rows) are joined, as the
    test's limit demands (Cochran 1954). Clustered rows are allowed for as Rao and Scott (1981)
    do, by dividing the window's counts by `design_effect`.

    >>> statistic, p_value = chi_square(np.array([50, 50]), np.array([80, 20]))
    >>> round(statistic, 2), p_value < 1e-4
    (19.78, True)
    """
    table = _joined(np.array([p, q / design_effect], dtype=np.float64))
    if table.shape[1] < 2 or not table.sum(axis=1).all():  # noqa: PLR2004 - one column says nothing
        return 0.0, 1.0
    return _pearson(table)


def _pearson(table: NDArray[np.float64]) -> tuple[float, float]:
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    dof = (table.shape[0] - 1) * (table.shape[1] - 1)
    return statistic, float(special.chdtrc(dof, statistic))


def _joined(table: NDArray[np.float64]) -> NDArray[np.float64]:
    table = table[:, table.sum(axis=0) > 0]
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / max(float(table.sum()), 1.0)
    rare = expected.min(axis=0, initial=np.inf) < _COCHRAN
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


def psi(p: Counts, q: Counts) -> float:
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
    """Earth mover's distance in deviations of the reference, between `low` and `high`.

    The area between the two distribution functions, which are taken as straight within each
    bin between `low`, the inner `edges` and `high`. With the reference's ends as `low` and
    `high`, what lies beyond counts as lying at the end: one absurd value moves no earth.
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


def fisher_exact_greater(faulty: int, n: int, reference_faulty: int, reference_n: int) -> float:
    """p-value of Fisher's exact test (1922) that the share of faulty rows did not rise."""
    total, bad = n + reference_n, faulty + reference_faulty
    return float(stats.hypergeom.sf(faulty - 1, total, bad, n))


def numeric_design_effect(blocks: NDArray[np.int64]) -> float:
    """The design effect of a column of numbers, from counts of shape `(n_blocks, n_bins)`.

    The variance of the blocks' mean ranks over that of independent rows (the F ratio of a
    one-way layout, Fisher 1925); 1 unless the blocks differ significantly. A drift that is
    there in every block does not raise it.
    """
    sizes = blocks.sum(axis=1).astype(np.float64)
    blocks, sizes = blocks[sizes > 0], sizes[sizes > 0]
    n, n_blocks = float(sizes.sum()), len(sizes)
    if n_blocks < 2 or n <= n_blocks:  # noqa: PLR2004 - one block has no neighbour
        return 1.0
    total = blocks.sum(axis=0)
    rank = np.cumsum(total) - total / 2
    means = blocks @ rank / sizes
    mean = float(total @ rank) / n
    between = float((sizes * (means - mean) ** 2).sum()) / (n_blocks - 1)
    whole = float(total @ (rank - mean) ** 2)
    within = (whole - between * (n_blocks - 1)) / (n - n_blocks)
    if within <= 0:
        return 1.0
    ratio = between / within
    surprising = special.fdtrc(n_blocks - 1, n - n_blocks, ratio) < _SURE
    return float(ratio) if surprising else 1.0


def categorical_design_effect(blocks: NDArray[np.int64]) -> float:
    """The design effect of a categorical column, from counts of shape `(n_blocks, n_bins)`.

    The chi-square of blocks against categories over its degrees of dof: the mean of the
    categories' design effects (Rao, Scott 1981); 1 unless the blocks differ significantly.
    """
    table = _joined(blocks[blocks.sum(axis=1) > 0].astype(np.float64))
    if min(table.shape) < 2:  # noqa: PLR2004 - one row or column has no neighbour
        return 1.0
    statistic, p_value = _pearson(table)
    dof = (table.shape[0] - 1) * (table.shape[1] - 1)
    return max(statistic / dof, 1.0) if p_value < _SURE else 1.0


def persistence(p: Counts, parts: Sequence[Counts], *, ordered: bool) -> float:
    """The share of parts of a window in which at least half of its difference shows.

    Each part's difference from the reference is projected on the whole window's (of the
    distribution functions if `ordered`, of the shares otherwise): a difference that is
    there all the time projects to one in every part, a burst to much in one part and
    nothing in the others.

    >>> persistence(np.array([5, 5]), [np.array([9, 1]), np.array([5, 5])], ordered=False)
    0.5
    """
    seen = [part for part in parts if part.sum()]
    if not seen:
        return 0.0

    def difference(q: Counts) -> NDArray[np.float64]:
        gap = shares(q) - shares(p)
        return np.cumsum(gap) if ordered else gap

    whole = difference(np.sum(seen, axis=0))
    size = float(whole @ whole)
    if not size:
        return 0.0
    return float(np.mean([difference(part) @ whole / size >= 0.5 for part in seen]))  # noqa: PLR2004 - half
