"""Training rows from traffic: the features of predictions, with their labels."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.manifest import Manifest
from contracts.names import Layout
from contracts.reference import Reference
from monitoring.labels.join import matches
from monitoring.labels.store import Labels, read_labels
from monitoring.traffic.decode import feature_key
from monitoring.traffic.projections import TypedColumns
from monitoring.traffic.reader import read_traffic
from monitoring.traffic.window import ReadStats, TimeWindow

_BEGINNING = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


@dataclass(frozen=True)
class TrainingRows:
    """Labelled predictions, oldest first.

    `rows` has `prediction_id`, `time` (UTC), `version`, `truth` and one column per feature.
    `left_out` counts the labelled predictions that are not among them, by reason.
    """

    rows: pl.DataFrame
    left_out: dict[str, int] = field(default_factory=dict)

    def since(self, start: datetime) -> pl.DataFrame:
        """The rows from a time on."""
        return self.rows.filter(pl.col("time") >= start)


def read_training_rows(
    layout: Layout, manifest: Manifest, reference: Reference, *, now: datetime, max_rows: int
) -> TrainingRows:
    """The newest labelled predictions of all versions of a model whose labels are due.

    A label is due one label delay after its prediction. Labels that come earlier are not like
    those that come late, so younger predictions are left out, as in a verdict.

    Raises:
        InvalidDocument: compacted labels cannot be read.

    """
    labels = read_labels(layout, manifest.name, manifest.classes)
    due = now - timedelta(seconds=manifest.label_delay_s)
    left_out = {"not due yet": 0, "truth is no class or number": 0, "older than the newest": 0}
    kept = pl.DataFrame()
    if not len(labels):
        return TrainingRows(_empty(manifest), left_out)
    for piece in _pieces(layout, manifest, reference, labels, now):
        unusable = piece["truth"].is_null()
        young = piece["time"] >= due
        left_out["truth is no class or number"] += int(unusable.sum())
        left_out["not due yet"] += int((young & ~unusable).sum())
        kept = pl.concat([kept, piece.filter(~unusable & ~young)])
        if len(kept) > 2 * max_rows:
            kept = _newest(kept, max_rows, left_out)
    if not len(kept):
        return TrainingRows(_empty(manifest), left_out)
    return TrainingRows(_newest(kept, max_rows, left_out), left_out)


def _pieces(
    layout: Layout, manifest: Manifest, reference: Reference, labels: Labels, now: datetime
) -> Iterator[pl.DataFrame]:
    """Batches of labelled predictions; `truth` is null where it is unusable."""
    window = TimeWindow(manifest.name, None, _BEGINNING, now)
    projection = TypedColumns(reference, manifest.schema)
    for batch in read_traffic(layout, window, projection, ReadStats()):
        frame = batch.frame
        rows, places = matches(frame["prediction_id"], labels)
        if not len(rows):
            continue
        found = frame[np.sort(rows)]
        targets = labels.targets[places[np.argsort(rows)]]
        yield found.select(
            pl.col("prediction_id").cast(pl.String),
            "time",
            pl.col("version").cast(pl.Int64),
            pl.Series("truth", _truths(targets, manifest.classes)),
            *(_feature(found, name) for name in manifest.schema.names),
        )


def _feature(frame: pl.DataFrame, name: str) -> pl.Series:
    column = frame[feature_key(name)].alias(name)
    return column.cast(pl.String) if column.dtype == pl.Categorical else column


def _truths(targets: NDArray[np.float64], classes: tuple[str, ...]) -> pl.Series:
    if not classes:
        return pl.Series(targets, dtype=pl.Float64).fill_nan(None)
    names = [None if np.isnan(index) else classes[int(index)] for index in targets]
    return pl.Series(names, dtype=pl.String)


def _newest(rows: pl.DataFrame, max_rows: int, left_out: dict[str, int]) -> pl.DataFrame:
    """At most `max_rows` rows by time, each prediction once: a record may be in two files."""
    single = rows.unique("prediction_id", keep="last", maintain_order=True)
    ordered = single.sort("time", maintain_order=True)
    left_out["older than the newest"] += max(len(ordered) - max_rows, 0)
    return ordered.tail(max_rows)


def _empty(manifest: Manifest) -> pl.DataFrame:
    names = ["prediction_id", "truth", *manifest.schema.names]
    time = pl.Series("time", [], dtype=pl.Datetime("us", "UTC"))
    return pl.DataFrame({name: pl.Series([], dtype=pl.String) for name in names}).with_columns(time)
