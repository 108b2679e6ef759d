"""The endpoint of a model with a traffic split: a share of the units meets the challenger.

The unit decides which version answers (`contracts.split`): the request's own unit, else the
feature that the split names, else the request itself. Production answers what the challenger
fails to answer, so that an experiment costs nobody an answer; the failure is counted, and the
record says that the unit was assigned to the challenger.
"""

from typing import Protocol

import msgspec

from contracts.names import PRODUCTION
from contracts.split import TrafficSplit, bucket_of
from services.faults import Fault
from services.inference.pending import Assignment, FallbackSink, Request, ResponseSink
from services.metrics import Metrics
from services.serving.endpoint import Operation, SingleEndpoint

FALLBACK_CODES = frozenset(
    {"prediction_failed", "model_unavailable", "overloaded", "deadline_exceeded"}
)
"""Faults of the version, as opposed to the request, the traffic log or the machine."""
MAX_CACHED_ASSIGNMENTS = 4096
"""Units whose assignment is kept; when there are more, all are dropped and computed again."""


class CurrentProduction(Protocol):
    """Finds the endpoint of production at the moment of the call."""

    def __call__(self) -> SingleEndpoint | None:
        """The endpoint; None if nothing is in production any more."""


class FindUnit(Protocol):
    """Finds the unit of a one-row request in its body."""

    def __call__(self, body: bytes, /) -> bytes:
        """The unit; empty if the body has none."""


class SplitEndpoint:
    """Answers each request by one of two versions; every row of a request by the same one."""

    def __init__(
        self,
        production: SingleEndpoint,
        challenger: SingleEndpoint,
        split: TrafficSplit,
        metrics: Metrics,
        current_production: CurrentProduction,
    ) -> None:
        self._production = production
        self._challenger = challenger
        self._split = split
        self._current_production = current_production
        self._known: dict[bytes, Assignment] = {}
        self._find_unit = _unit_finder(split.by) if split.by else None
        self._failures = {
            code: metrics.challenger_failures.labels(split.model, code) for code in FALLBACK_CODES
        }

    def submit(self, operation: Operation, request: Request, sink: ResponseSink) -> None:
        """Answer a request by the version that its unit is assigned to; see `Endpoint`."""
        assignment = self._assign(operation, request)
        if assignment.assigned == PRODUCTION:
            self._production.submit(operation, request, sink, assignment)
            return

        def ask_production(fault: Fault) -> None:
            self._failures[fault.code].inc()
            production = self._current_production()
            if production is None:
                sink.set_exception(Fault("unknown_model"))
            else:
                production.submit(operation, request, sink, assignment)

        attempt = FallbackSink(sink, FALLBACK_CODES, ask_production)
        self._challenger.submit(operation, request, attempt, assignment)

    def _assign(self, operation: Operation, request: Request) -> Assignment:
        unit = request.unit
        if not unit and self._find_unit is not None and operation.is_one_row:
            unit = self._find_unit(request.body)
        if not unit:
            return self._new_assignment(request.request_id.encode())
        known = self._known.get(unit)
        if known is None:
            if len(self._known) >= MAX_CACHED_ASSIGNMENTS:
                self._known.clear()
            known = self._known[unit] = self._new_assignment(unit)
        return known

    def _new_assignment(self, unit: bytes) -> Assignment:
        bucket, pseudonym = bucket_of(self._split.model, unit)
        return Assignment(pseudonym, self._split.variant_for(bucket), self._split.weight)


def _unit_finder(name: str) -> FindUnit:
    """Finds the value of a feature in a body that is one row."""
    row_type = msgspec.defstruct(
        "Unit", [("value", str | int | float | bool | None, None)], rename={"value": name}
    )
    decode = msgspec.json.Decoder(row_type).decode

    def find_unit(body: bytes, /) -> bytes:
        try:
            value: object = decode(body).value  # type: ignore[attr-defined]  # the field defined above
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            # The version's decoder says what is wrong with the body.
            return b""
        return b"" if value is None else _unit_text(value).encode()

    return find_unit


def _unit_text(value: object) -> str:
    """A value as a header would give it: `7` and `7.0` are the same number, so the same unit."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
