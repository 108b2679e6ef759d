"""Distances and tests on counts: `p` of the reference, `q` of the window, bin by bin.

`p` and `q` are counts of shape `(n_bins,)`, the bins of numbers in rising order. `design_effect`
is that of Kish (1965): consecutive rows resemble each other, so n rows carry the information of
`n / design_effect` independent ones.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Counts = NDArray[np.int64] | NDArray[np.float64]

_EMPTY_SHARE = 1e-4
"""Floor of a bin's share in PSI, which is infinite for an empty bin."""
_MIN_EXPECTED = 5
"""Expected rows that a cell of a chi-square test needs (Cochran 1954)."""
_NO_SPREAD = 1e-12
"""A standard deviation below this share of the values is the rounding error of a constant."""
_BLOCK_ALPHA = 0.001
"""Below this p-value blocks differ from each other; otherwise rows count as independent."""


def shares(counts: Counts) -> NDArray[np.float64]:
    """Counts as shares that add up to one; all zero where nothing was counted."""
    return counts / max(float(counts.sum()), 1.0)


def kolmogorov_smirnov(p: Counts, q: Counts, design_effect: float = 1.0) -> tuple[float, float]:
    """The largest difference of the two distribution functions, and its p-value.

    Kolmogorov's limit with `sqrt(nm / (n + m))` (Smirnov 1948). The functions are compared at
    the bins' edges only. There the distance is never larger than over all values, so the test
    is conservative.

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
    values in one bin count as ties. For a shift of a normal distribution it needs 4.5 % more
    rows than the t-test, and outliers do not harm it.

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
    """Pearson's statistic (1900) for equal shares in both counts, and its p-value.

    Categories with fewer than 5 expected rows are merged, since the test's limit needs as many
    (Cochran 1954). The window's counts are divided by `design_effect`, which allows for
    clustered rows (Rao and Scott 1981).

    >>> statistic, p_value = chi_square(np.array([50, 50]), np.array([80, 20]))
    >>> round(statistic, 2), p_value < 1e-4
    (19.78, True)
    """
    table = _merge_rare(np.array([p, q / design_effect], dtype=np.float64))
    if table.shape[1] < 2 or not table.sum(axis=1).all():  # noqa: PLR2004 - one column says nothing
        return 0.0, 1.0
    return _pearson(table)


def _pearson(table: NDArray[np.float64]) -> tuple[float, float]:
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    dof = (table.shape[0] - 1) * (table.shape[1] - 1)
    return statistic, float(special.chdtrc(dof, statistic))


def _merge_rare(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """A contingency table with its rare columns added up into one."""
    table = table[:, table.sum(axis=0) > 0]
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / max(float(table.sum()), 1.0)
    rare = expected.min(axis=0, initial=np.inf) < _MIN_EXPECTED
    if not rare.any():
        return table
    merged = table[:, rare].sum(axis=1, keepdims=True)
    return np.hstack([table[:, ~rare], merged])


def total_variation(p: Counts, q: Counts) -> float:
    """Half the sum of absolute differences of shares, 0..1.

    >>> total_variation(np.array([50, 50]), np.array([80, 20]))
    0.3
    """
    return round(float(np.abs(shares(p) - shares(q)).sum()) / 2, 12)


def psi(p: Counts, q: Counts) -> float:
    """The population stability index: symmetric Kullback-Leibler divergence in nats.

    Jeffreys (1946); 0 for equal shares. Below: 0.3 log(8 / 5) + 0.3 log(5 / 2).

    >>> round(psi(np.array([50, 50]), np.array([80, 20])), 4)
    0.4159
    """
    a = np.maximum(shares(p), _EMPTY_SHARE)
    b = np.maximum(shares(q), _EMPTY_SHARE)
    return float(((a - b) * np.log(a / b)).sum())


def jensen_shannon(p: Counts, q: Counts) -> float:
    """The Jensen-Shannon distance with base 2 (Endres and Schindelin 2003), 0..1.

    >>> jensen_shannon(np.array([50, 0]), np.array([0, 50]))
    1.0
    """
    a, b = shares(p), shares(q)
    middle = (a + b) / 2
    divergence = (_relative_entropy(a, middle) + _relative_entropy(b, middle)) / 2
    return float(np.sqrt(max(divergence, 0.0)))


def _relative_entropy(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    seen = a > 0
    return float((a[seen] * np.log2(a[seen] / b[seen])).sum())


def normed_wasserstein(
    p: Counts, q: Counts, edges: NDArray[np.float64], low: float, high: float, std: float
) -> float:
    """The Wasserstein distance between `low` and `high`, in units of `std`.

    It is the area between the two distribution functions, which are taken as straight lines
    within each bin between `low`, the inner `edges` and `high`. Values beyond these ends count
    as lying at the end, so that one absurd value does not raise the distance. It is 0 where it
    is not defined: without a bin edge or a spread there is no unit to measure in.

    >>> uniform, edges = np.array([1, 1]), np.array([0.5])
    >>> normed_wasserstein(uniform, np.array([0, 2]), edges, 0.0, 1.0, std=0.25)
    1.0
    """
    if not len(edges) or not p.sum() or not q.sum():
        return 0.0
    ends = min(low, float(edges[0])), max(high, float(edges[-1]))
    if not math.isfinite(ends[1] - ends[0]) or std <= _NO_SPREAD * max(map(abs, ends)):
        return 0.0
    at_edges = np.concatenate([[0.0], np.cumsum(shares(p)) - np.cumsum(shares(q))])
    widths = np.diff(np.concatenate([[ends[0]], edges, [ends[1]]]))
    left, right = at_edges[:-1], at_edges[1:]
    crosses = left * right < 0
    size = np.abs(left) + np.abs(right)
    with np.errstate(invalid="ignore", divide="ignore"):
        area = np.where(crosses, (left**2 + right**2) / (2 * size), size / 2)
    return float((np.nan_to_num(area) * widths).sum() / std)


def fisher_exact_greater(faulty: int, n: int, reference_faulty: int, reference_n: int) -> float:
    """p-value of Fisher's exact test (1922) that the share of faulty rows did not rise.

    Below: all 3 faulty rows of 6 are among the 3 of the window, 1 of 20 cases.

    >>> round(fisher_exact_greater(3, 3, 0, 3), 6)
    0.05
    """
    all_rows, all_faulty = n + reference_n, faulty + reference_faulty
    return float(stats.hypergeom.sf(faulty - 1, all_rows, all_faulty, n))


def numeric_design_effect(blocks: NDArray[np.int64]) -> float:
    """The design effect of a numeric column, from counts of shape `(n_blocks, n_bins)`.

    The variance of the blocks' mean ranks over that of independent rows (the F ratio of a
    one-way layout, Fisher 1925); 1 unless the blocks differ significantly. A drift that is the
    same in all blocks does not raise it.
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
    p_value = special.fdtrc(n_blocks - 1, n - n_blocks, ratio)
    return float(ratio) if p_value < _BLOCK_ALPHA else 1.0


def categorical_design_effect(blocks: NDArray[np.int64]) -> float:
    """The design effect of a categorical column, from counts of shape `(n_blocks, n_bins)`.

    The chi-square of blocks against categories over its degrees of freedom: the mean of the
    categories' design effects (Rao and Scott 1981); 1 unless the blocks differ significantly.
    """
    table = _merge_rare(blocks[blocks.sum(axis=1) > 0].astype(np.float64))
    if min(table.shape) < 2:  # noqa: PLR2004 - one row or column has no neighbour
        return 1.0
    statistic, p_value = _pearson(table)
    dof = (table.shape[0] - 1) * (table.shape[1] - 1)
    return max(statistic / dof, 1.0) if p_value < _BLOCK_ALPHA else 1.0


def numeric_cluster_effect(groups: NDArray[np.int64]) -> float:
    """The design effect of a numeric column whose rows are clustered, `(n_groups, n_bins)`.

    Of the mean rank, as `numeric_design_effect` has it, but for groups of any size: some users
    have many more rows than others.
    """
    if numeric_design_effect(groups) <= 1:
        return 1.0
    sizes = groups.sum(axis=1).astype(np.float64)
    total = groups.sum(axis=0)
    rank = np.cumsum(total) - total / 2
    mean = float(total @ rank) / sizes.sum()
    variance = float(total @ (rank - mean) ** 2) / sizes.sum()
    filled = sizes > 0
    means = groups[filled] @ rank / sizes[filled]
    return _cluster_effect(sizes[filled], (means - mean) ** 2, variance)


def categorical_cluster_effect(groups: NDArray[np.int64]) -> float:
    """The design effect of a categorical column whose rows are clustered: of all its shares."""
    if categorical_design_effect(groups) <= 1:
        return 1.0
    sizes = groups.sum(axis=1).astype(np.float64)
    total = shares(groups.sum(axis=0))
    filled = sizes > 0
    found = groups[filled] / sizes[filled, None]
    deviations = ((found - total) ** 2).sum(axis=1)
    return _cluster_effect(sizes[filled], deviations, float((total * (1 - total)).sum()))


def _cluster_effect(
    sizes: NDArray[np.float64], deviations: NDArray[np.float64], variance: float
) -> float:
    """The jackknife variance of a mean over clusters, over that of independent rows.

    `deviations` are the squared distances of the clusters' means from the mean of all, and
    `variance` that of a row. The jackknife leaves out one cluster at a time (MacKinnon and White
    1985, HC3), which allows for a cluster with a large part of the rows. As it rests on few
    clusters, the effect grows by the square of Student's quantile over the normal one at 0.001,
    with as many clusters as equal ones would make (Kish 1965).
    """
    weights = sizes / sizes.sum()
    largest = float(weights.max())
    if largest >= 1 or variance <= 0:
        return 1.0
    of_mean = float((weights**2 * deviations / (1 - weights) ** 2).sum())
    n_equal = 1 / float((weights**2).sum())
    level = 1 - _BLOCK_ALPHA / 2
    growth = float(stats.t.ppf(level, max(n_equal - 1, 1)) / stats.norm.ppf(level)) ** 2
    return max(of_mean * float(sizes.sum()) / variance * growth, 1.0)


MIN_PERSISTENCE = 0.6
"""Two of three parts; one of two is a burst."""


def persistence(p: Counts, parts: Sequence[Counts], *, ordered: bool) -> float:
    """The share of the parts of a window that show at least half of its difference.

    Each part's difference from the reference is projected on that of the whole window (of the
    distribution functions if `ordered`, else of the shares). A lasting difference projects to
    one in every part; a burst to much in one part and to nothing in the others.

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
