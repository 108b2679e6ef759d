"""Two endpoints of one model: production's, and the challenger's for its share of the units.

Which of them answers is fixed by the unit (`contracts.split`): the header `x-user-id`, else the
feature that the split names, else the request itself. What the challenger fails to answer,
production answers: an experiment shall cost nobody an answer. The failure is counted, and the
record says that the unit was assigned to the challenger.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import msgspec

from contracts.names import PRODUCTION
from contracts.split import TrafficSplit, bucket_of
from services.faults import Fault
from services.inference.loader import ServedModel
from services.inference.pending import Assignment, FallbackSink, ResponseSink
from services.metrics import Metrics
from services.protocols.open_inference import OpenInference
from services.serving.endpoint import SingleEndpoint

FALLBACK_CODES = frozenset({"prediction_failed", "overloaded", "deadline_exceeded"})
"""Faults of a version, and not of the request, the traffic log or the machine."""
MAX_CACHED_ASSIGNMENTS = 4096
"""So many units' variants are kept; when there are more, all are forgotten and hashed again."""

Ask = Callable[[SingleEndpoint, Assignment], Awaitable[bytes]]
AskFor = Callable[[SingleEndpoint, ResponseSink, Assignment], None]


class SplitEndpoint:
    """Answers as a `SingleEndpoint` does, by one of two versions."""

    def __init__(
        self,
        production: SingleEndpoint,
        challenger: SingleEndpoint,
        split: TrafficSplit,
        metrics: Metrics,
        production_now: Callable[[], SingleEndpoint | None],
    ) -> None:
        self.production = production
        self.challenger = challenger
        self.split = split
        self.name = production.name
        # Until they are retired; a model without a challenger pays nothing.
        production.has_split = challenger.has_split = True
        self.is_synchronous = production.is_synchronous and challenger.is_synchronous
        self._production_now = production_now
        self._known: dict[bytes, Assignment] = {}
        self._unit_of = _unit_reader(split.by) if split.by else None
        self._failures = {
            code: metrics.challenger_failures.labels(self.name, code) for code in FALLBACK_CODES
        }

    @property
    def served(self) -> ServedModel:
        """What production serves."""
        return self.production.served

    @property
    def version(self) -> int:
        """Production's version."""
        return self.production.version

    @property
    def open_inference(self) -> OpenInference:
        """Production's side of the Open Inference Protocol."""
        return self.production.open_inference

    def ask(self, body: bytes, request_id: str, answer: ResponseSink, unit: bytes) -> None:
        """Let the encoded answer to a body that is one row be given to `answer`.

        Raises:
            Fault: the body, or the queue.

        """
        assignment = self._assigned(unit, body, request_id)
        self._ask(lambda d, to, a: d.ask(body, request_id, to, a), answer, assignment)

    def ask_batch(self, body: bytes, request_id: str, answer: ResponseSink, unit: bytes) -> None:
        """The same for a batch; all its rows are answered by one version.

        Raises:
            Fault: the queue.

        """
        assignment = self._assigned(unit, b"", request_id)
        self._ask(lambda d, to, a: d.ask_batch(body, request_id, to, a), answer, assignment)

    def _ask(self, ask: AskFor, answer: ResponseSink, assignment: Assignment) -> None:
        if assignment.assigned == PRODUCTION:
            ask(self.production, answer, assignment)
            return
        since = time.monotonic()

        def ask_production(fault: Fault) -> None:
            again = self._failed(fault, assignment, since)
            ask(self._fallback(), answer, again)

        attempt = FallbackSink(answer, FALLBACK_CODES, ask_production)
        try:
            ask(self.challenger, attempt, assignment)
        except Fault as fault:
            attempt.set_exception(fault)

    async def predict(self, body: bytes, request_id: str, unit: bytes = b"") -> bytes:
        """See `SingleEndpoint.predict`."""
        assignment = self._assigned(unit, body, request_id)
        return await self._answered(lambda d, a: d.predict(body, request_id, a), assignment)

    async def predict_row(self, row: object, request_id: str) -> bytes:
        """See `SingleEndpoint.predict_row`; such a request has no unit of its own."""
        assignment = self._assigned(b"", b"", request_id)
        return await self._answered(lambda d, a: d.predict_row(row, request_id, a), assignment)

    async def predict_batch(self, body: bytes, request_id: str, unit: bytes = b"") -> bytes:
        """See `SingleEndpoint.predict_batch`; all its rows are answered by one version."""
        assignment = self._assigned(unit, b"", request_id)
        return await self._answered(lambda d, a: d.predict_batch(body, request_id, a), assignment)

    async def invoke(self, body: bytes, request_id: str, unit: bytes = b"") -> bytes:
        """See `SingleEndpoint.invoke`."""
        assignment = self._assigned(unit, b"", request_id)
        return await self._answered(lambda d, a: d.invoke(body, request_id, a), assignment)

    async def infer(self, body: bytes, request_id: str, unit: bytes = b"") -> bytes:
        """See `SingleEndpoint.infer`."""
        assignment = self._assigned(unit, b"", request_id)
        return await self._answered(lambda d, a: d.infer(body, request_id, a), assignment)

    async def label(self, body: bytes, request_id: str, _unit: bytes = b"") -> bytes:
        """See `SingleEndpoint.label`: labels are of predictions, whoever made them."""
        return await self.production.label(body, request_id)

    def describe(self) -> dict[str, Any]:
        """What production is, and beside it the challenger's version and weight."""
        challenger = {"version": self.challenger.version, "weight": self.split.weight}
        return self.production.describe() | {"challenger": challenger}

    def _failed(self, fault: Fault, assignment: Assignment, since: float) -> Assignment:
        """Count a request that the challenger failed; the assignment for who answers instead."""
        self._failures[fault.code].inc()
        return replace(assignment, failed_attempt_s=time.monotonic() - since)

    def _fallback(self) -> SingleEndpoint:
        """Production's endpoint as it is at this moment.

        Raises:
            Fault: `unknown_model`; nothing is in production any more.

        """
        endpoint = self._production_now()
        if endpoint is None:
            raise Fault("unknown_model")
        endpoint.has_split = True
        return endpoint

    async def _answered(self, ask: Ask, assignment: Assignment) -> bytes:
        if assignment.assigned == PRODUCTION:
            return await ask(self.production, assignment)
        since = time.monotonic()
        try:
            return await ask(self.challenger, assignment)
        except Fault as fault:
            if fault.code not in FALLBACK_CODES:
                raise
            return await ask(self._fallback(), self._failed(fault, assignment, since))

    def _assigned(self, unit: bytes, body: bytes, request_id: str) -> Assignment:
        """The variant of a request; `body` is that of one row, or empty."""
        if not unit and body and self._unit_of is not None:
            unit = self._unit_of(body)
        if not unit:
            return self._new_assignment(request_id.encode())
        known = self._known.get(unit)
        if known is None:
            if len(self._known) >= MAX_CACHED_ASSIGNMENTS:
                self._known.clear()
            known = self._known[unit] = self._new_assignment(unit)
        return known

    def _new_assignment(self, unit: bytes) -> Assignment:
        bucket, pseudonym = bucket_of(self.name, unit)
        return Assignment(pseudonym, self.split.variant_for(bucket), self.split.weight)


def _unit_reader(name: str) -> Callable[[bytes], bytes]:
    """What finds the value of a feature in a body; nothing where there is none."""
    kind = msgspec.defstruct(
        "Unit", [("value", str | int | float | bool | None, None)], rename={"value": name}
    )
    decode = msgspec.json.Decoder(kind).decode

    def unit_of(body: bytes) -> bytes:
        try:
            value: object = decode(body).value  # type: ignore[attr-defined]  # the field just made
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            # The endpoint will say what is wrong with the body.
            return b""
        return b"" if value is None else _text_of(value).encode()

    return unit_of


def _text_of(value: object) -> str:
    """A value as the header would say it: `7` and `7.0` are one number, and so one unit."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


Endpoint = SingleEndpoint | SplitEndpoint
"""Who is asked for a model."""
