"""Replays logged traffic through a version: what it would have answered instead."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from contracts.names import Layout, window_id
from contracts.reference import CategoryReference, NumberReference
from contracts.replay import Replay
from contracts.times import utc_text
from contracts.verdict import Window
from monitoring.baseline import Baseline, select_segments
from monitoring.explanation.scoring_process import ScoringProcess
from monitoring.replay.blocks import read_blocks
from monitoring.replay.results import ReplayResults
from monitoring.replay.scoring import score_block
from monitoring.traffic.window import ReadStats, TimeWindow, window_read


@dataclass(frozen=True)
class ReplayRequest:
    """Which traffic is replayed, and how changed decisions are broken down.

    With `version` the window has only the traffic of that version. `max_rows` ends the replay
    after that many rows; 0 is no limit. `segments` are category features; by default those of the
    version's manifest, or else all.
    """

    window: TimeWindow
    max_rows: int = 0
    segments: Sequence[str] | None = None


def replay(layout: Layout, baseline: Baseline, request: ReplayRequest, *, now: datetime) -> Replay:
    """What the version of `baseline` would have answered; nothing is written.

    Raises:
        CorruptModel: the version cannot be loaded, or does not answer in time.
        NotFoundHere: a segment is no category feature of the version.

    """
    began = time.perf_counter()
    stats, n_read = ReadStats(), 0
    segments = _segments(baseline, request)
    results = ReplayResults(baseline.manifest, segments, _score_range(baseline))
    max_rows = request.max_rows
    with ScoringProcess(layout, baseline) as process:
        for block in read_blocks(layout, baseline.manifest, request.window, stats):
            left = max_rows - n_read if max_rows else len(block)
            score_block(process, baseline, block.head(left), results)
            n_read += min(len(block), left)
            if max_rows and n_read >= max_rows:
                break
    window = window_read(request.window, n_read, stats)
    seconds = time.perf_counter() - began
    return _document(baseline, request, results, window, tuple(stats.torn_files), now, seconds)


def _segments(baseline: Baseline, request: ReplayRequest) -> tuple[str, ...]:
    chosen = select_segments(baseline, request.segments)
    if chosen or request.segments is not None:
        return chosen
    features = baseline.reference.features.items()
    return tuple(name for name, column in features if isinstance(column, CategoryReference))


def _score_range(baseline: Baseline) -> tuple[float, float]:
    """The ends of the histograms of scores: 0 to 1, or for a regression what training saw."""
    column = baseline.reference.predictions.get("score")
    if baseline.manifest.classes or not isinstance(column, NumberReference):
        return 0.0, 1.0
    low, high = column.minimum, column.maximum
    return (low, high) if high > low else (low, low + 1.0)


def _document(
    baseline: Baseline,
    request: ReplayRequest,
    results: ReplayResults,
    window: Window,
    torn_files: tuple[str, ...],
    now: datetime,
    seconds: float,
) -> Replay:
    asked = request.window
    name = window_id(baseline.name, baseline.version, asked.start, asked.end)
    return Replay(
        replay_id=name if asked.version is None else f"{name}-of-{asked.version}",
        model=baseline.name,
        version=baseline.version,
        digest=baseline.digest,
        task=baseline.manifest.task,
        made_at=utc_text(now),
        window=window,
        answered_by=asked.version,
        limited=bool(request.max_rows) and window.rows >= request.max_rows,
        replayed=results.replayed,
        refused=results.refused,
        sentence=_sentence(baseline, window, results),
        flips=results.flips.flips(),
        transitions=dict(results.flips.transitions.most_common()),
        shift=results.shifts.shift(),
        distribution=results.shifts.distribution(),
        segments=results.flips.segments(),
        groups=results.flips.groups(),
        reproduction=results.reproduction(),
        examples=results.changes.examples(),
        refusals=tuple(results.refusals()),
        torn_files=torn_files,
        seconds=round(seconds, 3),
    )


def _sentence(baseline: Baseline, window: Window, results: ReplayResults) -> str:
    """The outcome, for a person who reads nothing else."""
    title = f"{baseline.name} version {baseline.version}"
    if not window.rows:
        return f"{title}: no traffic between {window.start} and {window.end}."
    flips, shift = results.flips.flips(), results.shifts.shift()
    parts = []
    if results.refused:
        parts.append(f"would refuse {results.refused:,} of {window.rows:,} rows")
    if baseline.manifest.classes:
        parts.append(
            f"would decide {flips.flips:,} of {flips.rows:,} differently "
            f"({flips.share:.2%}, {flips.low:.2%} to {flips.high:.2%})"
        )
    else:
        parts.append(
            f"would shift {flips.rows:,} predictions by {shift.mean:+.4g} on average, "
            f"{shift.extreme:+.4g} at most"
        )
    own = results.reproduction()
    if own is not None:
        how = (
            "bit for bit"
            if own.identical == own.rows
            else f"(the others differ by up to {own.max_difference:.1e})"
        )
        parts.append(f"reproduces {own.identical:,} of its own {own.rows:,} answers {how}")
    return f"{title} {'; '.join(parts)}."
