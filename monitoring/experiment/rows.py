"""The answers of an experiment with their labels, from lines and from Parquet, as arrays."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.manifest import Manifest
from contracts.names import Layout
from metrics.value import Values
from monitoring.experiment.effect import Answered
from monitoring.labels.store import Labels, hash_ids
from monitoring.traffic.batch import Times
from monitoring.traffic.decode import class_index_or_value, true_class_scores
from monitoring.traffic.projections import NamedColumns
from monitoring.traffic.reader import read_traffic
from monitoring.traffic.window import ReadStats, TimeWindow

PRODUCTION, CHALLENGER = "production", "challenger"
_FIELDS = ("variant", "prediction", "score", "scores", "unit", "assigned", "weight")


@dataclass(frozen=True)
class Rows:
    """Every answer of a window in the order of time; all arrays have the shape `(n_rows,)`.

    `groups` are places in `pairs`, which hold version and variant. `assigned` is whether the
    unit was given to the challenger, whoever answered in the end. `weights` are NaN where no
    split was in force. `truths` are NaN where there is no usable label.
    """

    times: Times
    units: NDArray[np.uint64]
    groups: NDArray[np.int16]
    assigned: NDArray[np.bool_]
    weights: Values
    truths: Values
    answers: Values
    scores: Values
    certain: Values
    pairs: tuple[tuple[int, str], ...]

    def __len__(self) -> int:
        return len(self.times)

    def where(self, rows: NDArray[np.bool_]) -> "Rows":
        """Some of the rows."""
        return Rows(**{name: getattr(self, name)[rows] for name in _ARRAYS}, pairs=self.pairs)

    def group(self, version: int | None, variant: str) -> NDArray[np.bool_]:
        """The rows that a version answered as a variant."""
        pair = (version, variant)
        place = self.pairs.index(pair) if pair in self.pairs else -1
        return self.groups == place

    def answered(self, strata: NDArray[np.int64]) -> Answered:
        """As the effect is computed from them; of rows that all have a label."""
        return Answered(
            self.truths, self.answers, self.scores, self.certain, self.units, self.assigned, strata
        )


_ARRAYS = tuple(name for name in Rows.__dataclass_fields__ if name != "pairs")
_NONE = np.empty(0)
_NOTHING = Rows(
    times=_NONE.astype(np.int64),
    units=_NONE.astype(np.uint64),
    groups=_NONE.astype(np.int16),
    assigned=_NONE.astype(np.bool_),
    weights=_NONE,
    truths=_NONE,
    answers=_NONE,
    scores=_NONE,
    certain=_NONE,
    pairs=(),
)


def read_rows(
    layout: Layout, manifest: Manifest, span: TimeWindow, labels: Labels | None, met: ReadStats
) -> Rows:
    """The answers of a window, each with its label if it has one; in the order of time."""
    pairs: dict[tuple[int, str], int] = {}
    frames = read_traffic(layout, span, NamedColumns(_FIELDS), met)
    pieces = [_arrays(frame, manifest, labels, pairs) for frame in frames]
    arrays = {
        name: np.concatenate([getattr(piece, name) for piece in [_NOTHING, *pieces]])
        for name in _ARRAYS
    }
    order = np.argsort(arrays["times"], kind="stable")
    return Rows(**{name: values[order] for name, values in arrays.items()}, pairs=tuple(pairs))


def _arrays(
    frame: pl.DataFrame,
    manifest: Manifest,
    labels: Labels | None,
    pairs: dict[tuple[int, str], int],
) -> Rows:
    """A table as arrays; new groups are added to `pairs`."""
    ids = hash_ids(frame["prediction_id"])
    variants = frame["variant"].cast(pl.String)
    keys = list(zip(frame["version"].to_list(), variants.to_list(), strict=True))
    groups = np.array([pairs.setdefault(key, len(pairs)) for key in keys], dtype=np.int16)
    units = frame["unit"].cast(pl.String)
    # Without a unit each prediction is one of its own.
    named = np.where(units.is_null().to_numpy(), ids, hash_ids(units.fill_null("")))
    assigned = frame["assigned"].cast(pl.String).fill_null(variants) == CHALLENGER
    truths = _truths(ids, labels)
    return Rows(
        times=frame["time"].to_physical().to_numpy(),
        units=named,
        groups=groups,
        assigned=assigned.to_numpy(),
        weights=frame["weight"].fill_null(np.nan).to_numpy(),
        truths=truths,
        answers=class_index_or_value(frame["prediction"], manifest.classes),
        scores=frame["score"].to_numpy(),
        certain=true_class_scores(frame, truths, manifest.classes),
        pairs=(),
    )


def _truths(ids: NDArray[np.uint64], labels: Labels | None) -> Values:
    truths = np.full(len(ids), np.nan)
    if labels is not None and len(labels):
        places = np.minimum(np.searchsorted(labels.id_hashes, ids), len(labels) - 1)
        hit = labels.id_hashes[places] == ids
        truths[hit] = labels.targets[places[hit]]
    return truths
