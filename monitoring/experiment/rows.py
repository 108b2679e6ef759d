"""The predictions of an experiment with their labels, as arrays."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.manifest import Manifest
from contracts.names import CHALLENGER, Layout
from metrics.value import Values
from monitoring.experiment.effect import TrialRows
from monitoring.labels.store import Labels, hash_ids
from monitoring.traffic.batch import Times
from monitoring.traffic.decode import class_index_or_value, true_class_scores
from monitoring.traffic.projections import NamedColumns
from monitoring.traffic.reader import read_traffic
from monitoring.traffic.window import ReadStats, TimeWindow

_FIELDS = ("variant", "prediction", "score", "scores", "unit", "assigned", "weight")


@dataclass(frozen=True)
class ExperimentRows:
    """Every prediction of a window in the order of time; all arrays have the shape `(n_rows,)`.

    `group_index` is an index into `groups`, which are versions with a variant. `assigned` is
    whether the unit was assigned to the challenger, whichever version answered in the end.
    `weights` are NaN where no split was active. `targets` are NaN where there is no usable label.
    """

    times: Times
    units: NDArray[np.uint64]
    group_index: NDArray[np.int16]
    assigned: NDArray[np.bool_]
    weights: Values
    targets: Values
    predictions: Values
    scores: Values
    true_class_scores: Values
    groups: tuple[tuple[int, str], ...]

    def __len__(self) -> int:
        return len(self.times)

    def where(self, mask: NDArray[np.bool_]) -> "ExperimentRows":
        """The rows for which the mask is True."""
        arrays = {name: getattr(self, name)[mask] for name in _ARRAYS}
        return ExperimentRows(**arrays, groups=self.groups)

    def group(self, version: int | None, variant: str) -> NDArray[np.bool_]:
        """A mask of the rows that a version answered as a variant."""
        group = (version, variant)
        index = self.groups.index(group) if group in self.groups else -1
        return self.group_index == index

    def with_strata(self, strata: NDArray[np.int64]) -> TrialRows:
        """The rows as the effect is computed from them; all must have a label."""
        return TrialRows(
            self.targets,
            self.predictions,
            self.scores,
            self.true_class_scores,
            self.units,
            self.assigned,
            strata,
        )


_ARRAYS = tuple(name for name in ExperimentRows.__dataclass_fields__ if name != "groups")
_NONE = np.empty(0)
_NOTHING = ExperimentRows(
    times=_NONE.astype(np.int64),
    units=_NONE.astype(np.uint64),
    group_index=_NONE.astype(np.int16),
    assigned=_NONE.astype(np.bool_),
    weights=_NONE,
    targets=_NONE,
    predictions=_NONE,
    scores=_NONE,
    true_class_scores=_NONE,
    groups=(),
)


def read_rows(
    layout: Layout,
    manifest: Manifest,
    window: TimeWindow,
    labels: Labels | None,
    stats: ReadStats,
) -> ExperimentRows:
    """The predictions of a window in the order of time, each with its label if it has one."""
    groups: dict[tuple[int, str], int] = {}
    frames = read_traffic(layout, window, NamedColumns(_FIELDS), stats)
    pieces = [_arrays(frame, manifest, labels, groups) for frame in frames]
    arrays = {
        name: np.concatenate([getattr(piece, name) for piece in [_NOTHING, *pieces]])
        for name in _ARRAYS
    }
    order = np.argsort(arrays["times"], kind="stable")
    in_order = {name: values[order] for name, values in arrays.items()}
    return ExperimentRows(**in_order, groups=tuple(groups))


def _arrays(
    frame: pl.DataFrame,
    manifest: Manifest,
    labels: Labels | None,
    groups: dict[tuple[int, str], int],
) -> ExperimentRows:
    """A table as arrays; new groups are added to `groups`."""
    ids = hash_ids(frame["prediction_id"])
    variants = frame["variant"].cast(pl.String)
    keys = list(zip(frame["version"].to_list(), variants.to_list(), strict=True))
    group_index = np.array([groups.setdefault(key, len(groups)) for key in keys], dtype=np.int16)
    units = frame["unit"].cast(pl.String)
    # Without a unit, each prediction is its own unit.
    named = np.where(units.is_null().to_numpy(), ids, hash_ids(units.fill_null("")))
    assigned = frame["assigned"].cast(pl.String).fill_null(variants) == CHALLENGER
    targets = _targets(ids, labels)
    return ExperimentRows(
        times=frame["time"].to_physical().to_numpy(),
        units=named,
        group_index=group_index,
        assigned=assigned.to_numpy(),
        weights=frame["weight"].fill_null(np.nan).to_numpy(),
        targets=targets,
        predictions=class_index_or_value(frame["prediction"], manifest.classes),
        scores=frame["score"].to_numpy(),
        true_class_scores=true_class_scores(frame, targets, manifest.classes),
        groups=(),
    )


def _targets(ids: NDArray[np.uint64], labels: Labels | None) -> Values:
    """The labels of predictions by the hash of their id; NaN where there is none."""
    targets = np.full(len(ids), np.nan)
    if labels is not None and len(labels):
        index = np.minimum(np.searchsorted(labels.id_hashes, ids), len(labels) - 1)
        is_hit = labels.id_hashes[index] == ids
        targets[is_hit] = labels.targets[index[is_hit]]
    return targets
