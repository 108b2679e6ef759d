"""Worlds in which it is known by how much a challenger is better, and by chance seems so.

A classifier sees what can be known of a row through noise; part of the noise is shared by all
versions, as their features are. Equal noise makes equal versions: exchangeable, so none is
better. Less noise makes a better one, and how much better is computed on a million rows.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from contracts.manifest import Task
from training.evaluation.paired import Sheet
from training.metrics import METRICS, Truth

LARGE = 1_000_000
"""Rows on which a true difference is measured: it is then known to about a tenth of the margin."""


@dataclass(frozen=True)
class World:
    """Exams of `rows` rows; `own` is the noise of each version, `better` that of a better one.

    `draw(world, rng, noises)` gives the truth and a sheet for each noise in `noises`.
    """

    name: str
    task: Task
    metric: str
    rows: int
    draw: Callable[["World", np.random.Generator, list[float]], tuple[Truth, list[Sheet]]]
    signal: float = 1.0
    shared: float = 0.5
    own: float = 0.3
    better: float = 0.3
    margin: float = 0.0


def classifier(
    world: World, rng: np.random.Generator, noises: list[float]
) -> tuple[Truth, list[Sheet]]:
    """Two classes, log-odds seen through shared and own noise."""
    odds = world.signal * rng.normal(size=world.rows) + 1.0
    truth = (rng.random(world.rows) < _logistic(odds)).astype(np.int64)
    seen = odds + world.shared * rng.normal(size=world.rows)
    scores = [_logistic(seen + noise * rng.normal(size=world.rows)) for noise in noises]
    return truth, [Sheet(np.stack([1 - score, score], axis=1), 0.5) for score in scores]


def regressor(
    world: World, rng: np.random.Generator, noises: list[float]
) -> tuple[Truth, list[Sheet]]:
    """Values with tails so heavy that a fourth moment is missing (Student's t, 3 degrees)."""
    seen = world.signal * rng.normal(size=world.rows)
    truth = seen + world.shared * rng.standard_t(3, size=world.rows)
    return truth, [
        Sheet((seen + noise * rng.normal(size=world.rows))[:, None], 0.5) for noise in noises
    ]


def blunderer(
    world: World, rng: np.random.Generator, noises: list[float]
) -> tuple[Truth, list[Sheet]]:
    """Challengers a little better on 99 rows of 100 and so much worse on one that it is even.

    The first sheet is production's. An exam with few blunders flatters them: the hardest case
    for any interval that trusts a standard error.
    """
    errors = 1 + rng.exponential(size=world.rows)
    sheets = [Sheet(errors[:, None], 0.5)]
    for _ in noises[1:]:
        blunders = rng.random(world.rows) < 0.01  # noqa: PLR2004 - one row of a hundred
        sheets.append(Sheet((errors + np.where(blunders, 0.495, -0.005))[:, None], 0.5))
    return np.zeros(world.rows), sheets


def true_improvement(world: World, seed: int) -> float:
    """How much better the better version is, on a million rows."""
    rng = np.random.default_rng(seed)
    truth, sheets = world.draw(replace(world, rows=LARGE), rng, [world.own, world.better])
    plain, greater = METRICS[world.task][world.metric]
    production, challenger = (plain(truth, sheet.scores, sheet.threshold) for sheet in sheets)
    return (challenger - production) * (1 if greater else -1)


def _logistic(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-values)))
