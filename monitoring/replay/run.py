"""The story of a replay: ask a version what others were asked, and hold the answers together."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contracts.errors import InvalidDocument
from contracts.names import Layout, window_id
from contracts.reference import CategoryReference, NumberReference
from contracts.replay import Replay, Scored
from contracts.times import utc_text
from contracts.verdict import Window
from monitoring.baseline import Baseline, select_segments
from monitoring.explanation.scoring_process import ScoringProcess
from monitoring.replay.page import replay_html
from monitoring.replay.results import Answers, ReplayCounts, answers_of, decisions_of
from monitoring.replay.blocks import Block, blocks
from monitoring.reporting import artifacts
from monitoring.traffic.window import ReadStats, TimeWindow


@dataclass(frozen=True)
class Wish:
    """Which traffic is replayed, and how it is taken apart.

    `limit` ends the replay after so many rows, 0 at the window's end. `segments` are category
    features; by default those of the version's manifest, or else all.
    """

    span: TimeWindow
    limit: int = 0
    segments: Sequence[str] | None = None


def replay(layout: Layout, baseline: Baseline, wish: Wish, *, now: datetime) -> Replay:
    """What the version of `baseline` would have answered; nothing is written.

    Raises:
        CorruptModel: the version cannot be loaded, or does not answer in time.
        NotFoundHere: a segment is no category feature of the version.

    """
    begin = time.perf_counter()
    met, seen = ReadStats(), 0
    counts = ReplayCounts(
        baseline.manifest, baseline.version, _segments(baseline, wish), _ends(baseline)
    )
    with ScoringProcess(layout, baseline) as scorer:
        for block in blocks(layout, baseline.manifest, wish.span, met):
            seen += len(block)
            left = len(block) - max(seen - wish.limit, 0) if wish.limit else len(block)
            _ask(scorer, baseline, block.head(left), counts)
            if wish.limit and seen >= wish.limit:
                break
    read = min(seen, wish.limit) if wish.limit else seen
    window = Window(
        start=utc_text(wish.span.start),
        end=utc_text(wish.span.end),
        rows=read,
        files=met.files,
        torn_lines=met.torn_lines,
        other_versions=met.other_versions,
    )
    return _document(baseline, wish, counts, window, met, now, time.perf_counter() - begin)


def keep(layout: Layout, document: Replay) -> tuple[Path, Path]:
    """Write a replay as JSON and as a page; the same replay again replaces them.

    Raises:
        Unwritable: the folder of replays cannot be written.

    """
    folder = layout.replays / document.model
    return artifacts.keep(folder, document.replay_id, document, replay_html(document))


def _segments(baseline: Baseline, wish: Wish) -> tuple[str, ...]:
    wished = select_segments(baseline, wish.segments)
    if wished or wish.segments is not None:
        return wished
    features = baseline.reference.features.items()
    return tuple(name for name, column in features if isinstance(column, CategoryReference))


def _ends(baseline: Baseline) -> tuple[float, float]:
    """Between which scores they are drawn: probabilities, or what training saw."""
    column = baseline.reference.predictions.get("score")
    if baseline.manifest.classes or not isinstance(column, NumberReference):
        return 0.0, 1.0
    low, high = column.minimum, column.maximum
    return (low, high) if high > low else (low, low + 1.0)


# one block


def _ask(scorer: ScoringProcess, baseline: Baseline, block: Block, counts: ReplayCounts) -> None:
    """Let the version answer a block, and count what comes."""
    schema = baseline.manifest.schema
    refused = {
        row: [f"{v.path}: expected {v.expected}" for v in schema.violations(features)]
        for row, features in block.strangers.items()
    }
    asked = np.array([i for i in range(len(block)) if i not in refused], dtype=np.int64)
    if len(asked):
        scored = scorer.score(_columns(block, asked))
        answers, answered = _answered(scored, asked, baseline)
        refused |= {int(asked[row.row]): list(row.reasons) for row in scored.refused}
        answers = _reproduced(scorer, baseline, block, answered, answers, counts)
        if len(answered):
            counts.add(block, answered, answers)
    counts.refuse(block.ids, refused)


def _columns(block: Block, rows: NDArray[np.int64]) -> dict[str, Sequence[object]]:
    if len(rows) == len(block):
        return dict(block.features)
    return {name: [values[i] for i in rows] for name, values in block.features.items()}


def _answered(
    scored: Scored, asked: NDArray[np.int64], baseline: Baseline
) -> tuple[Answers, NDArray[np.int64]]:
    """The answers, and to which rows of the block they are."""
    gone = [row.row for row in scored.refused]
    rows = np.delete(asked, gone)
    if len(scored.scores) != len(rows):
        raise InvalidDocument(
            f"services.replay: expected scores of {len(rows)} rows, got {len(scored.scores)}",
            remedy="its code is not of this version of Slipway: make setup",
        )
    n_outputs = len(baseline.manifest.classes or baseline.manifest.outputs)
    scores = np.array(scored.scores, dtype=np.float64).reshape(len(rows), n_outputs)
    return answers_of(baseline.manifest, scores), rows


def _reproduced(
    scorer: ScoringProcess,
    baseline: Baseline,
    block: Block,
    rows: NDArray[np.int64],
    answers: Answers,
    counts: ReplayCounts,
) -> Answers:
    """The answers, in which rows of the version itself are scored as they were when asked.

    A linear model gives a row another last bit alone than in company, and which of the two
    was answered depends on who else asked at that moment. So a row that differs in company is
    tried alone.
    """
    own = np.flatnonzero(block.versions[rows] == baseline.version)
    if not len(own):
        return answers
    same = _identical(baseline, block, rows[own], answers.scores[own])
    alone = own[~same]
    if len(alone):
        scored = scorer.score(_columns(block, rows[alone]), one_by_one=True)
        again, answered = _answered(scored, rows[alone], baseline)
        if len(answered) == len(alone):
            closer = _identical(baseline, block, answered, again.scores)
            answers.scores[alone[closer]] = again.scores[closer]
            same[np.flatnonzero(~same)[closer]] = True
            counts.reproduce(
                same, int(closer.sum()), _largest(block, rows[own], answers, own, same)
            )
            return answers_of(baseline.manifest, answers.scores)
    counts.reproduce(same, 0, _largest(block, rows[own], answers, own, same))
    return answers


def _identical(
    baseline: Baseline, block: Block, rows: NDArray[np.int64], scores: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether each row has the logged decision and the logged bits in every score."""
    logged = decisions_of(baseline.manifest, [block.predictions[i] for i in rows])
    decided = answers_of(baseline.manifest, scores).decisions
    return (logged == decided) & (block.scores[rows] == scores).all(axis=1)


def _largest(
    block: Block,
    rows: NDArray[np.int64],
    answers: Answers,
    own: NDArray[np.int64],
    same: NDArray[np.bool_],
) -> float:
    """The largest difference of a score that is not the same; a score that is missing has none."""
    differences = np.abs(block.scores[rows[~same]] - answers.scores[own[~same]])
    return float(differences[np.isfinite(differences)].max(initial=0.0))


# the document


def _document(
    baseline: Baseline,
    wish: Wish,
    counts: ReplayCounts,
    window: Window,
    met: ReadStats,
    now: datetime,
    seconds: float,
) -> Replay:
    span = wish.span
    name = window_id(baseline.name, baseline.version, span.start, span.end)
    return Replay(
        replay_id=name if span.version is None else f"{name}-of-{span.version}",
        model=baseline.name,
        version=baseline.version,
        digest=baseline.digest,
        task=baseline.manifest.task,
        made_at=utc_text(now),
        window=window,
        answered_by=span.version,
        limited=bool(wish.limit) and window.rows >= wish.limit,
        replayed=counts.replayed,
        refused=counts.refused,
        sentence=_sentence(baseline, window, counts),
        flips=counts.flips(),
        transitions=dict(counts.transitions.most_common()),
        shift=counts.shift(),
        distribution=counts.distribution(),
        segments=counts.segments(),
        groups=counts.groups(),
        reproduction=counts.reproduction(),
        examples=counts.examples(),
        refusals=tuple(counts.refusals()),
        torn_files=tuple(met.torn_files),
        seconds=round(seconds, 3),
    )


def _sentence(baseline: Baseline, window: Window, counts: ReplayCounts) -> str:
    """What came of it, for a person who reads nothing else."""
    title = f"{baseline.name} version {baseline.version}"
    if not window.rows:
        return f"{title}: no traffic between {window.start} and {window.end}."
    told, shift, own = counts.flips(), counts.shift(), counts.reproduction()
    parts = []
    if counts.refused:
        parts.append(f"would refuse {counts.refused:,} of {window.rows:,} requests")
    if baseline.manifest.classes:
        interval = f"{told.low:.2%} to {told.high:.2%}"
        parts.append(
            f"would decide {told.flips:,} of {told.rows:,} otherwise ({told.share:.2%}, {interval})"
        )
    else:
        parts.append(
            f"would answer {told.rows:,} by {shift.mean:+.4g} on average, "
            f"{shift.extreme:+.4g} at most"
        )
    if own is not None:
        words = (
            "bit for bit"
            if own.identical == own.rows
            else f"(the others by {own.max_difference:.1e})"
        )
        parts.append(f"reproduces {own.identical:,} of its own {own.rows:,} answers {words}")
    return f"{title} {'; '.join(parts)}."
