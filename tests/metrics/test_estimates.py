"""Standard errors are those of drawing again, and intervals hold the truth as often as they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from metrics import estimate
from metrics.interval import wilson
from metrics.value import Values


def calibrated_scores(n: int, seed: int) -> tuple[Values, Values]:
    """Targets 0 or 1, and the probabilities with which they were drawn."""
    rng = np.random.default_rng(seed)
    scores = 1 / (1 + np.exp(-3 * rng.normal(size=n)))
    return (rng.random(n) < scores).astype(float), scores


@given(st.integers(0, 1000), st.integers(1, 3))
def test_an_auc_is_scikit_learns_with_ties(seed: int, digits: int) -> None:
    target, scores = calibrated_scores(200, seed)
    scores = scores.round(digits)

    found = estimate.estimate_roc_auc(target, scores)
    assert found.value == pytest.approx(sk.roc_auc_score(target, scores), abs=1e-12)


def test_the_error_of_an_auc_is_that_of_drawing_again() -> None:
    drawn = [sk.roc_auc_score(*calibrated_scores(500, seed)) for seed in range(400)]
    errors = [
        estimate.estimate_roc_auc(*calibrated_scores(500, seed)).standard_error
        for seed in range(100)
    ]

    assert np.mean(errors) == pytest.approx(np.std(drawn), rel=0.12)


def test_delongs_error_is_that_of_hanley_and_mcneils_components() -> None:
    """By another route: the variances of the components, from all pairs."""
    target, scores = calibrated_scores(80, 3)
    high, low = scores[target == 1], scores[target == 0]
    pairs = (high[:, None] > low) + 0.5 * (high[:, None] == low)
    variances = [np.var(pairs.mean(axis=axis), ddof=1) for axis in (1, 0)]
    expected = np.sqrt(variances[0] / len(high) + variances[1] / len(low))

    found = estimate.estimate_roc_auc(target, scores).standard_error
    assert found == pytest.approx(expected, rel=1e-12)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    target, scores = calibrated_scores(400_000, 1)
    true_auc = sk.roc_auc_score(target, scores)
    true_accuracy = np.mean((scores >= 0.5) == (target == 1))
    held = {"auc": 0, "accuracy": 0}
    for seed in range(300):
        target, scores = calibrated_scores(300, seed + 10)
        auc = estimate.estimate_roc_auc(target, scores)
        accuracy = estimate.estimate_accuracy((scores >= 0.5) == (target == 1))
        held["auc"] += int(auc.low <= true_auc <= auc.high)
        held["accuracy"] += int(accuracy.low <= true_accuracy <= accuracy.high)

    assert all(0.91 <= n / 300 <= 0.985 for n in held.values()), held


def test_a_mean_has_scipys_standard_error_and_an_rmse_that_of_normal_errors() -> None:
    residuals = np.random.default_rng(0).normal(size=4_000)
    rmse = estimate.estimate_rmse(residuals)

    assert estimate.estimate_mean(residuals).standard_error == pytest.approx(stats.sem(residuals))
    assert rmse.value == pytest.approx(sk.root_mean_squared_error(residuals, 0 * residuals))
    # sigma / sqrt(2 n) for normal errors.
    assert rmse.standard_error == pytest.approx(1 / np.sqrt(8_000), rel=0.1)
    assert estimate.estimate_mean(np.array([2.0])).standard_error == 0


def test_one_class_has_no_auc_and_certainty_has_no_width() -> None:
    assert np.isnan(estimate.estimate_roc_auc(np.ones(5), np.arange(5.0)).value)
    assert estimate.estimate_roc_auc(np.array([0.0, 1.0]), np.array([0.0, 1.0])).low == 1.0
    same = estimate.MetricEstimate(0.8, 0.0, 0.8, 0.8)
    assert estimate.p_value_worse(same, 0.9, 0.0, greater_is_better=True) == 0.0
    assert estimate.p_value_worse(same, 0.8, 0.0, greater_is_better=True) == 1.0


@given(st.integers(1, 500), st.data(), st.sampled_from([0.8, 0.95, 0.999]))
def test_wilsons_interval_is_scipys(n: int, data: st.DataObject, confidence: float) -> None:
    hits = data.draw(st.integers(0, n))
    expected = stats.binomtest(hits, n).proportion_ci(confidence, method="wilson")
    z = float(stats.norm.isf((1 - confidence) / 2))

    assert wilson(hits, n, z) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_without_a_row_a_share_may_be_anything() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
