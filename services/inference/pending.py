"""A request on its way through the service, and who receives its response.

A request knows no transport: HTTP, gRPC, jobs and streams differ only in the sink they pass.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Protocol

import msgspec

from services.faults import Fault
from services.inference.batch_result import BatchResult
from services.inference.rows import Rows


class ChooseIds(Protocol):
    """Chooses the prediction ids of a request, so that scoring it again gives the same ids.

    `services.inference.ids.IdsFromHash` is one.
    """

    def __call__(self, digest: str, indices: Sequence[int], /) -> Sequence[bytes]:
        """The ids of the rows at `indices` of the request, in that order.

        Each is a UUID as 36 ASCII characters, and no other row of this model has it. `digest`
        is that of the version that scored the rows.
        """


class Request(msgspec.Struct, frozen=True, gc=False):
    """A prediction request as it left its transport.

    `unit`: for whom it is (a user, an account), empty if unknown; it decides which version of a
    split answers. `arrived`: when its last byte came, in seconds of `time.monotonic`. `trace_id`:
    the trace that it belongs to, empty for none. `choose_ids`: None for new ids, which differ
    each time that the request is scored.
    """

    body: bytes
    request_id: str
    unit: bytes
    arrived: float
    trace_id: str = ""
    choose_ids: ChooseIds | None = None


class ResponseSink(Protocol):
    """Receives one response: the encoded body, or why there is none. A future is one.

    Exactly one of the two `set_` methods is called, in the event loop, and only while `done()`
    is false.
    """

    def done(self) -> bool:
        """Whether it was called already, or nobody waits any more."""

    def set_result(self, result: bytes, /) -> None:
        """Take the encoded response."""

    def set_exception(self, fault: BaseException, /) -> None:
        """Take the fault; anything but a `Fault` is a bug."""


class Render(Protocol):
    """Encodes the response to a request from the result of its batch."""

    def __call__(self, result: BatchResult, rows: slice, refused: Mapping[int, Fault], /) -> bytes:
        """The response; `rows` of the result are the request's, `refused` as in `Rows`."""


class Assignment(msgspec.Struct, frozen=True):
    """The variant that a split assigned to a unit, and the challenger's weight at that time.

    `unit` is the hash by which the traffic log knows the unit.
    """

    unit: str
    assigned: str
    weight: float


class PendingRequest(msgspec.Struct, eq=False):
    """A decoded request that waits for its batch.

    `queued`: since when, in seconds of `time.monotonic`; its deadline counts from then.
    `assignment`: None where the model has no split. `is_partial`: a row on which the model fails
    is refused alone, instead of the whole request. `scores`: set by the batcher, shape
    `(n_rows, n_outputs)`.
    """

    rows: Rows
    request: Request
    sink: ResponseSink
    render: Render
    queued: float
    assignment: Assignment | None = None
    is_partial: bool = False
    scores: Sequence[Sequence[float]] = ()


class FallbackSink:
    """A sink that has a second way to get the response: faults with one of `codes` take it.

    `ask_fallback` gets the fault, and passes a response to the first sink itself.
    """

    __slots__ = ("_ask_fallback", "_codes", "_is_spent", "_sink")

    def __init__(
        self, sink: ResponseSink, codes: Container[str], ask_fallback: Callable[[Fault], None]
    ) -> None:
        self._sink = sink
        self._codes = codes
        self._ask_fallback = ask_fallback
        self._is_spent = False

    def done(self) -> bool:
        """Whether this way is over; the fallback may still answer."""
        return self._is_spent or self._sink.done()

    def set_result(self, result: bytes, /) -> None:
        """Pass the response on."""
        self._sink.set_result(result)

    def set_exception(self, fault: BaseException, /) -> None:
        """Ask the fallback if the fault is of that kind, else pass it on."""
        if isinstance(fault, Fault) and fault.code in self._codes:
            self._is_spent = True
            self._ask_fallback(fault)
        else:
            self._sink.set_exception(fault)
