"""What an evaluation says about two versions is right, and luck is not taken for skill."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import special, stats
from sklearn import metrics as sk

from benchmarks.gate.__main__ import NO_BETTER, compared
from contracts.manifest import Task
from metrics.alpha_spending import alpha_at_attempt
from tests import tiny
from training.dataset import encoded_targets, targets_of
from training.evaluation.bootstrap import (
    Improvement,
    bootstrap_weights,
    detectable_improvement,
    improvement,
    is_better,
    paired_improvement,
    weighted_metric,
)
from training.evaluation.calibration import calibration_errors
from training.evaluation.checks import calibration_check, segment_checks
from training.evaluation.holdout import evaluation_digest
from training.evaluation.paired_predictions import PairedEvaluation
from training.evaluation.predictions import Predictions
from training.metrics import METRICS, MetricDefinition, Target
from training.recipe import Recipe


def classes(n: int, seed: int, noise: float = 0.5, k: int = 2) -> tuple[Target, Predictions]:
    """Targets that are equal for equal `n` and `k`, and scores with the given noise."""
    fixed, rng = np.random.default_rng(n + k), np.random.default_rng(seed)
    odds = fixed.normal(size=(n, k))
    target = (odds + fixed.gumbel(size=(n, k))).argmax(axis=1)
    scores = special.softmax(odds + noise * rng.normal(size=(n, k)), axis=1)
    # Two decimals make ties, which an AUC must count as half.
    scores = scores.round(2)
    return target, Predictions(scores / scores.sum(axis=1, keepdims=True), 0.5)


def values(n: int, seed: int, outputs: int = 1) -> tuple[Target, Predictions]:
    fixed, rng = np.random.default_rng(n), np.random.default_rng(seed)
    target = fixed.normal(size=(n, outputs))
    scores = target + 0.3 * rng.standard_t(4, size=(n, outputs))
    return (target[:, 0] if outputs == 1 else target), Predictions(scores, 0.5)


CASES: list[tuple[Task, str, tuple[Target, Predictions]]] = [
    *(("binary", metric, classes(200, 1)) for metric in METRICS["binary"]),
    *(("multiclass", metric, classes(200, 1, k=4)) for metric in METRICS["multiclass"]),
    *(("regression", metric, values(200, 1)) for metric in METRICS["regression"]),
    *(("regression", metric, values(200, 1, outputs=3)) for metric in METRICS["regression"]),
]


@pytest.mark.parametrize(("task", "metric", "case"), CASES)
def test_a_metric_of_weighted_rows_is_the_metric_of_the_rows_that_were_drawn(
    task: Task, metric: str, case: tuple[Target, Predictions]
) -> None:
    target, predictions = case
    weights = next(bootstrap_weights(len(target)))[:5]
    got = weighted_metric(task, metric, target, predictions)(weights)
    plain = METRICS[task][metric].value
    for drawn, value in zip(weights, got, strict=True):
        rows = np.repeat(np.arange(len(target)), drawn.astype(int))
        assert value == pytest.approx(plain(target[rows], predictions.scores[rows], 0.5), abs=1e-12)


def test_a_metric_without_a_weighted_form_is_computed_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def worst(target: Target, scores: NDArray[np.float64], _threshold: float) -> float:
        return float(np.abs(target - scores[:, 0]).max())

    monkeypatch.setitem(
        METRICS["regression"], "worst", MetricDefinition(worst, greater_is_better=False)
    )
    target, predictions = values(50, 1)
    weights = next(bootstrap_weights(50))[:3]
    expected = [np.abs(target - predictions.scores[:, 0])[drawn > 0].max() for drawn in weights]

    assert weighted_metric("regression", "worst", target, predictions)(weights).tolist() == expected


@pytest.mark.parametrize(
    ("metric", "oracle"),
    [
        ("roc_auc", lambda y, a, b: sk.roc_auc_score(y, a) - sk.roc_auc_score(y, b)),
        ("brier", lambda y, a, b: np.mean((b - y) ** 2) - np.mean((a - y) ** 2)),
    ],
)
def test_the_error_of_a_difference_is_scipys(metric: str, oracle: Any) -> None:
    target, theirs = classes(400, 1, noise=0.8)
    _, ours = classes(400, 2, noise=0.2)
    found = paired_improvement("binary", metric, target, ours, theirs, alpha_at_attempt(1))
    data = (target, ours.scores[:, 1], theirs.scores[:, 1])
    by_scipy = stats.bootstrap(
        data, oracle, paired=True, vectorized=False, n_resamples=800, method="basic", rng=3
    )

    assert found.difference == pytest.approx(oracle(*data))
    assert found.standard_error == pytest.approx(by_scipy.standard_error, rel=0.1)


def test_the_bounds_of_a_mean_are_those_of_students_paired_test() -> None:
    target, theirs = values(500, 1)
    _, ours = values(500, 2)
    gains = np.abs(theirs.scores[:, 0] - target) - np.abs(ours.scores[:, 0] - target)
    sides = stats.ttest_1samp(gains, 0).confidence_interval(0.90)
    found = paired_improvement("regression", "mae", target, ours, theirs, alpha=0.05)

    assert found.low == pytest.approx(sides.low, rel=0.1)
    assert found.high == pytest.approx(sides.high, rel=0.1)


def test_the_benchmark_measures_what_the_gate_does() -> None:
    world = replace(NO_BETTER[0], rows=200)
    target, (theirs, ours) = world.draw(world, np.random.default_rng(1), [0.5, 0.2])
    (pair,) = compared(world, target, theirs, [ours])

    assert pair.at(3) == paired_improvement(
        world.task, world.metric, target, ours, theirs, alpha_at_attempt(3)
    )


def test_what_attempts_may_cost_adds_up_to_five_per_cent() -> None:
    assert alpha_at_attempt(1) == pytest.approx(0.05 / special.zeta(2))
    assert sum(alpha_at_attempt(k) for k in range(1, 5000)) < 0.05
    assert alpha_at_attempt(20) == pytest.approx(alpha_at_attempt(1) / 400)


def test_a_model_against_itself_is_a_tie() -> None:
    target, predictions = classes(300, 1)
    for metric in METRICS["binary"]:
        found = paired_improvement(
            "binary", metric, target, predictions, predictions, alpha_at_attempt(1)
        )
        assert (found.difference, found.low, found.high) == (0, 0, 0)
        assert not is_better(found, 0.0)


def lucky(n: int, rows: int) -> Iterator[Predictions]:
    """Production is wrong on `rows` of `n` rows, on which the challenger is right."""
    right = np.tile([0.1, 0.9], (n, 1))
    for wrong in (0, rows):
        scores = right.copy()
        scores[:wrong] = [0.9, 0.1]
        yield Predictions(scores, 0.5)


@pytest.mark.parametrize("n", [40, 400])
def test_few_lucky_rows_pass_no_sooner_than_the_sign_test_lets_them(n: int) -> None:
    passed = 0
    for rows in range(1, 30):
        ours, theirs = lucky(n, rows)
        for attempt in (1, 2, 5, 20):
            alpha = alpha_at_attempt(attempt)
            found = paired_improvement(
                "binary", "accuracy", np.ones(n, dtype=int), ours, theirs, alpha
            )
            if is_better(found, 0.0):
                passed += 1
                assert stats.binomtest(rows, rows, 0.5, "greater").pvalue <= alpha

    assert passed > 20


def test_rare_blunders_that_an_evaluation_missed_do_not_flatter_a_challenger() -> None:
    """Better by 0.005 on 99 rows of 100, worse by 0.495 on one: no better at all."""
    rng = np.random.default_rng(7)
    promoted, by_student = 0, 0
    for _ in range(150):
        gains = np.where(rng.random(500) < 0.01, -0.495, 0.005)
        target, theirs = np.zeros(500), Predictions(np.ones((500, 1)), 0.5)
        ours = Predictions(1 - gains[:, None], 0.5)
        promoted += is_better(
            paired_improvement("regression", "mae", target, ours, theirs, 0.03), 0.0
        )
        by_student += stats.ttest_1samp(gains, 0, alternative="greater").pvalue < 0.03

    assert by_student > 0.06 * 150
    assert promoted <= 0.03 * 150


def test_an_improvement_that_is_certain_and_too_small_is_a_tie() -> None:
    sure = Improvement(difference=0.002, low=0.001, high=0.003, standard_error=0.0005, dof=1000)

    assert is_better(sure, 0.0)
    assert is_better(sure, 0.003)
    assert not is_better(sure, 0.004)


def test_what_is_detectable_is_seen_in_four_of_five_evaluations() -> None:
    rng = np.random.default_rng(3)
    drawn = rng.normal(0, 0.01, size=4000)
    least = detectable_improvement(improvement(0.0, drawn, 800, 0.03), 0.03)
    lows = [improvement(rng.normal(least, 0.01), drawn, 800, 0.03).low for _ in range(2000)]

    assert np.mean(np.array(lows) > 0) == pytest.approx(0.8, abs=0.04)


def test_a_calibration_error_is_the_one_counted_by_hand() -> None:
    """Ten bins of ten rows: said 0.05, 0.15 ... 0.95, and came in half of each bin."""
    said = np.repeat(np.arange(0.05, 1, 0.1), 10)
    target = np.tile([0, 1], 50)
    constant = Predictions(np.full((100, 2), 0.5), 0.5)
    spread = Predictions(np.stack([1 - said, said], axis=1), 0.5)
    found = calibration_errors("binary", target, spread, constant)

    assert found.challenger == pytest.approx(0.25)
    assert found.production == pytest.approx(0)
    assert 0.1 < found.worse_by_low < 0.25


def encoded(recipe: Recipe, table: pd.DataFrame) -> Target:
    return encoded_targets(recipe, targets_of(recipe, table))


def evaluated(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], target: Target, **changes: Any
) -> PairedEvaluation:
    rows = pd.DataFrame({"region": np.resize(["north", "north", "south"], len(target))})
    rows.loc[:40, "region"] = None
    recipe = replace(
        tiny.binary(), gate_segment_features=("region",), segment_tolerance=0.05, **changes
    )
    return PairedEvaluation(
        "0" * 64, recipe, rows, target, Predictions(ours, 0.5), Predictions(theirs, 0.5)
    )


def test_a_segment_that_becomes_worse_is_named_and_a_small_one_is_only_reported() -> None:
    target, theirs = classes(1200, 1, noise=0.3)
    ours = theirs.scores.copy()
    south = np.resize([False, False, True], 1200)
    ours[south] = ours[south][:, ::-1]
    checks = {c.path: c for c in segment_checks(evaluated(ours, theirs.scores, target))}

    assert set(checks) == {"slice.region=north", "slice.region=south", "slice.region=missing"}
    assert checks["slice.region=north"].passed
    assert checks["slice.region=south"].refuses
    assert "on 387 rows" in checks["slice.region=south"].got
    assert not checks["slice.region=missing"].judged


def test_scores_that_lie_are_refused_although_they_order_as_well() -> None:
    target, theirs = classes(2000, 1, noise=0.1)
    squeezed = 0.5 + (theirs.scores - 0.5) / 4
    check = calibration_check(evaluated(squeezed, theirs.scores, target))

    assert check.refuses
    assert check.sentence.startswith("calibration error: expected not significantly worse than 0.0")
    assert calibration_check(evaluated(theirs.scores, squeezed, target)).passed


def test_a_bias_of_a_regression_is_refused() -> None:
    target, theirs = values(800, 1)
    off = Predictions(theirs.scores + 0.2 * target.std(), 0.5)
    found = calibration_errors("regression", target, off, theirs)

    assert found.challenger == pytest.approx(
        0.2 + np.mean(theirs.scores[:, 0] - target) / target.std()
    )
    assert found.worse_by_low > 0.05


def test_a_new_feature_leaves_the_evaluation_the_same_and_new_rows_make_a_new_one() -> None:
    recipe, table = tiny.binary(), tiny.people(120)
    same = evaluation_digest(recipe, table.assign(ratio=table.age / 2))

    assert evaluation_digest(recipe, table) == same
    assert evaluation_digest(recipe, tiny.people(121)) != same


def test_several_targets_have_a_column_each() -> None:
    table = tiny.whole_people(60).assign(worth=1.0)

    assert encoded(tiny.pair(), table).shape == (60, 2)
    assert set(encoded(tiny.binary(), table)) == {0, 1}


def test_what_an_evaluation_can_see_does_not_depend_on_who_is_better() -> None:
    better = Improvement(0.02, low=0.001, high=0.04, standard_error=0.01, dof=99)
    worse = Improvement(-0.02, low=-0.04, high=0.0, standard_error=0.01, dof=99)
    blind = better.without_result(100)

    assert blind == worse.without_result(100)
    assert blind.difference == 0
    assert blind.standard_error == pytest.approx(np.hypot(0.01, 0.002))
