"""Good clients next to bad ones: whether any good request suffers."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field as part

import msgspec

from benchmarks.serving.agreement import TOLERANCE
from benchmarks.serving.bad_requests import Badness, badnesses
from benchmarks.serving.bar import Bar, at_least, at_most
from benchmarks.serving.client import OK, Line, percentile_ms, request_of, run_client
from benchmarks.serving.compare import Field, forget_traffic
from benchmarks.serving.machine import Cores
from benchmarks.serving.peer import Peer, Setting
from benchmarks.serving.server import Server
from benchmarks.serving.testbed import Work

GOOD_REQUESTS = 10_000
GOOD_CLIENTS = 24
BAD_CLIENTS = 8
"""One client in four."""
PAUSE_S = 0.04
"""Between a good client's requests: slower than it could, so that every badness has its time."""
KINDS_WANTED = 20


@dataclass
class Outcome:
    """What became of good and bad requests."""

    good: int = 0
    failed: list[str] = part(default_factory=list)
    times: list[float] = part(default_factory=list)
    bad: Counter[str] = part(default_factory=Counter)
    statuses: dict[str, Counter[int]] = part(default_factory=dict)
    undeserved: list[str] = part(default_factory=list)


def measure(field: Field, us: Peer, setting: Setting) -> tuple[dict[str, object], list[Bar]]:
    """Return the figures and bars of good clients alone, and next to bad ones."""
    try:
        with us.server(setting, field.cores.server) as server:
            return _measure(us, server, field.place.works["loan"], field.cores)
    finally:
        forget_traffic(field.place)


def _measure(
    us: Peer, server: Server, work: Work, cores: Cores
) -> tuple[dict[str, object], list[Bar]]:
    path = us.path(work.model, batch=False)
    alone = run_client(_together(server.port, path, work, GOOD_REQUESTS // 5, []), cores.client)
    kinds = badnesses(path, work.rows[0])
    beside = run_client(_together(server.port, path, work, GOOD_REQUESTS, kinds), cores.client)
    figures: dict[str, object] = {
        "good": {"requests": beside.good, "failed": beside.failed[:20]},
        "p99_ms": {
            "alone": percentile_ms(alone.times, 0.99),
            "beside": percentile_ms(beside.times, 0.99),
        },
        "bad": {
            name: {"requests": beside.bad[name], "statuses": dict(beside.statuses[name])}
            for name in beside.bad
        },
        "undeserved": beside.undeserved[:20],
    }
    bars = [
        at_least("good requests", GOOD_REQUESTS, beside.good),
        at_most("good requests that failed", 0, len(beside.failed)),
        at_least("kinds of badness", KINDS_WANTED, len(beside.bad)),
        at_most("bad requests that got the wrong answer", 0, len(beside.undeserved)),
    ]
    return figures, bars


async def _together(port: int, path: str, work: Work, n_good: int, kinds: list[Badness]) -> Outcome:
    outcome = Outcome()
    numbers = iter(range(n_good))
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        bad = [
            group.create_task(_bad_client(port, kinds, first, over, outcome))
            for first in range(BAD_CLIENTS if kinds else 0)
        ]
        good = [
            group.create_task(_good_client(port, path, work, numbers, outcome))
            for _ in range(GOOD_CLIENTS)
        ]
        await asyncio.gather(*good)
        over.set()
        await asyncio.gather(*bad)
    return outcome


async def _good_client(
    port: int, path: str, work: Work, numbers: Iterator[int], outcome: Outcome
) -> None:
    line = await Line.open(port)
    for number in numbers:
        place = number % len(work.rows)
        name = f"good-{number}"
        request = request_of(path, msgspec.json.encode(work.rows[place]), {"x-request-id": name})
        begin = time.perf_counter()
        try:
            async with asyncio.timeout(30):
                answer = await line.ask(request)
        except (ConnectionError, TimeoutError) as err:
            outcome.failed.append(f"{name}: {err!r}")
            line = await Line.open(port)
            continue
        outcome.times.append(time.perf_counter() - begin)
        if fault := _fault(answer.status, answer.head, answer.body, name, work.expected[place]):
            outcome.failed.append(f"{name}: {fault}")
        else:
            outcome.good += 1
        await asyncio.sleep(PAUSE_S)
    line.close()


def _fault(status: int, head: bytes, body: bytes, name: str, expected: float) -> str:
    """What is wrong with the answer to a good request; nothing, if it is right."""
    if status != OK:
        return f"expected 200, got {status} {body[:200]!r}"
    if f"\r\nx-request-id: {name}\r\n".encode() not in head.lower():
        return f"expected its own request id, got {head!r}"
    got = list(msgspec.json.decode(body)["probabilities"].values())[-1]
    return "" if abs(got - expected) <= TOLERANCE else f"expected {expected}, got {got}"


async def _bad_client(
    port: int, kinds: list[Badness], first: int, over: asyncio.Event, outcome: Outcome
) -> None:
    """Send one kind after the other; a slow one continues while the next starts."""
    slow: list[asyncio.Task[None]] = []
    begin = first * len(kinds) // BAD_CLIENTS
    for kind in itertools.islice(itertools.cycle(kinds), begin, None):
        if over.is_set():
            break
        task = asyncio.create_task(_attack(port, kind, outcome))
        await asyncio.wait([task], timeout=0.5)
        if not task.done():
            slow.append(task)
        await asyncio.sleep(0)
    await asyncio.gather(*slow)


async def _attack(port: int, kind: Badness, outcome: Outcome) -> None:
    outcome.bad[kind.name] += 1
    try:
        status = await kind.attack(port)
    except TimeoutError:
        status = -1
    outcome.statuses.setdefault(kind.name, Counter())[status] += 1
    if status not in kind.deserved:
        outcome.undeserved.append(f"{kind.name}: expected {sorted(kind.deserved)}, got {status}")
