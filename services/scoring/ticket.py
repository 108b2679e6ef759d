"""A request that waits for its rows to be scored."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from services.faults import Fault
from services.scoring.decode import Rows
from services.scoring.page import Page

Render = Callable[[Page, slice], Any]
"""Makes an answer of the page of a model call, and of where in it the rows of a ticket stand."""


class Answer(Protocol):
    """Where an answer goes: a future, or a connection that waits."""

    def done(self) -> bool:
        """Whether it was answered already, or nobody waits any more."""

    def set_result(self, result: Any, /) -> None:
        """Answer."""

    def set_exception(self, fault: BaseException, /) -> None:
        """Refuse."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The variant that a request's unit was given, at which weight of the challenger.

    `lost_s` is what the challenger took of the request's time, before it failed.
    """

    unit: str
    assigned: str
    weight: float
    lost_s: float = 0.0


@dataclass(slots=True, eq=False)
class Ticket:
    """A request that waits: its rows, its own context, and where its answer goes.

    `assignment` is None where one version answers all.
    """

    rows: Rows
    request_id: str
    arrived: float
    answer: Answer
    render: Render
    scores: Sequence[Sequence[float]] = ()
    assignment: Assignment | None = None


def lost_s(ticket: Ticket) -> float:
    """What another version took of a request's time before it failed."""
    return 0.0 if ticket.assignment is None else ticket.assignment.lost_s


class SecondChance:
    """An answer for several rows: when the model fails on them together, it is asked otherwise."""

    __slots__ = ("_answer", "_ask_otherwise", "_is_spent")

    def __init__(self, answer: Answer, ask_otherwise: Callable[[], None]) -> None:
        self._answer = answer
        self._ask_otherwise = ask_otherwise
        self._is_spent = False

    def done(self) -> bool:
        """Whether nothing is expected here any more; the other way may still answer."""
        return self._is_spent or self._answer.done()

    def set_result(self, result: object, /) -> None:
        """Answer."""
        self._answer.set_result(result)

    def set_exception(self, fault: BaseException, /) -> None:
        """Refuse, unless it is the model that failed."""
        if isinstance(fault, Fault) and fault.code == "prediction_failed":
            self._is_spent = True
            self._ask_otherwise()
        else:
            self._answer.set_exception(fault)
