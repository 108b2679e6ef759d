"""Whether units were split as configured, against scipy."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.experiment.__main__ import mismatches
from monitoring.experiment.sample_ratio import mixed_units, ratio_check


def test_the_ratio_is_scipys_chi_square() -> None:
    rng = np.random.default_rng(1)
    strata = np.repeat([0, 1], 1000)
    weights = np.array([0.1, 0.5])
    treated = rng.random(2000) < weights[strata]
    units = np.arange(2000, dtype=np.uint64)
    found = ratio_check(units, treated, strata, weights)
    expected = 0.0
    for stratum, weight in enumerate(weights):
        n = int(treated[strata == stratum].sum())
        expected += stats.chisquare([n, 1000 - n], [1000 * weight, 1000 * (1 - weight)]).statistic

    assert found.chi_square == pytest.approx(expected)
    assert found.p_value == pytest.approx(stats.chi2.sf(expected, 2))
    assert found.dof == 2


def test_lost_units_are_detected_and_chance_is_not() -> None:
    assert mismatches(0.1, 0.5, repetitions=30) >= 0.8
    assert mismatches(0.0, 0.5, repetitions=100) <= 0.03


def test_a_unit_counts_once_where_it_was_seen_first() -> None:
    """One heavy user of the challenger is no mismatch."""
    units = np.array([*range(100), *[99] * 5000], dtype=np.uint64)
    treated = np.array([i % 2 == 1 for i in range(100)] + [True] * 5000)
    strata = np.zeros(5100, dtype=np.int64)
    found = ratio_check(units, treated, strata, np.array([0.5]))

    assert (found.strata[0].production, found.strata[0].challenger) == (50, 50)
    assert found.chi_square == 0


def test_too_few_units_or_no_weight_are_not_checked() -> None:
    units = np.arange(40, dtype=np.uint64)
    treated, strata = units % 2 == 0, np.zeros(40, dtype=np.int64)

    assert not ratio_check(units, treated, strata, np.array([0.1])).checked
    assert not ratio_check(units, treated, strata, np.array([np.nan])).checked
    assert not ratio_check(units, treated, strata, np.array([np.nan])).failed
    assert not ratio_check(units[:0], treated[:0], strata[:0], np.empty(0)).checked


def test_units_in_both_variants_are_counted() -> None:
    units = np.array([1, 1, 2, 3, 3], dtype=np.uint64)
    treated = np.array([True, False, True, False, True])
    strata = np.array([0, 0, 0, 0, 1])

    assert mixed_units(units, treated, strata) == 1
    assert mixed_units(units[:0], treated[:0], strata[:0]) == 0
