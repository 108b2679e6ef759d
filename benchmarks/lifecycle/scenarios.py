"""Traffic in which it is known whether a canary's challenger is harmless.

Latencies follow the load (an autoregressive factor), now and then everything stalls at once,
and a few users ask much more often than others and are unlike them: what makes false alarms of
tests that take every request for independent.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.shadow import ShadowRecord
from services.shadow.log_entry import LogEntry

MEDIAN_MS = 2.0
SPREAD = 0.4
"""Of the logarithm of a latency."""
KEPT = 0.97
"""Of the load, from one request to the next."""
LOAD = 0.3
STALLS = 0.002
STALL_MS = 60.0
STALLED = 24
"""Requests that a stall makes late."""
BATCH = 2.0
"""Requests in one model call, on average, which are answered at one moment."""
CHUNK = 2_000
NO_FEATURES = msgspec.Raw(b"{}")


@dataclass(frozen=True)
class World:
    """A challenger and production.

    `failing`: the share of its requests that it fails; `slower`: how many times production's
    latencies its own are; `changed`: the share of users whom it answers differently. `users`:
    how many there are; 0 for requests without a user.
    """

    name: str
    failing: float = 0.0
    slower: float = 1.0
    changed: float = 0.05
    users: int = 5_000
    spread: float = SPREAD


@dataclass(frozen=True)
class Asked:
    """Some requests, one after the other; a user's `points` say who answers at a weight."""

    times: NDArray[np.int64]
    units: NDArray[np.int64]
    points: NDArray[np.float64]
    latencies: NDArray[np.float64]
    fails: NDArray[np.bool_]
    changes: NDArray[np.bool_]


def requests(world: World, rng: np.random.Generator) -> Iterator[Asked]:
    """Requests without an end."""
    users = max(world.users, 1)
    points = rng.random(users)
    is_changed = rng.random(users) < world.changed
    often = 1.0 / np.arange(1, users + 1)
    often /= often.sum()
    load, late, moment, first = 0.0, 0, 0, users
    while True:
        if world.users:
            units = rng.choice(users, CHUNK, p=often)
            at, changes = points[units], is_changed[units]
        else:
            units = np.arange(first, first + CHUNK)
            first += CHUNK
            at, changes = rng.random(CHUNK), rng.random(CHUNK) < world.changed
        loads, lates = np.empty(CHUNK), np.zeros(CHUNK)
        noise = rng.normal(0.0, LOAD * np.sqrt(1 - KEPT**2), CHUNK)
        stalls = rng.random(CHUNK) < STALLS
        for i in range(CHUNK):
            load = KEPT * load + noise[i]
            loads[i] = load
            late = STALLED if stalls[i] else max(late - 1, 0)
            lates[i] = STALL_MS * late / STALLED
        own = MEDIAN_MS * np.exp(loads + rng.normal(0.0, world.spread, CHUNK))
        times = moment + np.cumsum(rng.random(CHUNK) < 1 / BATCH)
        moment = int(times[-1])
        yield Asked(times, units, at, own + lates, rng.random(CHUNK) < world.failing, changes)


def lines_of(world: World, asked: Asked, weight: float) -> list[tuple[LogEntry, bool]]:
    """The lines of the traffic log at a weight, and whether production says the same."""
    found = []
    for i in range(len(asked.times)):
        is_challenged = bool(asked.points[i] < weight)
        fails = is_challenged and bool(asked.fails[i])
        slower = world.slower if is_challenged and not fails else 1.0
        line = LogEntry(
            prediction_id="",
            time=f"{asked.times[i]:012d}",
            version=1,
            features=NO_FEATURES,
            prediction="yes",
            score=0.5,
            variant="challenger" if is_challenged and not fails else "production",
            latency_ms=float(asked.latencies[i]) * slower,
            request_id=f"{asked.times[i]}-{i}",
            unit=str(asked.units[i]),
            assigned="challenger" if is_challenged else "production",
        )
        found.append((line, not asked.changes[i]))
    return found


def record_of(*, agrees: bool) -> ShadowRecord:
    """What production says of an answer."""
    return ShadowRecord(
        prediction_id="",
        time="",
        model="simulated",
        version=2,
        variant="challenger",
        prediction="yes",
        score=0.5,
        role="production",
        other_version=1,
        agrees=agrees,
    )
