"""Scenarios in which it is known by how much a challenger is better.

A classifier sees what can be known of a row through noise; part of the noise is shared by all
versions, as their features are. Equal noise makes equal versions: exchangeable, so none is
better. Less noise makes a better one, and how much better is computed on a million rows.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from contracts.manifest import Task
from training.evaluation.predictions import Predictions
from training.metrics import METRICS, Target

LARGE = 1_000_000
"""Rows on which a true difference is measured: it is then known to about a tenth of the margin."""


class Draw(Protocol):
    """Draws the rows of one evaluation."""

    def __call__(
        self, scenario: "Scenario", rng: np.random.Generator, noises: list[float], /
    ) -> tuple[Target, list[Predictions]]:
        """The targets, and the predictions of one version for each noise in `noises`."""


@dataclass(frozen=True)
class Scenario:
    """Evaluations of `rows` rows.

    `own` is the noise of each version and `better` that of a better one.
    """

    name: str
    task: Task
    metric: str
    rows: int
    draw: Draw
    signal: float = 1.0
    shared: float = 0.5
    own: float = 0.3
    better: float = 0.3
    margin: float = 0.0


def classifier(
    scenario: Scenario, rng: np.random.Generator, noises: list[float]
) -> tuple[Target, list[Predictions]]:
    """Two classes, log-odds seen through shared and own noise."""
    odds = scenario.signal * rng.normal(size=scenario.rows) + 1.0
    target = (rng.random(scenario.rows) < _logistic(odds)).astype(np.int64)
    seen = odds + scenario.shared * rng.normal(size=scenario.rows)
    scores = [_logistic(seen + noise * rng.normal(size=scenario.rows)) for noise in noises]
    return target, [Predictions(np.stack([1 - score, score], axis=1), 0.5) for score in scores]


def regressor(
    scenario: Scenario, rng: np.random.Generator, noises: list[float]
) -> tuple[Target, list[Predictions]]:
    """Values with tails so heavy that a fourth moment is missing (Student's t, 3 degrees)."""
    seen = scenario.signal * rng.normal(size=scenario.rows)
    target = seen + scenario.shared * rng.standard_t(3, size=scenario.rows)
    return target, [
        Predictions((seen + noise * rng.normal(size=scenario.rows))[:, None], 0.5)
        for noise in noises
    ]


def blunderer(
    scenario: Scenario, rng: np.random.Generator, noises: list[float]
) -> tuple[Target, list[Predictions]]:
    """Challengers a little better on 99 rows of 100 and so much worse on one that it is even.

    The first predictions are production's. An evaluation with few blunders flatters the
    challengers: the hardest case for any interval that trusts a standard error.
    """
    errors = 1 + rng.exponential(size=scenario.rows)
    versions = [Predictions(errors[:, None], 0.5)]
    for _ in noises[1:]:
        blunders = rng.random(scenario.rows) < 0.01  # noqa: PLR2004 - one row of a hundred
        versions.append(Predictions((errors + np.where(blunders, 0.495, -0.005))[:, None], 0.5))
    return np.zeros(scenario.rows), versions


def true_improvement(scenario: Scenario, seed: int) -> float:
    """How much better the better version is, on a million rows."""
    rng = np.random.default_rng(seed)
    target, versions = scenario.draw(
        replace(scenario, rows=LARGE), rng, [scenario.own, scenario.better]
    )
    definition = METRICS[scenario.task][scenario.metric]
    production, challenger = (
        definition.value(target, each.scores, each.threshold) for each in versions
    )
    return (challenger - production) * definition.sign


def _logistic(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-values)))
