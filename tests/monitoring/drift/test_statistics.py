"""Distances and tests against scipy, hands, and their own laws."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.spatial.distance import jensenshannon

from monitoring.drift import statistics as ours

counts = arrays(np.int64, st.integers(2, 20), elements=st.integers(0, 1000))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[ours.Counts, ours.Counts]:
    n = draw(st.integers(2, 20))
    two = [draw(arrays(np.int64, n, elements=st.integers(0, 1000))) for _ in range(2)]
    assume(all(c.sum() > 0 for c in two))
    return two[0], two[1]


@given(pairs())
def test_jensen_shannon_is_scipys(pair: tuple[ours.Counts, ours.Counts]) -> None:
    assert ours.jensen_shannon(*pair) == pytest.approx(jensenshannon(*pair, base=2), abs=1e-6)


@given(pairs())
def test_distances_are_symmetric_bounded_and_zero_for_equals(
    pair: tuple[ours.Counts, ours.Counts],
) -> None:
    p, q = pair
    for distance in (ours.total_variation, ours.jensen_shannon):
        assert 0 <= distance(p, q) <= 1 + 1e-12
        assert distance(p, q) == pytest.approx(distance(q, p))
        assert distance(p, p) == pytest.approx(0, abs=1e-7)
    assert ours.psi(p, q) >= -1e-12
    assert ours.kolmogorov_smirnov(p, q)[0] <= ours.total_variation(p, q) + 1e-9


@given(pairs())
def test_total_variation_is_the_largest_gap_over_sets(
    pair: tuple[ours.Counts, ours.Counts],
) -> None:
    p, q = pair[0] / pair[0].sum(), pair[1] / pair[1].sum()

    assert ours.total_variation(*pair) == pytest.approx((p - q)[p > q].sum(), abs=1e-9)


def test_kolmogorov_smirnov_on_every_value_is_scipys() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=2000), rng.normal(0.1, size=1500)
    edges = np.sort(np.concatenate([a, b]))
    p, q = (np.bincount(np.searchsorted(edges, x), minlength=len(edges) + 1) for x in (a, b))
    distance, p_value = ours.kolmogorov_smirnov(p, q)
    theirs = stats.ks_2samp(a, b, method="asymp")

    assert distance == pytest.approx(theirs.statistic, abs=1e-9)
    assert p_value == pytest.approx(theirs.pvalue, rel=0.2)


@given(pairs())
def test_chi_square_is_scipys(pair: tuple[ours.Counts, ours.Counts]) -> None:
    p, q = (counts + 50 for counts in pair)
    theirs = stats.chi2_contingency(np.array([p, q]), correction=False)
    statistic, p_value = ours.chi_square(p, q)

    assert statistic == pytest.approx(theirs.statistic, rel=1e-6, abs=1e-9)
    assert p_value == pytest.approx(theirs.pvalue, rel=1e-6, abs=1e-300)


def test_chi_square_joins_what_is_rare_and_says_nothing_of_nothing() -> None:
    assert ours.chi_square(np.array([500, 1, 0]), np.array([500, 0, 1]))[1] == pytest.approx(
        1, abs=0.4
    )
    assert ours.chi_square(np.array([5]), np.array([7])) == (0.0, 1.0)
    assert ours.chi_square(np.array([0, 0]), np.array([7, 1])) == (0.0, 1.0)


@given(pairs())
def test_mann_whitney_is_scipys_with_ties(pair: tuple[ours.Counts, ours.Counts]) -> None:
    p, q = (counts + 1 for counts in pair)
    a, b = (np.repeat(np.arange(len(c)), c.astype(int)) for c in (p, q))
    theirs = stats.mannwhitneyu(b, a, method="asymptotic", use_continuity=False)
    theta, p_value = ours.mann_whitney(p, q)

    assert theta + 0.5 == pytest.approx(theirs.statistic / (len(a) * len(b)), abs=1e-9)
    assert p_value == pytest.approx(theirs.pvalue, rel=0.05, abs=1e-12)


@given(pairs())
def test_psi_is_the_sum_of_scipys_two_entropies(pair: tuple[ours.Counts, ours.Counts]) -> None:
    p, q = (counts + 20 for counts in pair)

    assert ours.psi(p, q) == pytest.approx(stats.entropy(p, q) + stats.entropy(q, p), abs=1e-9)


@pytest.mark.parametrize(
    "inflation_of", [ours.numeric_design_effect, ours.categorical_design_effect]
)
def test_rows_in_clusters_count_for_less(
    inflation_of: Callable[[np.ndarray[Any, Any]], float],
) -> None:
    """Ten copies of each row tell as much as one."""
    rng = np.random.default_rng(3)
    independent = rng.multinomial(200, [0.25] * 4, size=24)
    copied = 10 * rng.multinomial(20, [0.25] * 4, size=24)

    assert inflation_of(independent) == 1.0
    assert inflation_of(copied) == pytest.approx(10, rel=0.5)
    assert inflation_of(independent[:1]) == 1.0
    assert inflation_of(np.zeros((3, 4), dtype=int)) == 1.0


def test_a_drift_in_every_block_inflates_nothing_and_persists_a_burst_does_not() -> None:
    rng = np.random.default_rng(1)
    before = np.array([250, 250, 250, 250])
    steady = rng.multinomial(300, [0.4, 0.2, 0.2, 0.2], size=3)
    burst = np.array([[300, 0, 0, 0], [75, 75, 75, 75], [75, 75, 75, 75]])

    assert ours.categorical_design_effect(steady) == 1.0
    assert ours.persistence(before, list(steady), ordered=False) == 1.0
    assert ours.persistence(before, list(burst), ordered=True) == pytest.approx(1 / 3)
    assert ours.persistence(before, [], ordered=True) == 0.0
    assert ours.persistence(before, [before], ordered=True) == 0.0


def test_the_wasserstein_distance_of_a_shift_is_the_shift() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(3, 2, size=50_000)
    b = rng.normal(3, 2, size=50_000) + 0.5
    edges = np.quantile(a, np.arange(1, 64) / 64)
    p, q = (np.bincount(np.searchsorted(edges, x), minlength=64) for x in (a, b))
    low, high = min(a.min(), b.min()), max(a.max(), b.max())
    got = ours.normed_wasserstein(p, q, edges, low, high, 2.0)

    assert got == pytest.approx(stats.wasserstein_distance(a, b) / 2, rel=0.15)
    assert ours.normed_wasserstein(p, p, edges, low, high, 2.0) == 0
    assert ours.normed_wasserstein(p, q, edges, low, high, 0.0) == 0


def test_psi_of_a_known_table() -> None:
    """(.5-.8) ln(.5/.8) + (.5-.2) ln(.5/.2), by hand."""
    got = ours.psi(np.array([50, 50]), np.array([80, 20]))

    assert got == pytest.approx(-0.3 * np.log(0.625) + 0.3 * np.log(2.5))


@given(st.integers(0, 50), st.integers(50, 500), st.integers(0, 50), st.integers(50, 500))
def test_a_rise_of_share_is_fishers_test(a: int, n: int, b: int, m: int) -> None:
    table = [[a, n - a], [b, m - b]]

    assert ours.fisher_exact_greater(a, n, b, m) == pytest.approx(
        stats.fisher_exact(table, alternative="greater").pvalue, abs=1e-9
    )
