"""Which of the recent rows an evaluation holds, and how many it needs; pure functions.

An evaluation that cannot see the fall that was reported is no evidence against a challenger. A
retraining therefore waits until enough labelled rows have come, and one that was refused is tried
again when an evaluation of new rows alone is large enough.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.retraining import Retraining
from contracts.times import parse_utc, utc_text
from contracts.verdict import Performance, Verdict
from metrics.alpha_spending import alpha_at_attempt, detectable_difference
from metrics.interval import Z95

EVALUATION_SHARE = 0.3
"""Share of the recent labelled rows, the newest, on which both versions are compared."""
CUT_TOLERANCE = 0.15
"""By which share of the recent rows the cut may move, so that it lies between two times."""
MIN_EVALUATION_ROWS = 100
MAX_EVALUATION_ROWS = 20_000
"""The held-out rows that a version carries at most."""
RECOVERABLE_SHARE = 0.5
"""Share of the reported fall that an evaluation must be able to see: a challenger seldom wins all
of it back, since the world may also have become harder to predict."""
EVALUATED_STATES: frozenset[str] = frozenset({"trained", "promoted", "refused"})
"""States of retrainings whose evaluation may have been looked at."""
MAX_DOUBLINGS = 10
GROWTH_OF_BLIND = 1.5
"""How many times the rows of an evaluation that could not see the fall the next one has."""

Micros = NDArray[np.int64]
"""Times in microseconds since 1970, rising."""


@dataclass(frozen=True)
class ReportedFall:
    """By how much labels have shown a metric to be below its baseline, on how many labels.

    `first_window_end` is the end of the first window of labels that showed it (UTC).
    """

    metric: str
    size: float
    standard_error: float
    labels: int
    first_window_end: str = ""

    @property
    def sought(self) -> float:
        """The improvement that an evaluation must be able to see, in the metric's unit."""
        return RECOVERABLE_SHARE * self.size


def reported_fall(verdict: Verdict, gate_metric: str, since: str) -> ReportedFall | None:
    """The fall that a verdict reports: in the gate's metric, or in the one that shows it best.

    `since` is the start of the first window of labels that showed it.
    """
    performance = verdict.performance
    if performance is None:
        return None
    falls = [
        ReportedFall(
            m.metric,
            (m.baseline - m.value) if m.greater_is_better else (m.value - m.baseline),
            (m.high - m.low) / (2 * Z95),
            performance.labels,
            _first_window_end(performance, since),
        )
        for m in performance.metrics
        if m.worse or m.metric == gate_metric
    ]
    falls = [fall for fall in falls if fall.size > 0 and fall.standard_error > 0]
    if not falls:
        return None
    of_gate = [fall for fall in falls if fall.metric == gate_metric]
    return (of_gate or [max(falls, key=lambda fall: fall.size / fall.standard_error)])[0]


def _first_window_end(performance: Performance, since: str) -> str:
    if not (performance.start and performance.end and since):
        return ""
    length = parse_utc(performance.end) - parse_utc(performance.start)
    return utc_text(parse_utc(since) + length)


def rows_to_see(fall: ReportedFall) -> int:
    """How many rows an evaluation needs to see what it must of a fall, at its first attempt.

    Two versions' metrics on the same rows go together. At a correlation of one half their
    difference has the standard error of one of them, which shrinks with the root of the rows.

    >>> rows_to_see(ReportedFall("accuracy", size=0.08, standard_error=0.02, labels=500))
    923
    """
    detectable = detectable_difference(fall.standard_error, 1e9, alpha_at_attempt(1))
    needed = math.ceil(fall.labels * (detectable / fall.sought) ** 2)
    return min(max(needed, MIN_EVALUATION_ROWS), MAX_EVALUATION_ROWS)


@dataclass(frozen=True)
class EvaluationNeeds:
    """What an evaluation must hold: at least `rows` rows, all from `not_before` on.

    `not_before` is in microseconds since 1970.
    """

    rows: int = 0
    not_before: int = 0


def evaluation_needs(
    fall: ReportedFall | None,
    answers: Sequence[Retraining],
    production_digest: str,
    alarm_start: str,
    max_attempts: int,
) -> EvaluationNeeds:
    """What the evaluation of a retraining that answers an alarm must hold.

    * Enough rows to see the reported fall. Where none was reported, and an evaluation has been
      held before, `MIN_EVALUATION_ROWS`.
    * Half as many again as an evaluation had that turned out not to see it.
    * Rows from after the first window that showed it: a window of faulty labels is no evidence
      for the challenger that learned them.
    * No row of an earlier evaluation against the same production version, and at least as many
      rows as the last of them had. From `max_attempts` refusals of one alarm on, each further
      evaluation needs twice the rows of the previous one.
    """
    same = [r for r in answers if r.request.production_digest == production_digest]
    seen = [r for r in same if r.state in EVALUATED_STATES]
    blind = [r.request for r in same if r.state == "waiting" and r.request.episode == alarm_start]
    refused = [r for r in seen if r.request.episode == alarm_start and r.state == "refused"]
    rows = MIN_EVALUATION_ROWS if seen else 0
    if fall:
        rows = rows_to_see(fall)
    if refused:
        doublings = min(max(len(refused) - max_attempts + 1, 0), MAX_DOUBLINGS)
        rows = max(rows, refused[0].request.evaluation_rows) * 2**doublings
    if blind:
        rows = max(rows, math.ceil(blind[-1].evaluation_rows * GROWTH_OF_BLIND))
    starts = [_micros(r.request.evaluation_end) + 1 for r in seen]
    if fall and fall.first_window_end:
        starts.append(_micros(fall.first_window_end))
    return EvaluationNeeds(min(rows, MAX_EVALUATION_ROWS), max(starts, default=0))


def evaluation_start(times: Micros, needs: EvaluationNeeds) -> int:
    """The index of the first row of an evaluation among recent rows, which may be all of them.

    The newest 30 %, or as many as needed, and none from before `needs.not_before`. The rows of a
    batch have one time, so the cut lies between two times if there is a change near enough that
    leaves the rows needed; otherwise a batch is cut through.
    """
    first = int(np.searchsorted(times, needs.not_before))
    n = len(times)
    wanted = min(n - max(round(EVALUATION_SHARE * n), 1), n - needs.rows)
    wanted = max(wanted, first, 0)
    changes = np.flatnonzero(np.diff(times)) + 1
    latest = n - needs.rows if n - first >= needs.rows else n
    allowed = (changes >= first) & (changes <= latest)
    near = changes[allowed & (np.abs(changes - wanted) <= CUT_TOLERANCE * n)]
    cut = int(near[np.argmin(np.abs(near - wanted))]) if len(near) else wanted
    return max(cut, n - MAX_EVALUATION_ROWS)


def _micros(text: str) -> int:
    return int(parse_utc(text).timestamp() * 1e6)
