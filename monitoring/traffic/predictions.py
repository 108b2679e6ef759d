"""The answers of a window, read for their performance: no features but the segments."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from contracts.names import Layout
from contracts.times import utc_text
from monitoring.traffic.compaction_manifest import (
    open_log_files,
    read_compaction_manifest,
    reading_lock,
)
from monitoring.traffic.decode import feature_key
from monitoring.traffic.jsonl import JsonlReader
from monitoring.traffic.window import TimeWindow, days, read_stored

_ANSWER_ROWS = 50_000


class Answer(msgspec.Struct, gc=False):
    """What is read of a line of traffic; its features stay text."""

    prediction_id: str
    time: str
    version: int
    prediction: str | float
    score: float
    scores: dict[str, float]
    variant: str = "production"


def answers_of(
    layout: Layout, span: TimeWindow, segments: Sequence[str] = ()
) -> Iterator[pl.DataFrame]:
    """The answers of a window, of the features only the segments."""
    kind = _answer_type(segments)
    first, last = utc_text(span.start), utc_text(span.end)
    with reading_lock(layout.traffic(span.model)):
        for folder in days(layout, span):
            folded = read_compaction_manifest(folder)
            lines: JsonlReader[Any] = JsonlReader(kind)
            waiting: list[Any] = []
            for path, start in open_log_files(folder, folded):
                for block in lines.read(path, start):
                    waiting += [a for a in block if first <= a.time < last]
                    if len(waiting) >= _ANSWER_ROWS:
                        yield _answer_frame(waiting, segments)
                        waiting = []
            if waiting:
                yield _answer_frame(waiting, segments)
            for name in folded.files:
                frame = _stored_answers(folder / name, span, segments)
                if len(frame):
                    yield frame


def _answer_type(segments: Sequence[str]) -> type[Any]:
    """What is read of a line: the answer, and of the features the segments, if there are any."""
    if not segments:
        return Answer
    names = {f"s{i}": name for i, name in enumerate(segments)}
    value = str | bool | float | None
    features = msgspec.defstruct(
        "Segments", [(field, value, None) for field in names], rename=names, gc=False
    )
    return msgspec.defstruct("Answer", [("features", features)], bases=(Answer,), kw_only=True)


def _stored_answers(path: Path, span: TimeWindow, segments: Sequence[str]) -> pl.DataFrame:
    try:
        names = pl.scan_parquet(path, glob=False).collect_schema().names()
        wanted = [
            c
            for c in names
            if c in {"prediction_id", "time", "version", "variant", "prediction", "score"}
            or c.startswith("scores.")
            or c in {feature_key(name) for name in segments}
        ]
        return read_stored(path, span, tuple(wanted))
    except (OSError, pl.exceptions.PolarsError):
        # A file that cannot be read is a fault of the window already (torn_files).
        return pl.DataFrame()


def _answer_frame(answers: Sequence[Any], segments: Sequence[str]) -> pl.DataFrame:
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
            **{
                feature_key(name): pl.Series(
                    [_word(getattr(a.features, f"s{i}")) for a in answers], dtype=pl.String
                )
                for i, name in enumerate(segments)
            },
        }
    )


def _word(value: object) -> str | None:
    """A value as a column of words has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)
