"""Labelled traffic as a table: what a model was asked, and what turned out to be true."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from contracts.manifest import Manifest
from contracts.names import Layout
from contracts.reference import Reference
from monitoring.labels.join import matches
from monitoring.labels.store import Labels, read
from monitoring.traffic.decode import feature_key
from monitoring.traffic.window import ReadStats, TimeWindow, read_window

BEGINNING = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


@dataclass(frozen=True)
class Labelled:
    """Predictions with their truth, oldest first.

    `rows` has `prediction_id`, `time` (UTC), `version`, `truth` and each feature. `left_out`
    counts labelled predictions that are not among them, by why.
    """

    rows: pl.DataFrame
    left_out: dict[str, int] = field(default_factory=dict)

    def since(self, moment: datetime) -> pl.DataFrame:
        """The rows from a moment on."""
        return self.rows.filter(pl.col("time") >= moment)


def labelled_rows(
    layout: Layout, manifest: Manifest, reference: Reference, *, now: datetime, most_rows: int
) -> Labelled:
    """The newest labelled predictions of all versions of a model, whose labels are due.

    A label is due one label delay after its prediction. Those that come earlier are not like
    those that come late, so predictions that are younger are left out, as in a verdict.

    Raises:
        InvalidDocument: compacted labels cannot be read.

    """
    labels = read(layout, manifest.name, manifest.classes)
    due = now - timedelta(seconds=manifest.label_delay_s)
    left_out = {"not due yet": 0, "truth is no class or number": 0, "older than the newest": 0}
    kept = pl.DataFrame()
    if not len(labels.hashes):
        return Labelled(_empty(reference), left_out)
    for piece in _pieces(layout, manifest, reference, labels, now):
        unusable = piece["truth"].is_null()
        young = piece["time"] >= due
        left_out["truth is no class or number"] += int(unusable.sum())
        left_out["not due yet"] += int((young & ~unusable).sum())
        kept = pl.concat([kept, piece.filter(~unusable & ~young)])
        if len(kept) > 2 * most_rows:
            kept = _newest(kept, most_rows, left_out)
    if not len(kept):
        return Labelled(_empty(reference), left_out)
    return Labelled(_newest(kept, most_rows, left_out), left_out)


def _pieces(
    layout: Layout, manifest: Manifest, reference: Reference, labels: Labels, now: datetime
) -> Iterator[pl.DataFrame]:
    """Pieces of traffic of which each row has a label; the truth is null where it is unusable."""
    span = TimeWindow(manifest.name, None, BEGINNING, now)
    for _, frame in read_window(layout, span, reference, ReadStats()):
        rows, places = matches(frame["prediction_id"], labels)
        if not len(rows):
            continue
        found = frame[np.sort(rows)]
        truths = labels.truths[places[np.argsort(rows)]]
        yield found.select(
            pl.col("prediction_id").cast(pl.String),
            "time",
            pl.col("version").cast(pl.Int64),
            pl.Series("truth", _words(truths, manifest.classes)),
            *(_feature(found, name) for name in reference.features),
        )


def _feature(frame: pl.DataFrame, name: str) -> pl.Series:
    column = frame[feature_key(name)].alias(name)
    return column.cast(pl.String) if column.dtype == pl.Categorical else column


def _words(truths: np.ndarray, classes: tuple[str, ...]) -> pl.Series:
    if not classes:
        return pl.Series(truths, dtype=pl.Float64).fill_nan(None)
    words = [None if np.isnan(place) else classes[int(place)] for place in truths]
    return pl.Series(words, dtype=pl.String)


def _newest(rows: pl.DataFrame, most_rows: int, left_out: dict[str, int]) -> pl.DataFrame:
    """By time, each prediction once (a record may lie in two files), and not too many."""
    single = rows.unique("prediction_id", keep="last", maintain_order=True)
    ordered = single.sort("time", maintain_order=True)
    left_out["older than the newest"] += max(len(ordered) - most_rows, 0)
    return ordered.tail(most_rows)


def _empty(reference: Reference) -> pl.DataFrame:
    names = ["prediction_id", "truth", *reference.features]
    moment = pl.Series("time", [], dtype=pl.Datetime("us", "UTC"))
    return pl.DataFrame({name: pl.Series([], dtype=pl.String) for name in names}).with_columns(
        moment
    )
