"""The answers of an experiment with their labels, from lines and from Parquet, as arrays."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.manifest import Manifest
from contracts.names import Layout
from contracts.times import utc_text
from metrics.value import Values
from monitoring.experiment.effect import Answered
from monitoring.labels.store import Labels, hash_ids
from monitoring.traffic.batch import Times
from monitoring.traffic.compaction_manifest import (
    open_log_files,
    read_compaction_manifest,
    reading_lock,
)
from monitoring.traffic.decode import TIME_FORMAT
from monitoring.traffic.jsonl import JsonlReader
from monitoring.traffic.predictions import Answer
from monitoring.traffic.window import ReadStats, TimeWindow, days, read_stored

PRODUCTION, CHALLENGER = "production", "challenger"
_TABLE_ROWS = 50_000
_TEXTS = ("unit", "assigned")


class _Answer(Answer, gc=False):
    unit: str | None = None
    assigned: str | None = None
    weight: float | None = None


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
    pieces = [
        _arrays(frame, manifest, labels, pairs)
        for frame in _frames(layout, span, met)
        if len(frame)
    ]
    arrays = {
        name: np.concatenate([getattr(piece, name) for piece in [_NOTHING, *pieces]])
        for name in _ARRAYS
    }
    order = np.argsort(arrays["times"], kind="stable")
    return Rows(**{name: values[order] for name, values in arrays.items()}, pairs=tuple(pairs))


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
    answers, certain = _answers(frame, manifest, truths)
    return Rows(
        times=frame["time"].to_physical().to_numpy(),
        units=named,
        groups=groups,
        assigned=assigned.to_numpy(),
        weights=frame["weight"].fill_null(np.nan).to_numpy(),
        truths=truths,
        answers=answers,
        scores=frame["score"].to_numpy(),
        certain=certain,
        pairs=(),
    )


def _truths(ids: NDArray[np.uint64], labels: Labels | None) -> Values:
    truths = np.full(len(ids), np.nan)
    if labels is not None and len(labels.id_hashes):
        places = np.minimum(np.searchsorted(labels.id_hashes, ids), len(labels.id_hashes) - 1)
        hit = labels.id_hashes[places] == ids
        truths[hit] = labels.targets[places[hit]]
    return truths


def _answers(frame: pl.DataFrame, manifest: Manifest, truths: Values) -> tuple[Values, Values]:
    """What was answered, as a place or a value, and the score of the class that was true."""
    certain = np.full(len(frame), np.nan)
    if not manifest.classes:
        values = frame["prediction"].cast(pl.String).cast(pl.Float64, strict=False)
        return values.fill_null(np.nan).to_numpy(), certain
    places = {word: float(i) for i, word in enumerate(manifest.classes)}
    answers = (
        frame["prediction"]
        .cast(pl.String)
        .replace_strict(places, default=np.nan, return_dtype=pl.Float64)
    )
    for i, word in enumerate(manifest.classes):
        if f"scores.{word}" in frame.columns:
            score = frame[f"scores.{word}"].fill_null(np.nan).to_numpy()
            certain = np.where(truths == i, score, certain)
    return answers.to_numpy(), certain
