"""A request that waits for its rows to be scored."""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from services.faults import Fault
from services.inference.batch_result import BatchResult
from services.inference.decode import Rows

Render = Callable[[BatchResult, slice], Any]
"""Makes an answer of the result of a model call, and of where in it the rows of a pending stand."""


class ResponseSink(Protocol):
    """Where an answer goes: a future, or a connection that waits."""

    def done(self) -> bool:
        """Whether it was answered already, or nobody waits any more."""

    def set_result(self, result: Any, /) -> None:
        """ResponseSink."""

    def set_exception(self, fault: BaseException, /) -> None:
        """Refuse."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The variant that a request's unit was given, at which weight of the challenger.

    `failed_attempt_s` is what the challenger took of the request's time, before it failed.
    """

    unit: str
    assigned: str
    weight: float
    failed_attempt_s: float = 0.0


@dataclass(slots=True, eq=False)
class PendingRequest:
    """A request that waits: its rows, its own context, and where its answer goes.

    `assignment` is None where one version answers all.
    """

    rows: Rows
    request_id: str
    arrived: float
    answer: ResponseSink
    render: Render
    scores: Sequence[Sequence[float]] = ()
    assignment: Assignment | None = None


def failed_attempt_s(pending: PendingRequest) -> float:
    """What another version took of a request's time before it failed."""
    return 0.0 if pending.assignment is None else pending.assignment.failed_attempt_s


class FallbackSink:
    """Where an answer goes while there is another way: a model that fails is asked otherwise.

    `ask_fallback` is given the fault, if it has one of the `codes`, and answers instead.
    """

    __slots__ = ("_answer", "_ask_fallback", "_codes", "_is_spent")

    def __init__(
        self, answer: ResponseSink, codes: Container[str], ask_fallback: Callable[[Fault], None]
    ) -> None:
        self._answer = answer
        self._codes = codes
        self._ask_fallback = ask_fallback
        self._is_spent = False

    def done(self) -> bool:
        """Whether nothing is expected here any more; the other way may still answer."""
        return self._is_spent or self._answer.done()

    def set_result(self, result: Any, /) -> None:
        """ResponseSink."""
        self._answer.set_result(result)

    def set_exception(self, fault: BaseException, /) -> None:
        """Ask otherwise, if the fault is of that kind; else refuse."""
        if not isinstance(fault, Fault) or fault.code not in self._codes:
            self._answer.set_exception(fault)
            return
        self._is_spent = True
        try:
            self._ask_fallback(fault)
        except Fault as second:
            self._answer.set_exception(second)
