"""A metric of weighted rows is scikit-learn's with sample weights, and the plain one's."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from metrics import bootstrap_metrics, classification, ranking, regression
from metrics.bootstrap_metrics import WeightedMetric
from metrics.value import MetricValue
from tests.metrics.test_values import CASES

Array = NDArray[Any]


def mean_of(
    losses: Callable[..., NDArray[np.float64]],
) -> Callable[[Array, Array], WeightedMetric]:
    return lambda target, predicted: bootstrap_metrics.weighted_mean(losses(target, predicted))


WEIGHTED: dict[str, Callable[[Array, Array], WeightedMetric]] = {
    "accuracy": mean_of(classification.hits),
    "brier": mean_of(classification.brier_losses),
    "f1": bootstrap_metrics.weighted_f1,
    "macro_f1": bootstrap_metrics.weighted_macro_f1,
    "roc_auc": bootstrap_metrics.weighted_roc_auc,
    "rmse": bootstrap_metrics.weighted_rmse,
    "rmse of 3": bootstrap_metrics.weighted_rmse,
    "mae of 3": mean_of(regression.absolute_errors),
    "r2": bootstrap_metrics.weighted_r2,
    "r2 of 3": bootstrap_metrics.weighted_r2,
}
PLAIN: dict[str, Callable[[Array, Array], MetricValue]] = {
    name: CASES[name][0] for name in WEIGHTED
}


@pytest.mark.parametrize("metric", WEIGHTED)
def test_a_weighted_metric_is_scikit_learns(metric: str) -> None:
    _, theirs, (target, predicted) = CASES[metric]
    weights = np.random.default_rng(1).random((4, len(target)))
    expected = [theirs(target, predicted, sample_weight=row) for row in weights]

    assert WEIGHTED[metric](target, predicted)(weights) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", WEIGHTED)
def test_whole_weights_are_rows_that_were_drawn_that_often(metric: str) -> None:
    _, _, (target, predicted) = CASES[metric]
    drawn = np.random.default_rng(2).integers(0, 4, size=(4, len(target)))
    rows = [np.repeat(np.arange(len(target)), often) for often in drawn]
    expected = [PLAIN[metric](target[chosen], predicted[chosen]).value for chosen in rows]
    got = WEIGHTED[metric](target, predicted)(drawn.astype(np.float64))

    assert got == pytest.approx(expected, abs=1e-12)


def test_a_weighting_without_one_of_the_classes_has_no_auc() -> None:
    target, score = np.array([0, 1, 1]), np.array([0.2, 0.4, 0.6])
    weights = np.array([[0.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
    got = bootstrap_metrics.weighted_roc_auc(target, score)(weights)

    assert np.isnan(got[0])
    assert got[1] == ranking.roc_auc(target[:2], score[:2]).value == 1.0
