"""The predictions of an experiment with their labels, as arrays."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.manifest import Manifest
from contracts.names import CHALLENGER, Layout
from contracts.times import utc_text
from metrics.value import Values
from monitoring.experiment.effect import TrialRows
from monitoring.labels.store import Labels, hash_ids
from monitoring.traffic.batch import Times
from monitoring.traffic.compaction_manifest import (
    open_log_files,
    read_compaction_manifest,
    reading_lock,
)
from monitoring.traffic.decode import TIME_FORMAT, class_index_or_value, true_class_scores
from monitoring.traffic.jsonl import JsonlReader
from monitoring.traffic.predictions import Answer
from monitoring.traffic.window import ReadStats, TimeWindow, days, read_stored

_TABLE_ROWS = 50_000
_TEXTS = ("unit", "assigned")


class _Answer(Answer, gc=False):
    unit: str | None = None
    assigned: str | None = None
    weight: float | None = None


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
    layout: Layout, manifest: Manifest, span: TimeWindow, labels: Labels | None, met: ReadStats
) -> ExperimentRows:
    """The predictions of a window in the order of time, each with its label if it has one."""
    groups: dict[tuple[int, str], int] = {}
    pieces = [
        _arrays(frame, manifest, labels, groups)
        for frame in _frames(layout, span, met)
        if len(frame)
    ]
    arrays = {
        name: np.concatenate([getattr(piece, name) for piece in [_NOTHING, *pieces]])
        for name in _ARRAYS
    }
    order = np.argsort(arrays["times"], kind="stable")
    in_order = {name: values[order] for name, values in arrays.items()}
    return ExperimentRows(**in_order, groups=tuple(groups))


def _frames(layout: Layout, span: TimeWindow, met: ReadStats) -> Iterator[pl.DataFrame]:
    """Tables of one form, whether they were lines or Parquet."""
    first, last = utc_text(span.start), utc_text(span.end)
    with reading_lock(layout.traffic(span.model)):
        for folder in days(layout, span):
            folded = read_compaction_manifest(folder)
            met.torn_lines += folded.torn_lines
            for path, start in open_log_files(folder, folded):
                met.files += 1
                lines = JsonlReader(_Answer)
                waiting: list[_Answer] = []
                for block in lines.read(path, start):
                    waiting += [a for a in block if first <= a.time < last]
                    if len(waiting) >= _TABLE_ROWS:
                        yield _of_lines(waiting, met)
                        waiting = []
                yield _of_lines(waiting, met)
                met.torn_lines += len(lines.torn)
            for name in folded.files:
                met.files += 1
                yield _of_parquet(folder / name, span, met)


def _of_lines(answers: Sequence[_Answer], met: ReadStats) -> pl.DataFrame:
    if not answers:
        return pl.DataFrame()
    outputs = dict.fromkeys(key for a in answers for key in a.scores)
    texts = pl.Series("time", [a.time for a in answers], dtype=pl.String)
    times = texts.str.to_datetime(TIME_FORMAT, time_unit="us", strict=False)
    frame = pl.DataFrame(
        {
            "prediction_id": [a.prediction_id for a in answers],
            "time": times,
            "version": [a.version for a in answers],
            "variant": [a.variant for a in answers],
            "prediction": pl.Series([str(a.prediction) for a in answers], dtype=pl.String),
            "score": pl.Series([a.score for a in answers], dtype=pl.Float64),
            "weight": pl.Series([a.weight for a in answers], dtype=pl.Float64),
            **{
                key: pl.Series([getattr(a, key) for a in answers], dtype=pl.String)
                for key in _TEXTS
            },
            **{
                f"scores.{key}": pl.Series([a.scores.get(key) for a in answers], dtype=pl.Float64)
                for key in outputs
            },
        }
    )
    met.torn_lines += times.null_count()
    return frame.filter(pl.col("time").is_not_null())


def _of_parquet(path: Path, span: TimeWindow, met: ReadStats) -> pl.DataFrame:
    """A compacted table; one of before experiments has no columns for them."""
    try:
        names = pl.scan_parquet(path, glob=False).collect_schema().names()
        kept = {"prediction_id", "time", "version", "variant", "prediction", "score", "weight"}
        kept |= {*_TEXTS, *(n for n in names if n.startswith("scores."))}
        frame = read_stored(path, span, tuple(n for n in names if n in kept))
    except (OSError, pl.exceptions.PolarsError) as err:
        met.torn_files.append(f"{path}: {str(err).splitlines()[0]}")
        return pl.DataFrame()
    missing: dict[str, Any] = {**dict.fromkeys(_TEXTS, pl.String), "weight": pl.Float64}
    return frame.with_columns(
        pl.lit(None, dtype=kind).alias(key)
        for key, kind in missing.items()
        if key not in frame.columns
    )


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
        predictions=class_index_or_value(frame["prediction"].cast(pl.String), manifest.classes),
        scores=frame["score"].to_numpy(),
        true_class_scores=true_class_scores(frame, targets, manifest.classes),
        groups=(),
    )


def _targets(ids: NDArray[np.uint64], labels: Labels | None) -> Values:
    """The labels of predictions by the hash of their id; NaN where there is none."""
    targets = np.full(len(ids), np.nan)
    if labels is not None and len(labels.id_hashes):
        index = np.minimum(np.searchsorted(labels.id_hashes, ids), len(labels.id_hashes) - 1)
        is_hit = labels.id_hashes[index] == ids
        targets[is_hit] = labels.targets[index[is_hit]]
    return targets
