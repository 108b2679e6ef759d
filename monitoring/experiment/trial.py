"""The rows of an experiment itself: those in which units were split between two versions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.names import CHALLENGER, PRODUCTION
from monitoring.experiment.rows import ExperimentRows


@dataclass(frozen=True)
class ExperimentTrial:
    """The rows of the experiment; `strata` are indices into `weights`, shape `(n_rows,)`.

    `weights` are the challenger's shares that were active, NaN where they are not known.
    """

    rows: ExperimentRows
    strata: NDArray[np.int64]
    weights: NDArray[np.float64]
    production: int | None
    challenger: int | None

    def title(self, model: str) -> str:
        """Which versions of a model are compared, in words."""
        if self.challenger is None:
            return f"{model}, no challenger"
        if self.production is None:
            return f"{model}, no production"
        return f"{model} challenger version {self.challenger} against version {self.production}"


def select_trial(rows: ExperimentRows, weight: float) -> ExperimentTrial:
    """The rows in which units were split between the two newest versions, and no others.

    Earlier rows belong to another experiment, or to none. They come from another period and are
    not comparable. `weight` is the challenger's share where the log has none, NaN if unknown.
    """
    versions = {variant: _newest(rows, variant) for variant in (PRODUCTION, CHALLENGER)}
    arms = {variant: rows.group(version, variant) for variant, version in versions.items()}
    mine = arms[PRODUCTION] | arms[CHALLENGER]
    weights = rows.weights
    if np.isfinite(weights).any():
        # Rows without a weight were not split, nor those that all go to one side.
        is_split = (weights > 0) & (weights < 1)
        others = rows.times[is_split & ~mine]
        mine &= is_split & (rows.times > others.max(initial=-1))
    else:
        weights = np.full(len(rows), weight)
        firsts = [rows.times[arm][:1] for arm in arms.values()]
        mine &= rows.times >= np.concatenate(firsts).max(initial=0)
    if not all((arm & mine).any() for arm in arms.values()):
        mine = np.zeros(len(rows), dtype=bool)
    found, strata = np.unique(weights[mine], return_inverse=True)
    return ExperimentTrial(
        rows.where(mine), strata, found, versions[PRODUCTION], versions[CHALLENGER]
    )


def _newest(rows: ExperimentRows, variant: str) -> int | None:
    """The version that answered last as a variant."""
    of_variant = [i for i, (_, known) in enumerate(rows.groups) if known == variant]
    mine = np.flatnonzero(np.isin(rows.group_index, of_variant))
    return rows.groups[rows.group_index[mine[-1]]][0] if len(mine) else None
