"""A season of the week is found, and chance or slow waves are seldom taken for one."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from metrics.seasonality import NO_SEASON, Seasonality, weekly_seasonality

EDGES = stats.norm.ppf(np.arange(1, 16) / 16)


def counted(levels: NDArray[np.float64], rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Normal columns of windows with these means, shape `(n_weeks, n_slots)`, in 16 bins."""
    found = np.empty((*levels.shape, 16), dtype=np.int64)
    for where in np.ndindex(levels.shape):
        bins = np.searchsorted(EDGES, rng.normal(levels[where], size=rows))
        found[where] = np.bincount(bins, minlength=16)
    return found


def is_seasonal(found: Seasonality) -> bool:
    return found.p_value < 1e-4 and found.share >= 0.3 and found.is_weekly


def test_two_bins_give_fishers_f_test() -> None:
    """With one share per window it is the one-way analysis of variance of scipy."""
    rng = np.random.default_rng(1)
    counts = rng.multinomial(100, [0.4, 0.6], size=(3, 7))
    found = weekly_seasonality(counts, ordered=True)
    shares = counts[:, :, 0] / 100

    assert found.p_value == pytest.approx(stats.f_oneway(*shares.T).pvalue)


def test_the_share_is_that_of_the_variance_between_slots() -> None:
    """Slots with a variance of 1/4 of a deviation, weeks with the same: half of it."""
    rng = np.random.default_rng(2)
    shares = []
    for _ in range(40):
        levels = 0.5 * rng.normal(size=7) + 0.5 * rng.normal(size=(4, 7))
        shares.append(weekly_seasonality(counted(levels, 2_000, rng), ordered=True).share)

    assert np.mean(shares) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(("n_slots", "rows"), [(7, 500), (28, 200)])
def test_equal_windows_have_no_season(n_slots: int, rows: int) -> None:
    rng = np.random.default_rng(3)
    found = [
        weekly_seasonality(counted(np.zeros((2, n_slots)), rows, rng), ordered=True)
        for _ in range(150)
    ]

    assert sum(f.p_value < 0.05 for f in found) <= 0.08 * 150
    assert not any(map(is_seasonal, found))
    assert np.mean([f.excess * rows for f in found]) < 0.3


def test_a_slow_wave_is_seldom_taken_for_a_week() -> None:
    """Hours that resemble the hours before (AR(1) with 0.97): slots differ by chance."""
    rng = np.random.default_rng(4)
    taken = 0
    for _ in range(60):
        levels = np.empty(2 * 168)
        levels[0] = rng.normal()
        for hour in range(1, len(levels)):
            levels[hour] = 0.97 * levels[hour - 1] + np.sqrt(1 - 0.97**2) * rng.normal()
        found = weekly_seasonality(counted(levels.reshape(2, 168), 50, rng), ordered=True)
        taken += is_seasonal(found)

    assert taken <= 3


def test_weeks_that_differ_are_worth_fewer_rows() -> None:
    """Weeks with a deviation of 0.2: n rows are worth about n / (1 + 0.04 n)."""
    rng = np.random.default_rng(5)
    levels = np.sin(np.arange(7)) + 0.2 * rng.normal(size=(4, 7))
    found = weekly_seasonality(counted(levels, 1_000, rng), ordered=True)

    assert 0.025 < found.excess < 0.09


def test_a_season_of_the_day_is_one_of_the_week() -> None:
    rng = np.random.default_rng(6)
    levels = np.tile(0.5 * np.sin(2 * np.pi * np.arange(168) / 24), (2, 1))

    assert is_seasonal(weekly_seasonality(counted(levels, 100, rng), ordered=True))


def test_gaps_and_single_weeks_are_no_season() -> None:
    counts = np.zeros((2, 7, 4), dtype=np.int64)
    assert weekly_seasonality(counts, ordered=True) == NO_SEASON
    counts[0, :, 0] = 10
    assert weekly_seasonality(counts, ordered=False) == NO_SEASON
    counts[1, :3, 1] = 10
    assert 0 <= weekly_seasonality(counts, ordered=False).p_value <= 1
