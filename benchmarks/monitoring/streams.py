"""Streams of labelled traffic whose concept drifts or not, for `benchmarks.monitoring.loop`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from contracts.schema import Schema, integer, number
from training.recipe import Gate, Recipe

N_FEATURES = 6
TRAIN_ROWS = 4_000
WEEK_ROWS = 1_000
WEEKS = 40
ODDS_SCALE = 2.5
"""The standard deviation of the log odds: the best accuracy is then about 0.83."""
BIKE_TRAIN_WEEKS = 26
BIKE_NUMBERS = ("temp", "hum", "windspeed")
BIKE_INTEGERS = ("hr", "weekday", "workingday", "weathersit")

Weights = NDArray[np.float64]


@dataclass(frozen=True)
class Stream:
    """A recipe, whose table is the past, and the weeks after it in the order of time.

    `arriving` has the labels that arrive in a week, where they are not the true ones.
    """

    name: str
    recipe: Recipe
    weeks: Sequence[pd.DataFrame]
    drifts: bool
    arriving: Mapping[int, pd.Series]

    def labels_of(self, week: int) -> pd.Series:
        """The labels that arrive for a week's rows."""
        labels: pd.Series = self.arriving.get(week, self.weeks[week][self.recipe.targets[0]])
        return labels


SYNTHETIC = Schema(features=tuple(number(f"x{i}") for i in range(N_FEATURES)))
BIKES = Schema(
    features=(*(number(n) for n in BIKE_NUMBERS), *(integer(n, 0, 30) for n in BIKE_INTEGERS))
)


def synthetic_recipe(table: pd.DataFrame) -> Recipe:
    """A gradient boosting that the gate compares by its Brier score."""
    return Recipe(
        name="stream",
        schema=SYNTHETIC,
        load=lambda: table,
        target="y",
        task="binary",
        classes=("no", "yes"),
        estimator=partial(HistGradientBoostingClassifier, max_iter=50, max_leaf_nodes=8),
        gates=(Gate("brier", maximum=0.5),),
    )


def direction(rng: np.random.Generator) -> Weights:
    """How much each feature counts, of length one."""
    weights = rng.normal(size=N_FEATURES)
    found: Weights = weights / np.linalg.norm(weights)
    return found


def rows(n: int, weights: Weights, rng: np.random.Generator, shift: float = 0.0) -> pd.DataFrame:
    """Rows whose target depends on the features by these weights, and on one interaction."""
    x = rng.normal(size=(n, N_FEATURES))
    x[:, 0] += shift
    odds = ODDS_SCALE * (x @ weights + 0.3 * x[:, 1] * x[:, 2])
    y = rng.random(n) < 1 / (1 + np.exp(-odds))
    table = pd.DataFrame({f"x{i}": x[:, i] for i in range(N_FEATURES)})
    return table.assign(y=np.where(y, "yes", "no"))


def abrupt(seed: int, weeks: int = WEEKS) -> Stream:
    """The concept changes twice from one week to the next, each time to one of no likeness."""
    rng = np.random.default_rng([seed, 1])
    concepts = [direction(rng) for _ in range(3)]
    ends = (weeks // 4, (5 * weeks) // 8, weeks)
    table = rows(TRAIN_ROWS, concepts[0], rng)
    found = [
        rows(WEEK_ROWS, concepts[next(k for k, end in enumerate(ends) if week < end)], rng)
        for week in range(weeks)
    ]
    return Stream("abrupt", synthetic_recipe(table), found, drifts=True, arriving={})


def gradual(seed: int, weeks: int = WEEKS) -> Stream:
    """The concept turns by a right angle and a half in the course of the stream."""
    rng = np.random.default_rng([seed, 2])
    start, other = direction(rng), direction(rng)
    other -= (other @ start) * start
    other /= np.linalg.norm(other)
    table = rows(TRAIN_ROWS, start, rng)
    angles = np.linspace(0, 0.75 * np.pi, weeks)
    found = [rows(WEEK_ROWS, np.cos(a) * start + np.sin(a) * other, rng) for a in angles]
    return Stream("gradual", synthetic_recipe(table), found, drifts=True, arriving={})


def seasonal(seed: int, weeks: int = WEEKS) -> Stream:
    """A feature moves with a season of twelve weeks, which the past has seen; nothing drifts."""
    rng = np.random.default_rng([seed, 3])
    concept = direction(rng)
    past = [rows(TRAIN_ROWS // 24, concept, rng, _season(week)) for week in range(-24, 0)]
    found = [rows(WEEK_ROWS, concept, rng, _season(week)) for week in range(weeks)]
    return Stream(
        "seasonal, no drift", synthetic_recipe(_joined(past)), found, drifts=False, arriving={}
    )


def bad_week(seed: int, weeks: int = WEEKS) -> Stream:
    """Nothing drifts; the labels of one week arrive turned round."""
    rng = np.random.default_rng([seed, 4])
    concept = direction(rng)
    table = rows(TRAIN_ROWS, concept, rng)
    found = [rows(WEEK_ROWS, concept, rng) for _ in range(weeks)]
    bad = weeks // 3
    turned = found[bad].y.map({"yes": "no", "no": "yes"})
    return Stream(
        "a bad week of labels", synthetic_recipe(table), found, drifts=False, arriving={bad: turned}
    )


def bikes(path: Path) -> Stream:
    """Hourly bike rentals of two years (Fanaee-T and Gama 2013), the first half year as past."""
    table = pd.read_csv(path).dropna(subset=[*BIKE_NUMBERS, *BIKE_INTEGERS, "cnt"])
    table["time"] = pd.to_datetime(table.dteday, format="%m/%d/%y") + pd.to_timedelta(
        table.hr, unit="h"
    )
    table = table.drop_duplicates("time").sort_values("time").reset_index(drop=True)
    week = ((table.time - table.time.iloc[0]).dt.days // 7).to_numpy()
    columns = [*BIKE_NUMBERS, *BIKE_INTEGERS, "cnt"]
    table = table[columns].astype(float)
    weeks = [table[week == k].reset_index(drop=True) for k in range(int(week.max()) + 1)]
    past = _joined(weeks[:BIKE_TRAIN_WEEKS])
    recipe = Recipe(
        name="bikes",
        schema=BIKES,
        load=lambda: past,
        target="cnt",
        task="regression",
        estimator=partial(HistGradientBoostingRegressor, max_iter=100),
        gates=(Gate("mae", maximum=1e6),),
    )
    later = [found for found in weeks[BIKE_TRAIN_WEEKS:] if len(found) >= MIN_BIKE_ROWS]
    return Stream("bike sharing", recipe, later, drifts=True, arriving={})


MIN_BIKE_ROWS = 100
SYNTHETIC_STREAMS: Mapping[str, Callable[..., Stream]] = {
    "abrupt": abrupt,
    "gradual": gradual,
    "seasonal": seasonal,
    "bad_week": bad_week,
}


def points(stream: Stream, week: int, predictions: NDArray[Any]) -> float:
    """How good predictions for a week are, in points of 100.

    The share of right classes; of a regression, what the sum of absolute errors leaves of the
    sum of the targets.
    """
    truth = stream.weeks[week][stream.recipe.targets[0]].to_numpy()
    if stream.recipe.is_classifier:
        return float(100 * (predictions.astype(str) == truth.astype(str)).mean())
    errors = np.abs(predictions.astype(float) - truth).sum()
    return float(100 * (1 - errors / np.abs(truth).sum()))


def _season(week: int) -> float:
    return float(1.5 * np.sin(2 * np.pi * week / 12))


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(tables, ignore_index=True)
