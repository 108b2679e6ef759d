"""The evidence of a canary, counted from the lines of the traffic log.

What is counted is what `registry.canary` bets on, so it must be as good as independent: one
latency for each model call and unit, among production's latencies on both sides of it and none
of them used twice; one compared answer for each unit.
"""

from collections import deque
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from contracts.canary import REFERENCES, SLACK_MS, SLOWER, CanaryEvidence
from contracts.names import CHALLENGER, PRODUCTION
from contracts.shadow import ShadowRecord
from services.shadow.log_entry import Line

BESIDE = REFERENCES // 2


class Tally:
    """Counts for one canary; `new_step` when its weight has moved."""

    def __init__(self, evidence: CanaryEvidence) -> None:
        self._seen = evidence.seen
        self._requests = evidence.requests
        self._failed = evidence.failed
        self._ranks = list(evidence.ranks)
        self._compared = evidence.compared
        self._units = evidence.units
        self._changed = evidence.changed
        self._dropped = evidence.dropped
        self._canary = evidence.canary
        self._last: dict[str, str] = {}
        self._timed: set[str] = set()
        self._compared_units: set[str] = set()
        self._before: deque[float] = deque(maxlen=BESIDE)
        self._after: list[float] = []
        self._between: float | None = None

    @property
    def evidence(self) -> CanaryEvidence:
        """What was counted."""
        return replace(
            CanaryEvidence(canary=self._canary),
            seen=self._seen,
            requests=self._requests,
            failed=self._failed,
            ranks=tuple(self._ranks),
            compared=self._compared,
            units=self._units,
            changed=self._changed,
            dropped=self._dropped,
        )

    def new_step(self) -> None:
        """At another weight other units meet the challenger: each is new again."""
        self._timed.clear()
        self._compared_units.clear()

    def drop(self, lines: int) -> None:
        """Some lines could not be looked at."""
        self._dropped += lines

    def see(self, lines: Iterable[Line]) -> list[Line]:
        """Count lines in the order of time; gives the challenger's answers, one a request."""
        return [line for line in lines if self._counts(line)]

    def compare(self, answers: Sequence[tuple[Line, ShadowRecord]]) -> None:
        """Count the challenger's answers beside what production says to the same features."""
        for line, record in answers:
            if record.error:
                # It cannot be known what production would have said.
                continue
            self._compared += 1
            if line.unit not in self._compared_units:
                self._compared_units.add(line.unit)
                self._units += 1
                self._changed += not record.agrees

    def _counts(self, line: Line) -> bool:
        """Count one line; whether it is the first of an answer of the challenger's."""
        if not line.assigned or self._last.get("request") == line.request_id:
            return False
        self._last["request"] = line.request_id
        self._seen += 1
        if line.assigned == PRODUCTION:
            if self._last.get(PRODUCTION) != line.time:
                # Rows of one model call wait together: they are one latency.
                self._last[PRODUCTION] = line.time
                self._beside(line.latency_ms)
            return False
        self._requests += 1
        if line.variant != CHALLENGER:
            self._failed += 1
            return False
        if self._last.get(CHALLENGER) != line.time and line.unit not in self._timed:
            self._last[CHALLENGER] = line.time
            self._between_them(line)
        return True

    def _between_them(self, line: Line) -> None:
        """Take a latency of the challenger's, once there are enough of production's before it."""
        if self._between is None and len(self._before) == BESIDE:
            self._timed.add(line.unit)
            self._between = (line.latency_ms - SLACK_MS) / SLOWER

    def _beside(self, latency_ms: float) -> None:
        """Take a latency of production's; the last of those behind tells the rank."""
        if self._between is None:
            self._before.append(latency_ms)
            return
        self._after.append(latency_ms)
        if len(self._after) == BESIDE:
            rank = sum(each < self._between for each in (*self._before, *self._after))
            self._ranks[rank] += 1
            self._between = None
            self._before.clear()
            self._after.clear()
