"""Labels that are selected do not make a model worse, and hide no fall that they could show."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.monitoring.selected_labels import (
    FALLEN_SLOPE,
    SELECTIONS,
    is_called_worse,
    trained_on,
    world,
)
from metrics.weighted_estimate import (
    estimate_weighted_mean,
    estimate_weighted_rmse,
    estimate_weighted_roc_auc,
)
from monitoring.labels.join import ScoreSample
from monitoring.performance.selection import label_selection

N = 40


def share(name: str, slope: float) -> int:
    return sum(
        is_called_worse(SELECTIONS[name], slope, np.random.default_rng([4, i])) for i in range(N)
    )


@pytest.mark.parametrize("name", SELECTIONS)
def test_an_unchanged_model_is_not_called_worse_because_of_who_has_a_label(name: str) -> None:
    """The metric on the labelled rows alone called it worse in up to all of the windows."""
    assert share(name, 1.0) <= 2


@pytest.mark.parametrize(
    "name", ["all", "the 30 % with the highest score", "positives twice as often"]
)
def test_a_true_fall_is_seen_under_the_same_selection(name: str) -> None:
    assert share(name, FALLEN_SLOPE) >= 0.9 * N


def test_labels_of_scores_that_no_held_out_row_has_cannot_be_judged() -> None:
    rng = np.random.default_rng(1)
    held_out, window = world(5_000, 1.0, rng), world(4_000, 1.0, rng)
    top = window.scores > np.quantile(window.scores, 0.7)
    low = held_out.where(held_out.scores < np.quantile(held_out.scores, 0.7))
    found = label_selection(window.where(top), window.scores[~top], 0.3, low, trained_on(held_out))

    assert found is not None
    assert found.baselines == ()
    assert found.description.startswith("labels are selected: 30% of the predictions have one")
    none = label_selection(window.where(top), window.scores[~top], 0.3, None, trained_on(held_out))
    assert none is not None
    assert none.baselines == ()


def test_weighted_metrics_are_those_of_rows_repeated_by_their_weights() -> None:
    rng = np.random.default_rng(2)
    rows, weights = world(400, 1.0, rng), rng.integers(0, 4, 400)
    repeated = np.repeat(np.arange(400), weights)
    auc = estimate_weighted_roc_auc(rows.targets, rows.scores, weights.astype(np.float64))
    losses = rng.normal(size=400)

    assert auc.value == pytest.approx(roc_auc_score(rows.targets[repeated], rows.scores[repeated]))
    assert estimate_weighted_mean(losses, weights.astype(np.float64)).value == pytest.approx(
        losses[repeated].mean()
    )
    assert estimate_weighted_rmse(losses, weights.astype(np.float64)).value == pytest.approx(
        np.sqrt((losses[repeated] ** 2).mean())
    )


def test_the_error_of_a_weighted_metric_is_its_spread() -> None:
    """Over 300 samples whose weights depend on the score."""
    values, errors = [], []
    for i in range(300):
        rows = world(500, 1.0, np.random.default_rng([9, i]))
        found = estimate_weighted_roc_auc(rows.targets, rows.scores, rows.scores**2)
        values.append(found.value)
        errors.append(found.standard_error)

    assert np.std(values) == pytest.approx(np.mean(errors), rel=0.12)


def test_a_sample_of_scores_is_even_and_bounded() -> None:
    sample = ScoreSample(max_scores=1_000)
    for start in range(0, 100_000, 777):
        sample.add(np.arange(start, min(start + 777, 100_000), dtype=float))

    assert 500 <= len(sample.scores) <= 1_000
    assert np.ptp(np.diff(sample.scores)) == 0
