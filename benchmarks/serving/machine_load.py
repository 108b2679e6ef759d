"""How much of our cores others use while we measure, and measuring again when it is much."""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from benchmarks.serving.machine import Cores, busy_s
from benchmarks.serving.server import Server

DISTURBED = 0.1
"""A measurement during which others took more of a core than this is repeated."""
TRIES = 2
SAMPLE_S = 0.5


class Disturbed(Protocol):
    """A measurement that knows the share of a core that others took."""

    @property
    def others(self) -> float:
        """Of the core of which they took more."""


D = TypeVar("D", bound=Disturbed)


@dataclass(frozen=True)
class Reading:
    """What the server used since the meter was set, and the share that others took."""

    cpu_s: float
    others: float


class Meter:
    """Set when a measurement begins, read when it ends."""

    def __init__(self, server: Server, cores: Cores) -> None:
        self._server = server
        self._cores = cores
        self._begin = self._now()

    def read(self) -> Reading:
        """Since the meter was set."""
        spent = [end - begin for begin, end in zip(self._begin, self._now(), strict=True)]
        seconds, of_server, of_client, server_core, client_core = spent
        others = max(server_core - of_server, client_core - of_client, 0.0)
        return Reading(of_server, others / seconds)

    def _now(self) -> tuple[float, float, float, float, float]:
        """The clock; CPU of the server and of the client; how busy their cores were."""
        return (
            time.monotonic(),
            self._server.weight().cpu_s,
            _own_cpu_s(),
            busy_s(self._cores.server),
            busy_s(self._cores.client),
        )


def await_calm(cores: Cores, patience_s: float) -> None:
    """Wait until others leave our cores alone, before we use them; at most that long."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        begin = [busy_s(core) for core in (cores.server, cores.client)]
        time.sleep(SAMPLE_S)
        end = [busy_s(core) for core in (cores.server, cores.client)]
        if max(e - b for b, e in zip(begin, end, strict=True)) <= DISTURBED * SAMPLE_S:
            return


def quietest(take: Callable[[], D]) -> D:
    """A measurement that others did not disturb; after some tries, the least disturbed."""
    taken: list[D] = []
    while len(taken) < TRIES:
        taken.append(take())
        if taken[-1].others <= DISTURBED:
            break
    return min(taken, key=lambda one: one.others)


def _own_cpu_s() -> float:
    """What this process and its children that ended, wrk among them, have used."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(each) for each in who]
    return sum(each.ru_utime + each.ru_stime for each in used)
