"""What is said of two versions on the same rows is right, and luck is not taken for skill."""

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
from tests import tiny
from training.evaluation import compare
from training.evaluation.bootstrap import (
    Bounds,
    alpha_of,
    bounds,
    detectable,
    draws,
    is_better,
    paired,
    resampled,
)
from training.evaluation.calibration import worsening
from training.evaluation.holdout import exam_digest
from training.evaluation.paired import SatExam, Sheet, truth_of
from training.metrics import METRICS, Truth


def classes(n: int, seed: int, noise: float = 0.5, k: int = 2) -> tuple[Truth, Sheet]:
    """Truth that is the same for the same `n` and `k`, and scores as noisy as is said."""
    fixed, rng = np.random.default_rng(n + k), np.random.default_rng(seed)
    odds = fixed.normal(size=(n, k))
    truth = (odds + fixed.gumbel(size=(n, k))).argmax(axis=1)
    scores = special.softmax(odds + noise * rng.normal(size=(n, k)), axis=1)
    # Two decimals make ties, which an AUC must count as half.
    scores = scores.round(2)
    return truth, Sheet(scores / scores.sum(axis=1, keepdims=True), 0.5)


def values(n: int, seed: int, outputs: int = 1) -> tuple[Truth, Sheet]:
    fixed, rng = np.random.default_rng(n), np.random.default_rng(seed)
    truth = fixed.normal(size=(n, outputs))
    scores = truth + 0.3 * rng.standard_t(4, size=(n, outputs))
    return (truth[:, 0] if outputs == 1 else truth), Sheet(scores, 0.5)


CASES: list[tuple[Task, str, tuple[Truth, Sheet]]] = [
    *(("binary", metric, classes(200, 1)) for metric in METRICS["binary"]),
    *(("multiclass", metric, classes(200, 1, k=4)) for metric in METRICS["multiclass"]),
    *(("regression", metric, values(200, 1)) for metric in METRICS["regression"]),
    *(("regression", metric, values(200, 1, outputs=3)) for metric in METRICS["regression"]),
]


@pytest.mark.parametrize(("task", "metric", "answers"), CASES)
def test_a_metric_of_weighted_rows_is_the_metric_of_the_rows_that_were_drawn(
    task: Task, metric: str, answers: tuple[Truth, Sheet]
) -> None:
    truth, sheet = answers
    weights = next(draws(len(truth)))[:5]
    got = resampled(task, metric, truth, sheet)(weights)
    plain, _ = METRICS[task][metric]
    for drawn, value in zip(weights, got, strict=True):
        rows = np.repeat(np.arange(len(truth)), drawn.astype(int))
        assert value == pytest.approx(plain(truth[rows], sheet.scores[rows], 0.5), abs=1e-12)


def test_a_metric_without_a_weighted_form_is_computed_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def worst(truth: Truth, scores: NDArray[np.float64], _threshold: float) -> float:
        return float(np.abs(truth - scores[:, 0]).max())

    monkeypatch.setitem(METRICS["regression"], "worst", (worst, False))
    truth, sheet = values(50, 1)
    weights = next(draws(50))[:3]
    expected = [np.abs(truth - sheet.scores[:, 0])[drawn > 0].max() for drawn in weights]

    assert resampled("regression", "worst", truth, sheet)(weights).tolist() == expected


@pytest.mark.parametrize(
    ("metric", "oracle"),
    [
        ("roc_auc", lambda y, a, b: sk.roc_auc_score(y, a) - sk.roc_auc_score(y, b)),
        ("brier", lambda y, a, b: np.mean((b - y) ** 2) - np.mean((a - y) ** 2)),
    ],
)
def test_the_error_of_a_difference_is_scipys(metric: str, oracle: Any) -> None:
    truth, theirs = classes(400, 1, noise=0.8)
    _, ours = classes(400, 2, noise=0.2)
    found = paired("binary", metric, truth, ours, theirs, alpha_of(1))
    data = (truth, ours.scores[:, 1], theirs.scores[:, 1])
    by_scipy = stats.bootstrap(
        data, oracle, paired=True, vectorized=False, n_resamples=800, method="basic", rng=3
    )

    assert found.difference == pytest.approx(oracle(*data))
    assert found.error == pytest.approx(by_scipy.standard_error, rel=0.1)


def test_the_bounds_of_a_mean_are_those_of_students_paired_test() -> None:
    truth, theirs = values(500, 1)
    _, ours = values(500, 2)
    gains = np.abs(theirs.scores[:, 0] - truth) - np.abs(ours.scores[:, 0] - truth)
    sides = stats.ttest_1samp(gains, 0).confidence_interval(0.90)
    found = paired("regression", "mae", truth, ours, theirs, alpha=0.05)

    assert found.low == pytest.approx(sides.low, rel=0.1)
    assert found.high == pytest.approx(sides.high, rel=0.1)


def test_the_benchmark_measures_what_the_gate_does() -> None:
    world = replace(NO_BETTER[0], rows=200)
    truth, (theirs, ours) = world.draw(world, np.random.default_rng(1), [0.5, 0.2])
    (pair,) = compared(world, truth, theirs, [ours])

    assert pair.at(3) == paired(world.task, world.metric, truth, ours, theirs, alpha_of(3))


def test_what_attempts_may_cost_adds_up_to_five_per_cent() -> None:
    assert alpha_of(1) == pytest.approx(0.05 / special.zeta(2))
    assert sum(alpha_of(k) for k in range(1, 5000)) < 0.05
    assert alpha_of(20) == pytest.approx(alpha_of(1) / 400)


def test_a_model_against_itself_is_a_tie() -> None:
    truth, sheet = classes(300, 1)
    for metric in METRICS["binary"]:
        found = paired("binary", metric, truth, sheet, sheet, alpha_of(1))
        assert (found.difference, found.low, found.high) == (0, 0, 0)
        assert not is_better(found, 0.0)


def lucky(n: int, rows: int) -> Iterator[Sheet]:
    """Production is wrong on `rows` of `n` rows, on which the challenger is right."""
    right = np.tile([0.1, 0.9], (n, 1))
    for wrong in (0, rows):
        scores = right.copy()
        scores[:wrong] = [0.9, 0.1]
        yield Sheet(scores, 0.5)


@pytest.mark.parametrize("n", [40, 400])
def test_few_lucky_rows_pass_no_sooner_than_the_sign_test_lets_them(n: int) -> None:
    passed = 0
    for rows in range(1, 30):
        ours, theirs = lucky(n, rows)
        for attempt in (1, 2, 5, 20):
            alpha = alpha_of(attempt)
            found = paired("binary", "accuracy", np.ones(n, dtype=int), ours, theirs, alpha)
            if is_better(found, 0.0):
                passed += 1
                assert stats.binomtest(rows, rows, 0.5, "greater").pvalue <= alpha

    assert passed > 20


def test_rare_blunders_that_an_exam_missed_do_not_flatter_a_challenger() -> None:
    """Better by 0.005 on 99 rows of 100, worse by 0.495 on one: no better at all."""
    rng = np.random.default_rng(7)
    promoted, by_student = 0, 0
    for _ in range(150):
        gains = np.where(rng.random(500) < 0.01, -0.495, 0.005)
        truth, theirs = np.zeros(500), Sheet(np.ones((500, 1)), 0.5)
        ours = Sheet(1 - gains[:, None], 0.5)
        promoted += is_better(paired("regression", "mae", truth, ours, theirs, 0.03), 0.0)
        by_student += stats.ttest_1samp(gains, 0, alternative="greater").pvalue < 0.03

    assert by_student > 0.06 * 150
    assert promoted <= 0.03 * 150


def test_an_improvement_that_is_certain_and_too_small_is_a_tie() -> None:
    sure = Bounds(difference=0.002, low=0.001, high=0.003, error=0.0005, freedom=1000)

    assert is_better(sure, 0.0)
    assert is_better(sure, 0.003)
    assert not is_better(sure, 0.004)


def test_what_is_detectable_is_seen_in_four_of_five_exams() -> None:
    rng = np.random.default_rng(3)
    drawn = rng.normal(0, 0.01, size=4000)
    least = detectable(bounds(0.0, drawn, 800, 0.03), 0.03)
    lows = [bounds(rng.normal(least, 0.01), drawn, 800, 0.03).low for _ in range(2000)]

    assert np.mean(np.array(lows) > 0) == pytest.approx(0.8, abs=0.04)


def test_a_calibration_error_is_the_one_counted_by_hand() -> None:
    """Ten bins of ten rows: said 0.05, 0.15 ... 0.95, and came in half of each bin."""
    said = np.repeat(np.arange(0.05, 1, 0.1), 10)
    truth = np.tile([0, 1], 50)
    constant = Sheet(np.full((100, 2), 0.5), 0.5)
    spread = Sheet(np.stack([1 - said, said], axis=1), 0.5)
    found = worsening("binary", truth, spread, constant)

    assert found.here == pytest.approx(0.25)
    assert found.there == pytest.approx(0)
    assert 0.1 < found.low < 0.25


def sat(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], truth: Truth, **changes: Any
) -> SatExam:
    rows = pd.DataFrame({"region": np.resize(["north", "north", "south"], len(truth))})
    rows.loc[:40, "region"] = None
    recipe = replace(tiny.binary(), slices=("region",), slice_tolerance=0.05, **changes)
    return SatExam("0" * 64, recipe, rows, truth, Sheet(ours, 0.5), Sheet(theirs, 0.5))


def test_a_slice_that_becomes_worse_is_named_and_a_small_one_is_only_told() -> None:
    truth, theirs = classes(1200, 1, noise=0.3)
    ours = theirs.scores.copy()
    south = np.resize([False, False, True], 1200)
    ours[south] = ours[south][:, ::-1]
    checks = {c.path: c for c in compare._slices(sat(ours, theirs.scores, truth))}

    assert set(checks) == {"slice.region=north", "slice.region=south", "slice.region=missing"}
    assert checks["slice.region=north"].passed
    assert checks["slice.region=south"].refuses
    assert "on 387 rows" in checks["slice.region=south"].got
    assert not checks["slice.region=missing"].judged


def test_scores_that_lie_are_refused_although_they_order_as_well() -> None:
    truth, theirs = classes(2000, 1, noise=0.1)
    squeezed = 0.5 + (theirs.scores - 0.5) / 4
    check = compare._calibration(sat(squeezed, theirs.scores, truth))

    assert check.refuses
    assert check.sentence.startswith("calibration error: expected not surely worse than 0.0")
    assert compare._calibration(sat(theirs.scores, squeezed, truth)).passed


def test_a_bias_of_a_regression_is_refused() -> None:
    truth, theirs = values(800, 1)
    off = Sheet(theirs.scores + 0.2 * truth.std(), 0.5)
    found = worsening("regression", truth, off, theirs)

    assert found.here == pytest.approx(0.2 + np.mean(theirs.scores[:, 0] - truth) / truth.std())
    assert found.low > 0.05


def test_who_adds_a_feature_sits_the_same_exam_and_new_rows_make_a_new_one() -> None:
    recipe, table = tiny.binary(), tiny.people(120)
    same = exam_digest(recipe, table.assign(ratio=table.age / 2))

    assert exam_digest(recipe, table) == same
    assert exam_digest(recipe, tiny.people(121)) != same


def test_the_truth_of_several_targets_has_a_column_each() -> None:
    table = tiny.whole_people(60).assign(worth=1.0)

    assert truth_of(tiny.pair(), table).shape == (60, 2)
    assert set(truth_of(tiny.binary(), table)) == {0, 1}
