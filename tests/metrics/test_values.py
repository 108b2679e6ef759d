"""Values are scikit-learn's, and influences the slopes of scikit-learn's weighted metrics."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as sk

from metrics import classification, ranking, regression
from metrics.value import MetricValue

Array = NDArray[Any]
Ours = Callable[[Array, Array], MetricValue]
Theirs = Callable[..., float]

STEP = 1e-5
"""A change of a row's weight; the slopes' errors are of its square."""


def binary(n: int = 60) -> tuple[Array, Array]:
    """Classes 0 and 1, and scores in tenths, so that many are equal."""
    rng = np.random.default_rng(n)
    score = rng.random(n).round(1).clip(0.01, 0.99)
    return (rng.random(n) < score).astype(np.int64), score


def decided(n: int = 60, k: int = 2) -> tuple[Array, Array]:
    rng = np.random.default_rng(n + k)
    target = rng.integers(0, k, size=n)
    return target, np.where(rng.random(n) < 0.6, target, rng.integers(0, k, size=n))


def values(n: int = 60, outputs: int = 1) -> tuple[Array, Array]:
    rng = np.random.default_rng(n + outputs)
    target = rng.normal(size=(n, outputs))
    prediction = target + 0.5 * rng.standard_t(4, size=(n, outputs))
    return (target[:, 0], prediction[:, 0]) if outputs == 1 else (target, prediction)


def our_log_loss(target: Array, score: Array) -> MetricValue:
    scores = np.stack([1 - score, score], axis=1)
    return classification.log_loss(classification.true_class_score(target, scores))


def macro(target: Array, prediction: Array, **weights: Any) -> float:
    return float(sk.f1_score(target, prediction, average="macro", **weights))


CASES: dict[str, tuple[Ours, Theirs, tuple[Array, Array]]] = {
    "accuracy": (classification.accuracy, sk.accuracy_score, decided(k=4)),
    "brier": (classification.brier, sk.brier_score_loss, binary()),
    "log_loss": (our_log_loss, sk.log_loss, binary()),
    "f1": (classification.f1, sk.f1_score, decided()),
    "macro_f1": (classification.macro_f1, macro, decided(k=5)),
    "roc_auc": (ranking.roc_auc, sk.roc_auc_score, binary()),
    "rmse": (regression.rmse, sk.root_mean_squared_error, values()),
    "rmse of 3": (regression.rmse, sk.root_mean_squared_error, values(outputs=3)),
    "mae": (regression.mae, sk.mean_absolute_error, values()),
    "mae of 3": (regression.mae, sk.mean_absolute_error, values(outputs=3)),
    "r2": (regression.r2, sk.r2_score, values()),
    "r2 of 3": (regression.r2, sk.r2_score, values(outputs=3)),
}


@pytest.mark.parametrize("metric", CASES)
def test_a_value_is_scikit_learns(metric: str) -> None:
    ours, theirs, (target, predicted) = CASES[metric]

    assert ours(target, predicted).value == pytest.approx(theirs(target, predicted), abs=1e-12)


@pytest.mark.parametrize("metric", CASES)
def test_an_influence_is_the_slope_of_scikit_learns_weighted_metric(metric: str) -> None:
    """`n_rows` times the derivative by a row's weight, where all weights are one."""
    ours, theirs, (target, predicted) = CASES[metric]
    n_rows = len(target)
    slopes = []
    for row in range(n_rows):
        up, down = (
            theirs(target, predicted, sample_weight=1 + sign * STEP * (np.arange(n_rows) == row))
            for sign in (1, -1)
        )
        slopes.append(n_rows * (up - down) / (2 * STEP))
    influence = ours(target, predicted).influence

    assert influence == pytest.approx(slopes, abs=2e-7)
    assert influence.sum() == pytest.approx(0, abs=1e-9)


def test_a_metric_that_the_rows_do_not_define_says_so() -> None:
    one_class = ranking.roc_auc(np.ones(5), np.arange(5.0))
    nothing_positive = np.zeros(5)

    assert np.isnan(one_class.value)
    assert not one_class.influence.any()
    assert classification.f1(nothing_positive, nothing_positive).value == 0.0
    undefined = classification.f1(nothing_positive, nothing_positive, zero_division=np.nan)
    assert np.isnan(undefined.value)


def test_no_probability_costs_infinitely_much() -> None:
    assert classification.log_loss(np.array([0.0])).value == pytest.approx(-np.log(1e-15))


def test_a_perfect_prediction_has_no_error_and_no_influence() -> None:
    found = regression.rmse(np.arange(4.0), np.arange(4.0))

    assert found.value == 0
    assert not found.influence.any()
