"""How right a model was in a window, as far as labels tell.

A window is judged when it is mature: when every label that comes within the recipe's label
delay has come. Before that, labels that come early (refusals, quick payers) are not like
those that come late, and a metric over them would be wrong, not just uncertain.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
from msgspec.structs import replace
from numpy.typing import NDArray

from contracts.manifest import Manifest, Metric
from contracts.names import Layout
from contracts.verdict import GroupPerformance, Performance, Realised
from monitoring import outcome
from monitoring.folded import folded_of, open_lines, reading
from monitoring.labels import Labels, folder_of, hash_ids, read
from monitoring.lines import LineReader
from monitoring.statistics import holm
from monitoring.window import Span, days, read_stored, utc_text

FEWEST_LABELS = 100
FEWEST_OF_A_CLASS = 10
LEAST_FALL = {"roc_auc": 0.02, "accuracy": 0.02}
"""Smallest absolute fall that counts; of other metrics a tenth of the baseline."""
LEAST_RELATIVE_RISE = 0.1
_ANSWER_ROWS = 50_000


class _Answer(msgspec.Struct, gc=False):
    prediction_id: str
    time: str
    version: int
    prediction: str | float
    score: float
    scores: dict[str, float]
    variant: str = "production"


@dataclass(frozen=True)
class Joined:
    """Predictions of a window that have a label; all arrays have shape `(n_labels,)`.

    `answers` are places in the list of classes, or values; `certain` is the score of the
    class that was true (NaN for a regression); `groups` are places in `pairs`, which holds
    version and variant.
    """

    truths: NDArray[np.float64]
    answers: NDArray[np.float64]
    scores: NDArray[np.float64]
    certain: NDArray[np.float64]
    groups: NDArray[np.int16]
    pairs: Sequence[tuple[int, str]]

    def __len__(self) -> int:
        return len(self.truths)

    def where(self, mask: NDArray[np.bool_]) -> "Joined":
        """Some of the rows."""
        return Joined(
            self.truths[mask],
            self.answers[mask],
            self.scores[mask],
            self.certain[mask],
            self.groups[mask],
            self.pairs,
        )

    def of_version(self, version: int) -> "Joined":
        """The rows of one version."""
        places = [i for i, (v, _) in enumerate(self.pairs) if v == version]
        return self.where(np.isin(self.groups, places))


def performance_of(
    layout: Layout, manifest: Manifest, version: int, span: Span, *, now: datetime, alpha: float
) -> Performance:
    """What the labels say of a version's window, and of the other versions in it.

    While the labels of the window are not all due, the window of the same length that ended
    one label delay ago is judged in its place; `start` and `end` say which it was.
    """
    delay = timedelta(seconds=manifest.label_delay_s)
    late = max(span.end + delay - now, timedelta(0))
    span = Span(span.model, None, span.start - late, span.end - late)
    blank = Performance(
        status="no_labels",
        start=utc_text(span.start),
        end=utc_text(span.end),
        mature_at=utc_text(span.end + late + delay),
    )
    if not folder_of(layout, manifest.name).is_dir():
        return blank
    labels = read(layout, manifest.name, manifest.classes)
    joined, predictions, found = join(layout, manifest, span, labels)
    mine = joined.of_version(version)
    known = replace(
        blank,
        labels=len(mine),
        coverage=len(mine) / max(predictions.get(version, 0), 1),
        orphans=_orphans(layout, labels, found, span, delay),
        replaced=labels.replaced,
        torn_lines=labels.torn_lines,
        unusable=labels.unusable,
        groups=tuple(_groups(joined, manifest)),
    )
    if late and not predictions:
        return replace(known, status="immature")
    if len(mine) < FEWEST_LABELS:
        return replace(known, status="too_few_labels" if len(mine) else "no_labels")
    return replace(known, status="judged", metrics=realised(mine, manifest, alpha))


def join(
    layout: Layout, manifest: Manifest, span: Span, labels: Labels
) -> tuple[Joined, Mapping[int, int], NDArray[np.bool_]]:
    """Predictions with their labels, predictions by version, and which labels were met."""
    met = np.zeros(len(labels.hashes), dtype=bool)
    pieces: list[Joined] = []
    pairs: dict[tuple[int, str], int] = {}
    predictions: dict[int, int] = {}
    for frame in _answers(layout, span):
        for version, n in frame["version"].value_counts().iter_rows():
            predictions[version] = predictions.get(version, 0) + n
        rows, places = matches(frame["prediction_id"], labels)
        met[places] = True
        usable = ~np.isnan(labels.truths[places])
        if usable.any():
            pieces.append(
                _joined(frame, rows[usable], labels.truths[places[usable]], manifest, pairs)
            )
    return _together(pieces, list(pairs)), predictions, met


def realised(joined: Joined, manifest: Manifest, alpha: float) -> tuple[Realised, ...]:
    """Each metric that can be had of these rows, against the run's."""
    measured = {
        name: value
        for name, value in measure(joined, manifest).items()
        if np.isfinite(value.value) and name in manifest.metrics
    }
    p_values = [_p_value(value, manifest.metrics[name]) for name, value in measured.items()]
    return tuple(
        _realised(name, value, manifest.metrics[name], p, alpha)
        for (name, value), p in zip(measured.items(), holm(p_values), strict=True)
    )


def measure(joined: Joined, manifest: Manifest) -> dict[str, outcome.Measured]:
    """The metrics of the task; the first is the one that people look at."""
    if manifest.task == "regression":
        errors = joined.answers - joined.truths
        return {"rmse": outcome.rmse(errors), "mae": outcome.mean_loss(np.abs(errors))}
    found: dict[str, outcome.Measured] = {}
    if manifest.task == "binary":
        smaller = min((joined.truths == 1).sum(), (joined.truths == 0).sum())
        if smaller >= FEWEST_OF_A_CLASS:
            found["roc_auc"] = outcome.roc_auc(joined.truths, joined.scores)
        found["brier"] = outcome.mean_loss((joined.scores - joined.truths) ** 2)
    found["accuracy"] = outcome.accuracy(joined.answers == joined.truths)
    certain = joined.certain[np.isfinite(joined.certain)]
    if len(certain):
        found["log_loss"] = outcome.mean_loss(-np.log(np.clip(certain, 1e-15, 1)))
    return found


def _p_value(value: outcome.Measured, baseline: Metric) -> float:
    error = (baseline.high - baseline.low) / (2 * outcome.Z95)
    return outcome.chance_worse(
        value, baseline.value, error, greater_is_better=baseline.greater_is_better
    )


def _realised(
    name: str, value: outcome.Measured, baseline: Metric, p_value: float, alpha: float
) -> Realised:
    least = LEAST_FALL.get(name, LEAST_RELATIVE_RISE * abs(baseline.value))
    change = value.value - baseline.value
    fall = -change if baseline.greater_is_better else change
    return Realised(
        metric=name,
        value=value.value,
        low=value.low,
        high=value.high,
        baseline=baseline.value,
        baseline_low=baseline.low,
        baseline_high=baseline.high,
        greater_is_better=baseline.greater_is_better,
        p_value=p_value,
        effect_threshold=least,
        worse=p_value < alpha and fall >= least,
    )


def _groups(joined: Joined, manifest: Manifest) -> Iterator[GroupPerformance]:
    """The first metric of each version and variant; nothing where there is one group only."""
    if len(joined.pairs) < 2:  # noqa: PLR2004 - one group is the window
        return
    for version, variant in sorted(joined.pairs):
        group = joined.where(joined.groups == joined.pairs.index((version, variant)))
        if not len(group):
            continue
        for metric, value in measure(group, manifest).items():
            if np.isfinite(value.value):
                yield GroupPerformance(
                    version=version,
                    variant=variant,
                    labels=len(group),
                    metric=metric,
                    value=value.value,
                    low=value.low,
                    high=value.high,
                )
                break


def _answers(layout: Layout, span: Span) -> Iterator[pl.DataFrame]:
    """The answers of a window, without the features."""
    first, last = utc_text(span.start), utc_text(span.end)
    with reading(layout.traffic(span.model)):
        for folder in days(layout, span):
            folded = folded_of(folder)
            lines = LineReader(_Answer)
            waiting: list[_Answer] = []
            for path, start in open_lines(folder, folded):
                for block in lines.read(path, start):
                    waiting += [a for a in block if first <= a.time < last]
                    if len(waiting) >= _ANSWER_ROWS:
                        yield _answer_frame(waiting)
                        waiting = []
            if waiting:
                yield _answer_frame(waiting)
            for name in folded.files:
                frame = _stored_answers(folder / name, span)
                if len(frame):
                    yield frame


def _stored_answers(path: Path, span: Span) -> pl.DataFrame:
    try:
        names = pl.scan_parquet(path, glob=False).collect_schema().names()
        wanted = [
            c
            for c in names
            if c in {"prediction_id", "time", "version", "variant", "prediction", "score"}
            or c.startswith("scores.")
        ]
        return read_stored(path, span, tuple(wanted))
    except (OSError, pl.exceptions.PolarsError):
        # A file that cannot be read is a fault of the window already (torn_files).
        return pl.DataFrame()


def _answer_frame(answers: Sequence[_Answer]) -> pl.DataFrame:
    words = any(isinstance(a.prediction, str) for a in answers)
    outputs = dict.fromkeys(key for a in answers for key in a.scores)
    return pl.DataFrame(
        {
            "prediction_id": pl.Series([a.prediction_id for a in answers], dtype=pl.String),
            "version": pl.Series([a.version for a in answers], dtype=pl.Int64),
            "variant": pl.Series([a.variant for a in answers], dtype=pl.String),
            "prediction": pl.Series([str(a.prediction) for a in answers], dtype=pl.String)
            if words
            else pl.Series([a.prediction for a in answers], dtype=pl.Float64),
            "score": pl.Series([a.score for a in answers], dtype=pl.Float64),
            **{
                f"scores.{key}": pl.Series([a.scores.get(key) for a in answers], dtype=pl.Float64)
                for key in outputs
            },
        }
    )


def matches(ids: pl.Series, labels: Labels) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that have a label, and its place."""
    if not len(labels.hashes):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    hashes = hash_ids(ids)
    # In their order the look-ups walk through memory instead of jumping about.
    order = np.argsort(hashes)
    sought = hashes[order]
    places = np.minimum(np.searchsorted(labels.hashes, sought), len(labels.hashes) - 1)
    hit = labels.hashes[places] == sought
    return order[hit], places[hit]


def _joined(
    frame: pl.DataFrame,
    rows: NDArray[np.int64],
    truths: NDArray[np.float64],
    manifest: Manifest,
    pairs: dict[tuple[int, str], int],
) -> Joined:
    """Some rows of a table of answers with their truths; new groups are added to `pairs`."""
    frame = frame.drop("prediction_id")[rows]
    certain = np.full(len(frame), np.nan)
    if manifest.classes:
        places = {word: float(i) for i, word in enumerate(manifest.classes)}
        answers = (
            frame["prediction"]
            .cast(pl.String)
            .replace_strict(places, default=np.nan, return_dtype=pl.Float64)
            .to_numpy()
        )
        for i, word in enumerate(manifest.classes):
            if f"scores.{word}" in frame.columns:
                score = frame[f"scores.{word}"].to_numpy()
                certain = np.where(truths == i, score, certain)
    else:
        answers = frame["prediction"].cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    return Joined(truths, answers, frame["score"].to_numpy(), certain, _groups_of(frame, pairs), ())


def _groups_of(frame: pl.DataFrame, pairs: dict[tuple[int, str], int]) -> NDArray[np.int16]:
    found = frame.select("version", pl.col("variant").cast(pl.String)).unique(maintain_order=True)
    for pair in found.rows():
        pairs.setdefault(pair, len(pairs))
    if len(found) == 1:
        return np.full(len(frame), pairs[found.row(0)], dtype=np.int16)
    versions, variants = frame["version"].to_numpy(), frame["variant"].cast(pl.String)
    groups = np.zeros(len(frame), dtype=np.int16)
    for version, variant in found.rows():
        mine = (versions == version) & (variants == variant).to_numpy()
        groups[mine] = pairs[version, variant]
    return groups


def _together(pieces: Sequence[Joined], pairs: Sequence[tuple[int, str]]) -> Joined:
    if not pieces:
        none = np.empty(0)
        return Joined(none, none, none, none, none.astype(np.int16), pairs)
    return Joined(
        np.concatenate([p.truths for p in pieces]),
        np.concatenate([p.answers for p in pieces]),
        np.concatenate([p.scores for p in pieces]),
        np.concatenate([p.certain for p in pieces]),
        np.concatenate([p.groups for p in pieces]),
        pairs,
    )


def _orphans(
    layout: Layout, labels: Labels, met: NDArray[np.bool_], span: Span, delay: timedelta
) -> int:
    """Labels that came while the window's were due, and that name no prediction.

    Looked for among the predictions that such a label can be of: one delay before the
    window's start until it is mature.
    """
    first, last = (int(t.timestamp() * 1e6) for t in (span.start, span.end + delay))
    due = (labels.times >= first) & (labels.times < last) & ~met
    if not due.any():
        return 0
    wider = Span(span.model, None, span.start - delay, span.end + delay)
    named = np.zeros(len(labels.hashes), dtype=bool)
    for frame in _answers(layout, wider):
        named[matches(frame["prediction_id"], labels)[1]] = True
    return int((due & ~named).sum())
