"""The evidence of a canary, counted from the entries of the traffic log.

`registry.canary` bets on these counts, so they must be nearly independent: one latency per model
call and unit, ranked among production's latencies before and after it, none of which is used
twice; one compared answer per unit.
"""

from collections import deque
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from contracts.canary import LATENCY_SLACK_MS, MAX_SLOWDOWN, REFERENCE_LATENCIES, CanaryEvidence
from contracts.names import CHALLENGER, PRODUCTION
from contracts.shadow import ShadowRecord
from services.shadow.log_entry import LogEntry

NEIGHBOURS = REFERENCE_LATENCIES // 2
"""Latencies of production on each side of one of the challenger's."""


class EvidenceCounter:
    """Counts the evidence of one canary; call `new_step` when its weight has changed."""

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
        self._last_request: str | None = None
        self._last_production_call: str | None = None
        self._last_challenger_call: str | None = None
        self._timed_units: set[str] = set()
        self._compared_units: set[str] = set()
        self._before: deque[float] = deque(maxlen=NEIGHBOURS)
        self._after: list[float] = []
        self._pending: float | None = None

    @property
    def evidence(self) -> CanaryEvidence:
        """The counts so far."""
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
        """Count every unit again: another weight sends other units to the challenger."""
        self._timed_units.clear()
        self._compared_units.clear()

    def drop(self, n_entries: int) -> None:
        """Record that entries were skipped unread."""
        self._dropped += n_entries

    def count(self, entries: Iterable[LogEntry]) -> list[LogEntry]:
        """Count entries, ordered by time; returns the challenger's answers, one per request."""
        return [entry for entry in entries if self._count(entry)]

    def compare(self, answers: Sequence[tuple[LogEntry, ShadowRecord]]) -> None:
        """Count answers of the challenger, each with production's on the same features."""
        for entry, record in answers:
            if record.error:
                # Production's answer is unknown.
                continue
            self._compared += 1
            if entry.unit not in self._compared_units:
                self._compared_units.add(entry.unit)
                self._units += 1
                self._changed += not record.agrees

    def _count(self, entry: LogEntry) -> bool:
        """Count one entry; True for the first entry of a request that the challenger answered."""
        if not entry.assigned or self._last_request == entry.request_id:
            return False
        self._last_request = entry.request_id
        self._seen += 1
        if entry.assigned == PRODUCTION:
            # Rows of one model call share their time: they are one latency.
            if self._last_production_call != entry.time:
                self._last_production_call = entry.time
                self._add_production_latency(entry.latency_ms)
            return False
        self._requests += 1
        if entry.variant != CHALLENGER:
            self._failed += 1
            return False
        if self._last_challenger_call != entry.time and entry.unit not in self._timed_units:
            self._last_challenger_call = entry.time
            self._add_challenger_latency(entry)
        return True

    def _add_challenger_latency(self, entry: LogEntry) -> None:
        """Hold a latency of the challenger's for ranking, once enough of production's precede."""
        if self._pending is None and len(self._before) == NEIGHBOURS:
            self._timed_units.add(entry.unit)
            self._pending = (entry.latency_ms - LATENCY_SLACK_MS) / MAX_SLOWDOWN

    def _add_production_latency(self, latency_ms: float) -> None:
        """Take a latency of production's; with enough after the pending one, rank that one."""
        if self._pending is None:
            self._before.append(latency_ms)
            return
        self._after.append(latency_ms)
        if len(self._after) == NEIGHBOURS:
            rank = sum(each < self._pending for each in (*self._before, *self._after))
            self._ranks[rank] += 1
            self._pending = None
            self._before.clear()
            self._after.clear()
