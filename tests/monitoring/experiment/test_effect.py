"""The difference of two variants and its bounds, against sklearn, the bootstrap and theory."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from benchmarks.experiment.__main__ import looks
from benchmarks.experiment.scenarios import HeavyErrors, RareErrors, World
from metrics.estimate import estimate_mean, estimate_roc_auc
from monitoring.experiment.effect import (
    EXPERIMENT_METRICS,
    MIN_EVENTS,
    ClusteredEstimate,
    TrialRows,
    always_valid_p_value,
    confidence_sequence,
    estimate_difference,
    estimate_metric,
)


def people(n: int = 600, seed: int = 0) -> TrialRows:
    return World("test", "f1", visits=2.5).draw(n, np.random.default_rng(seed))


ORACLES: dict[str, Any] = {
    "roc_auc": lambda r: sk.roc_auc_score(r.targets, r.scores),
    "accuracy": lambda r: sk.accuracy_score(r.targets, r.predictions),
    "f1": lambda r: sk.f1_score(r.targets, r.predictions),
    "brier": lambda r: sk.brier_score_loss(r.targets, r.scores),
    "log_loss": lambda r: sk.log_loss(r.targets, r.scores),
    "rmse": lambda r: sk.root_mean_squared_error(r.targets, r.predictions),
    "mae": lambda r: sk.mean_absolute_error(r.targets, r.predictions),
}


@pytest.mark.parametrize("metric", EXPERIMENT_METRICS)
def test_a_metric_is_sklearns_and_its_error_that_of_drawing_units_again(metric: str) -> None:
    """The cluster bootstrap (whole units, with replacement) shares no formula with ours."""
    rows = people()
    found = estimate_metric(rows, metric)
    rng = np.random.default_rng(5)
    rows_of_unit = [np.flatnonzero(rows.units == unit) for unit in np.unique(rows.units)]
    again = []
    for _ in range(250):
        chosen = rng.integers(0, len(rows_of_unit), len(rows_of_unit))
        drawn_rows = np.concatenate([rows_of_unit[i] for i in chosen])
        again.append(
            ORACLES[metric](TrialRows(**{k: v[drawn_rows] for k, v in vars(rows).items()}))
        )

    assert found.value == pytest.approx(ORACLES[metric](rows))
    assert found.standard_error == pytest.approx(np.std(again), rel=0.17)


def test_rows_that_are_units_have_the_errors_of_the_verdict() -> None:
    rows = World("once", "roc_auc", visits=1.0).draw(800, np.random.default_rng(2))
    auc = estimate_roc_auc(rows.targets, rows.scores)

    assert estimate_metric(rows, "roc_auc").standard_error == pytest.approx(
        auc.standard_error, rel=0.01
    )
    losses = estimate_mean((rows.scores - rows.targets) ** 2)
    assert estimate_metric(rows, "brier").standard_error == pytest.approx(
        losses.standard_error, rel=0.01
    )


def test_times_that_change_with_the_weight_are_no_effect() -> None:
    """Later rows are harder and more of them are the challenger's: pooled, it would look bad."""
    world = World("rising", "accuracy", visits=1.0, weights=(0.05, 0.9))
    rows = world.draw(40_000, np.random.default_rng(0))
    pooled = estimate_difference(
        TrialRows(**(vars(rows) | {"strata": np.zeros_like(rows.strata)})), "accuracy"
    )
    within = estimate_difference(rows, "accuracy")

    assert pooled is not None
    assert within is not None
    assert abs(pooled.value) > 4 * pooled.standard_error
    assert abs(within.value) < 3 * within.standard_error


@given(st.floats(-1, 1), st.floats(1e-6, 1), st.integers(1, 100_000), st.integers(100, 100_000))
def test_the_p_value_is_below_5_per_cent_exactly_when_zero_is_outside(
    value: float, error: float, units: int, planned: int
) -> None:
    found = ClusteredEstimate(value, error, units, units)
    low, high = confidence_sequence(found, planned)
    p = always_valid_p_value(found, planned)

    assert 0 <= p <= 1
    if abs(p - 0.05) > 1e-9:
        assert (p < 0.05) == (not low <= 0 <= high)


def test_the_sequence_is_narrowest_where_it_was_planned() -> None:
    """In standard errors, against neighbours on both sides; and wider than a single look."""
    widths = {
        n: confidence_sequence(ClusteredEstimate(0, 1, n, n), 5000)[1]
        for n in (500, 2500, 5000, 10_000)
    }
    best = min(
        (confidence_sequence(ClusteredEstimate(0, 1, 5000, 5000), planned)[1], planned)
        for planned in range(3000, 9001, 500)
    )

    assert widths[500] > widths[2500] > widths[5000] > 1.96
    assert best[1] in {4500, 5000, 5500}


@pytest.mark.parametrize(
    "world",
    [
        RareErrors("", "accuracy", rate=0.005, weight=0.1),
        RareErrors("", "accuracy", rate=0.02, weight=0.05),
        HeavyErrors("", "rmse", weight=0.1),
    ],
    ids=["0.5 % errors, 10 %", "2 % errors, 5 %", "heavy tails, 10 %"],
)
def test_rare_errors_and_heavy_tails_decide_nothing_by_chance(
    world: RareErrors | HeavyErrors,
) -> None:
    """Without the rule for events, 13 to 27 of 100 such experiments decided for the challenger."""
    decided = [looks(world, np.random.default_rng([8, i]), 6_000)[0] for i in range(30)]

    assert sum(decided) <= 1


def test_rare_errors_that_the_challenger_avoids_are_seen_once_there_are_enough() -> None:
    world = RareErrors("", "accuracy", rate=0.02, weight=0.5, gain=1.0)
    rows = world.draw(6_000, np.random.default_rng(1))
    few = estimate_difference(rows.where(rows.units < 1_000), "accuracy")
    many = estimate_difference(rows, "accuracy")

    assert few is not None
    assert many is not None
    assert few.events < MIN_EVENTS < many.events
    assert confidence_sequence(many, 6_000)[0] > 0
    # A unit of either variant has an error in one of a hundred cases.
    assert many.events == pytest.approx(3_000 * 0.01, rel=0.4)


def test_no_units_say_nothing() -> None:
    nothing = ClusteredEstimate(0.0, 0.0, 0, 0)

    assert confidence_sequence(nothing, 1000) == (-np.inf, np.inf)
    assert always_valid_p_value(nothing, 1000) == 1.0
    assert always_valid_p_value(ClusteredEstimate(0.5, 0.0, 10, 10), 1000) == 0.0


def test_looking_thirty_times_decides_falsely_as_seldom_as_once_would() -> None:
    """A small version of `python -m benchmarks.experiment`, which has the bar."""
    world = World("peeking", "accuracy", visits=2.0)
    drawn_looks = [looks(world, np.random.default_rng([7, i]), 1500) for i in range(120)]
    ours, single, _ = np.sum(drawn_looks, axis=0)

    # At 5 % more than 12 of 120 come in one of 100 cases; 30 single looks err far more often.
    assert ours <= 12
    assert single >= 18
