"""Made-up experiments: people who come again, of unlike difficulty, in two variants."""

from dataclasses import dataclass

import numpy as np

from monitoring.experiment.effect import TrialRows


@dataclass(frozen=True)
class World:
    """An experiment: `gain` is what the challenger's scores add to the separation.

    `visits` is the mean number of rows of a unit; `alike` the deviation of what a unit's rows
    have in common, in deviations of the noise. `weights` are in force one after the other for
    equally many units.
    """

    name: str
    metric: str
    gain: float = 0.0
    visits: float = 3.0
    alike: float = 1.0
    weights: tuple[float, ...] = (0.5,)

    def draw(self, n_units: int, rng: np.random.Generator) -> TrialRows:
        """Return the labelled rows of `n_units` units, in the order in which the units came."""
        visits = rng.geometric(1 / self.visits, size=n_units)
        unit = np.repeat(np.arange(n_units), visits)
        stratum = unit * len(self.weights) // n_units
        point = rng.random(n_units)[unit]
        treated = point < np.array(self.weights)[stratum]
        n = len(unit)
        hard = rng.normal(size=n_units)[unit] * self.alike
        targets = (rng.random(n) < 1 / (1 + np.exp(hard))).astype(np.float64)
        # The times change: later rows are harder, for both variants.
        signal = (1.0 + self.gain * treated) * (2 * targets - 1)
        logits = signal + hard * 0.5 + rng.normal(size=n) * (1.5 + stratum)
        scores = 1 / (1 + np.exp(-logits))
        predictions = (scores >= 0.5).astype(np.float64)  # noqa: PLR2004 - the threshold
        if self.metric in {"rmse", "mae"}:
            noise = rng.standard_t(4, size=n) + rng.normal(size=n_units)[unit] * self.alike
            targets = hard
            predictions = hard + noise * (1 - self.gain * treated)
        true_class_scores = np.where(targets == 1, scores, 1 - scores)
        return TrialRows(
            targets,
            predictions,
            scores,
            true_class_scores,
            unit.astype(np.uint64),
            treated,
            stratum.astype(np.int64),
        )


@dataclass(frozen=True)
class RareErrors:
    """An experiment in which errors are rare; each unit has one row.

    `rate` is the share of errors, `gain` the share of them that the challenger avoids.
    """

    name: str
    metric: str
    rate: float
    weight: float = 0.5
    gain: float = 0.0

    def draw(self, n_units: int, rng: np.random.Generator) -> TrialRows:
        """Return the labelled rows of `n_units` units."""
        treated = rng.random(n_units) < self.weight
        rate = self.rate * (1 - self.gain * treated)
        right = (rng.random(n_units) >= rate).astype(np.float64)
        return _rows_of_units(np.ones(n_units), right, treated)


@dataclass(frozen=True)
class HeavyErrors:
    """An experiment whose errors are log-normal with sigma 2; each unit has one row."""

    name: str
    metric: str
    weight: float = 0.5

    def draw(self, n_units: int, rng: np.random.Generator) -> TrialRows:
        """Return the labelled rows of `n_units` units."""
        treated = rng.random(n_units) < self.weight
        return _rows_of_units(np.zeros(n_units), rng.lognormal(0, 2, n_units), treated)


def _rows_of_units(targets: np.ndarray, predictions: np.ndarray, treated: np.ndarray) -> TrialRows:
    n = len(targets)
    nothing = np.zeros(n)
    units = np.arange(n, dtype=np.uint64)
    strata = np.zeros(n, dtype=np.int64)
    return TrialRows(targets, predictions, nothing, nothing, units, treated, strata)
