"""Labels are joined to the predictions of a window, by hashes of the prediction ids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.manifest import Manifest
from contracts.names import Layout
from monitoring.labels.segment_index import segment_index
from monitoring.labels.store import Labels, hash_ids
from monitoring.traffic.decode import class_index_or_value, feature_key, true_class_scores
from monitoring.traffic.projections import NamedColumns
from monitoring.traffic.reader import read_traffic
from monitoring.traffic.window import ReadStats, TimeWindow

MAX_SAMPLED_SCORES = 20_000
Group = tuple[int, str]
"""Version and variant."""


@dataclass(frozen=True)
class LabelledPredictions:
    """Predictions that have a label; all arrays have shape `(n_labels,)`.

    `targets` and `predictions` are class indices, or values; `scores` are the monitored ones;
    `true_class_scores` are the scores of the class that was true (NaN for a regression).
    `group_index` is a place in `groups`. `segment_index` has, for each segment feature, the
    place of each row's value in `segment_values`. `units` has a number for the unit of each row,
    such as its user, and for each row that names none a number of its own; None if no row does.
    """

    targets: NDArray[np.float64]
    predictions: NDArray[np.float64]
    scores: NDArray[np.float64]
    true_class_scores: NDArray[np.float64]
    group_index: NDArray[np.int16]
    groups: Sequence[Group]
    segment_index: Mapping[str, NDArray[np.int16]] = field(default_factory=dict)
    units: NDArray[np.uint64] | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def where(self, mask: NDArray[np.bool_]) -> "LabelledPredictions":
        """Some of the rows."""
        return LabelledPredictions(
            self.targets[mask],
            self.predictions[mask],
            self.scores[mask],
            self.true_class_scores[mask],
            self.group_index[mask],
            self.groups,
            {feature: index[mask] for feature, index in self.segment_index.items()},
            None if self.units is None else self.units[mask],
        )

    def of_version(self, version: int) -> "LabelledPredictions":
        """The rows of one version."""
        places = [i for i, (v, _) in enumerate(self.groups) if v == version]
        return self.where(np.isin(self.group_index, places))


@dataclass(frozen=True)
class Join:
    """What came of joining labels to the predictions of a window.

    `predictions` counts all predictions of the window by version. `is_matched` says of each
    label whether it belongs to one of them, shape `(n_labels,)`. `unlabelled` samples, by
    version, the scores of predictions without a label.
    """

    labelled: LabelledPredictions
    predictions: Mapping[int, int]
    is_matched: NDArray[np.bool_]
    unlabelled: Mapping[int, "ScoreSample"]


class ScoreSample:
    """Evenly spaced scores of many, in memory that does not grow."""

    def __init__(self, max_scores: int = MAX_SAMPLED_SCORES) -> None:
        self._max = max_scores
        self._every = 1
        self._seen = 0
        self._pieces: list[NDArray[np.float64]] = []
        self._size = 0

    def add(self, scores: NDArray[np.float64]) -> None:
        """Sample more scores, shape `(n_rows,)`."""
        first = -self._seen % self._every
        self._seen += len(scores)
        self._pieces.append(scores[first :: self._every])
        self._size += len(self._pieces[-1])
        while self._size > self._max:
            self._pieces = [self.scores[::2]]
            self._every *= 2
            self._size = len(self._pieces[0])

    @property
    def scores(self) -> NDArray[np.float64]:
        """The sampled scores, shape `(n_sampled,)`."""
        return np.concatenate([np.empty(0), *self._pieces])


def join(
    layout: Layout,
    manifest: Manifest,
    window: TimeWindow,
    labels: Labels,
    segments: Sequence[str] = (),
) -> Join:
    """Join labels to the predictions of a window; `segments` are the segment features kept."""
    is_matched = np.zeros(len(labels), dtype=bool)
    pieces: list[LabelledPredictions] = []
    groups: dict[Group, int] = {}
    predictions: dict[int, int] = {}
    unlabelled: dict[int, ScoreSample] = {}
    names_units = False
    projection = NamedColumns(("variant", "prediction", "score", "scores", "unit"), segments)
    for frame in read_traffic(layout, window, projection, ReadStats()):
        for version, n in frame["version"].value_counts().iter_rows():
            predictions[version] = predictions.get(version, 0) + n
        rows, places = matches(frame["prediction_id"], labels)
        is_matched[places] = True
        targets = labels.targets[places]
        usable = ~np.isnan(targets)
        if usable.any():
            found = frame.drop("prediction_id")[rows[usable]]
            ids = labels.id_hashes[places[usable]]
            pieces.append(_labelled(found, targets[usable], ids, manifest, groups, segments))
            names_units |= found["unit"].null_count() < len(found)
        is_labelled = np.zeros(len(frame), dtype=bool)
        is_labelled[rows[usable]] = True
        for version in frame["version"].unique().to_list():
            mine = (frame["version"] == version).to_numpy() & ~is_labelled
            sample = unlabelled.setdefault(version, ScoreSample())
            sample.add(frame["score"].to_numpy()[mine])
    labelled = _concatenated(pieces, list(groups))
    if not names_units:
        labelled = replace(labelled, units=None)
    return Join(labelled, predictions, is_matched, unlabelled)


def matches(ids: pl.Series, labels: Labels) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows that have a label, and the place of the label of each."""
    if not len(labels):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    hashes = hash_ids(ids)
    # In their order the look-ups walk through memory instead of jumping about.
    order = np.argsort(hashes)
    sought = hashes[order]
    places = np.minimum(np.searchsorted(labels.id_hashes, sought), len(labels) - 1)
    hit = labels.id_hashes[places] == sought
    return order[hit], places[hit]


def _labelled(
    frame: pl.DataFrame,
    targets: NDArray[np.float64],
    ids: NDArray[np.uint64],
    manifest: Manifest,
    groups: dict[Group, int],
    segments: Sequence[str],
) -> LabelledPredictions:
    """A table of predictions with their targets; new groups are added to `groups`."""
    return LabelledPredictions(
        targets,
        class_index_or_value(frame["prediction"], manifest.classes),
        frame["score"].to_numpy(),
        true_class_scores(frame, targets, manifest.classes),
        _group_index(frame, groups),
        (),
        {name: segment_index(frame[feature_key(name)], manifest, name) for name in segments},
        _units(frame["unit"], ids),
    )


def _units(names: pl.Series, ids: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The hash of each row's unit, or of its own id where it names none."""
    if names.null_count() == len(names):
        return ids
    hashes = hash_ids(names.cast(pl.String).fill_null(""))
    return np.where(names.is_null().to_numpy(), ids, hashes)


def _group_index(frame: pl.DataFrame, groups: dict[Group, int]) -> NDArray[np.int16]:
    found = frame.select("version", pl.col("variant").cast(pl.String)).unique(maintain_order=True)
    for group in found.rows():
        groups.setdefault(group, len(groups))
    if len(found) == 1:
        return np.full(len(frame), groups[found.row(0)], dtype=np.int16)
    versions, variants = frame["version"].to_numpy(), frame["variant"].cast(pl.String)
    index = np.zeros(len(frame), dtype=np.int16)
    for version, variant in found.rows():
        mine = (versions == version) & (variants == variant).to_numpy()
        index[mine] = groups[version, variant]
    return index


def _concatenated(
    pieces: Sequence[LabelledPredictions], groups: Sequence[Group]
) -> LabelledPredictions:
    if not pieces:
        none = np.empty(0)
        return LabelledPredictions(none, none, none, none, none.astype(np.int16), groups)
    return LabelledPredictions(
        np.concatenate([p.targets for p in pieces]),
        np.concatenate([p.predictions for p in pieces]),
        np.concatenate([p.scores for p in pieces]),
        np.concatenate([p.true_class_scores for p in pieces]),
        np.concatenate([p.group_index for p in pieces]),
        groups,
        {
            name: np.concatenate([p.segment_index[name] for p in pieces])
            for name in pieces[0].segment_index
        },
        np.concatenate([p.units for p in pieces if p.units is not None]),
    )
