"""The estimate without labels, against worlds where its assumption holds and where it fails."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.isotonic import IsotonicRegression

from metrics.value import Values
from monitoring.performance.estimated import SCORE_MIDDLES, ScoreHistogram, calibrated, expected_auc


def world(n: int, seed: int, slope: float = 3.0) -> tuple[Values, Values]:
    """Truths and calibrated scores."""
    rng = np.random.default_rng(seed)
    scores = 1 / (1 + np.exp(-slope * rng.normal(size=n)))
    return (rng.random(n) < scores).astype(float), scores


@given(st.integers(0, 500))
def test_calibration_is_sklearns_isotonic_regression(seed: int) -> None:
    truths, scores = world(150, seed)
    scores = scores.round(2)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(scores, truths)
    probe = np.unique(scores)

    assert calibrated(scores, truths)(probe) == pytest.approx(theirs.predict(probe), abs=1e-9)


@pytest.mark.parametrize("slope", [1.0, 3.0])
def test_the_estimate_follows_a_harder_mix_of_cases(slope: float) -> None:
    """Calibrated on one mix, it gives the AUC of a different one without its labels."""
    truths, scores = world(20_000, 3, 2.0)
    window_truths, window_scores = world(20_000, 4, slope)
    found = ScoreHistogram()
    found.add(window_scores)
    value = expected_auc(calibrated(scores, truths)(SCORE_MIDDLES), found.counts)

    assert value == pytest.approx(sk.roc_auc_score(window_truths, window_scores), abs=0.015)


def test_the_estimate_cannot_see_concept_drift() -> None:
    truths, scores = world(20_000, 3)
    window_truths, window_scores = world(20_000, 4)
    found = ScoreHistogram()
    found.add(window_scores)
    value = expected_auc(calibrated(scores, truths)(SCORE_MIDDLES), found.counts)

    assert sk.roc_auc_score(1 - window_truths, window_scores) < 0.2
    assert value > 0.8


def test_no_pair_has_no_expected_auc() -> None:
    assert np.isnan(expected_auc(np.zeros(3), np.array([1, 2, 3])))


def test_the_track_record_is_filled_though_labels_come_late() -> None:
    """A delay of a day and a half, and a monitor that runs 12 seconds after each window."""
    from datetime import timedelta

    from contracts.times import utc_text
    from contracts.verdict import Estimate, Performance, RealizedMetric
    from monitoring.performance.estimated import track_record
    from tests.monitoring.verdict_history import DAY, MONDAY, verdict

    late = 1.5 * DAY - timedelta(seconds=12)
    metric = RealizedMetric(
        metric="roc_auc", value=0.7, low=0.6, high=0.8, baseline=0.8, baseline_low=0.7,
        baseline_high=0.9, greater_is_better=True, p_value=0.5, effect_threshold=0.02, worse=False,
    )  # fmt: skip
    past = [
        verdict(
            day,
            estimate=Estimate(metric="roc_auc", value=0.8 + day / 10),
            performance=Performance(
                status="judged",
                mature_at="",
                start=utc_text(MONDAY + day * DAY - late),
                end=utc_text(MONDAY + (day + 1) * DAY - late),
                metrics=(metric,),
            ),
        )
        for day in range(4)
    ]
    found = track_record(past, "roc_auc")

    # Days 2 and 3 are judged on the second half of one day and the first of the next.
    assert [(round(estimate, 3), realized) for estimate, realized in found] == [
        (0.85, 0.7),
        (0.95, 0.7),
    ]
