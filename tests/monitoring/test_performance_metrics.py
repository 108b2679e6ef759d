"""Metrics against sklearn and the bootstrap; the estimate against worlds where it holds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.isotonic import IsotonicRegression

from monitoring.performance import metrics as outcome
from monitoring.performance.estimated import _MIDDLES, ScoreCells, calibrated, expected_auc


def world(n: int, seed: int, slope: float = 3.0) -> tuple[outcome.Numbers, outcome.Numbers]:
    """Truths and calibrated scores."""
    rng = np.random.default_rng(seed)
    scores = 1 / (1 + np.exp(-slope * rng.normal(size=n)))
    return (rng.random(n) < scores).astype(float), scores


@given(st.integers(0, 1000), st.integers(1, 3))
def test_roc_auc_is_sklearns_with_ties(seed: int, digits: int) -> None:
    truths, scores = world(200, seed)
    scores = scores.round(digits)

    assert outcome.roc_auc(truths, scores).value == pytest.approx(sk.roc_auc_score(truths, scores))


def test_the_error_of_the_auc_is_that_of_drawing_again() -> None:
    drawn = [sk.roc_auc_score(*world(500, seed)) for seed in range(400)]
    told = np.mean([outcome.roc_auc(*world(500, seed)).error for seed in range(100)])

    assert told == pytest.approx(np.std(drawn), rel=0.12)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    truth = sk.roc_auc_score(*world(400_000, 1))
    right = 1 - np.mean(np.abs(world(400_000, 1)[0] - (world(400_000, 1)[1] >= 0.5)))
    held = {"auc": 0, "accuracy": 0}
    for seed in range(300):
        truths, scores = world(300, seed + 10)
        auc = outcome.roc_auc(truths, scores)
        correct = outcome.accuracy((scores >= 0.5) == (truths == 1))
        held["auc"] += int(auc.low <= truth <= auc.high)
        held["accuracy"] += int(correct.low <= right <= correct.high)

    assert all(0.91 <= n / 300 <= 0.985 for n in held.values()), held


def test_losses_are_sklearns_and_rmse_has_its_error() -> None:
    rng = np.random.default_rng(0)
    errors = rng.normal(size=4_000)
    measured = outcome.rmse(errors)

    assert measured.value == pytest.approx(np.sqrt(sk.mean_squared_error(errors, 0 * errors)))
    # sigma / sqrt(2 n) for normal errors.
    assert measured.error == pytest.approx(1 / np.sqrt(8_000), rel=0.1)
    assert outcome.mean_loss(np.array([2.0])).error == 0


def test_one_class_has_no_auc_and_certainty_has_no_width() -> None:
    assert np.isnan(outcome.roc_auc(np.ones(5), np.arange(5.0)).value)
    assert outcome.roc_auc(np.array([0.0, 1.0]), np.array([0.0, 1.0])).low == 1.0
    same = outcome.Measured(0.8, 0.0, 0.8, 0.8)
    assert outcome.chance_worse(same, 0.9, 0.0, greater_is_better=True) == 0.0
    assert outcome.chance_worse(same, 0.8, 0.0, greater_is_better=True) == 1.0


@given(st.integers(0, 500))
def test_calibration_is_sklearns_isotonic_regression(seed: int) -> None:
    truths, scores = world(150, seed)
    scores = scores.round(2)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(scores, truths)
    probe = np.unique(scores)

    assert calibrated(scores, truths)(probe) == pytest.approx(theirs.predict(probe), abs=1e-9)


@pytest.mark.parametrize("slope", [1.0, 3.0])
def test_the_estimate_follows_a_harder_mix_of_cases(slope: float) -> None:
    """Calibrated on one mix, it tells the AUC of another, which only labels could."""
    truths, scores = world(20_000, 3, 2.0)
    window_truths, window_scores = world(20_000, 4, slope)
    cells = ScoreCells()
    cells.add(window_scores)
    told = expected_auc(calibrated(scores, truths)(_MIDDLES), cells.counts)

    assert told == pytest.approx(sk.roc_auc_score(window_truths, window_scores), abs=0.015)


def test_the_estimate_is_blind_to_a_world_that_answers_otherwise() -> None:
    truths, scores = world(20_000, 3)
    window_truths, window_scores = world(20_000, 4)
    cells = ScoreCells()
    cells.add(window_scores)
    told = expected_auc(calibrated(scores, truths)(_MIDDLES), cells.counts)

    assert sk.roc_auc_score(1 - window_truths, window_scores) < 0.2
    assert told > 0.8


def test_no_pair_has_no_expected_auc() -> None:
    assert np.isnan(expected_auc(np.zeros(3), np.array([1, 2, 3])))
