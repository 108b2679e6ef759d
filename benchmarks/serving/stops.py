"""Stops under load: whether a client that honours readiness loses a request."""

import asyncio
import signal
from collections import Counter
from dataclasses import dataclass
from dataclasses import field as part

import msgspec

from benchmarks.serving.bar import Bar, at_most
from benchmarks.serving.client import OK, Line, answered, request_of, run_client
from benchmarks.serving.compare import Field, forget_traffic
from benchmarks.serving.peer import Peer, Setting
from benchmarks.serving.server import Server

STOPS = 20
CLIENTS = 16
"""Half of them keep their connection, half open one for each request."""
UNDER_LOAD_S = 1.0
POLL_S = 0.05


@dataclass
class Seen:
    """What the clients of one stop saw."""

    answered: int = 0
    after_signal: int = 0
    lost: list[str] = part(default_factory=list)
    statuses: Counter[int] = part(default_factory=Counter)


def measure(field: Field, us: Peer, setting: Setting) -> tuple[dict[str, object], list[Bar]]:
    """The figures and bars of all stops."""
    seen: list[Seen] = []
    codes: list[int | None] = []
    row = msgspec.json.encode(field.place.works["loan"].rows[0])
    request = request_of(us.path("loan", batch=False), row)
    for _ in range(STOPS):
        with us.server(setting, field.cores.server) as server:
            seen.append(run_client(_one_stop(server, request), field.cores.client))
            server.process.wait(20)
            codes.append(server.process.returncode)
    forget_traffic(field.place)
    lost = [text for s in seen for text in s.lost]
    figures: dict[str, object] = {
        "stops": len(seen),
        "answered": sum(s.answered for s in seen),
        "answered_after_the_signal": sum(s.after_signal for s in seen),
        "lost": lost[:20],
        "exit_codes": codes,
    }
    bars = [
        at_most(f"requests lost in {STOPS} stops", 0, len(lost)),
        at_most("exit codes that are not 0", 0, sum(code != 0 for code in codes)),
    ]
    return figures, bars


async def _one_stop(server: Server, request: bytes) -> Seen:
    seen = Seen()
    ready = asyncio.Event()
    ready.set()
    signalled = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(_watch(server.port, ready))
        for number in range(CLIENTS):
            group.create_task(
                _client(server.port, request, ready, signalled, seen, keeps=number % 2 == 0)
            )
        await asyncio.sleep(UNDER_LOAD_S)
        server.process.send_signal(signal.SIGTERM)
        signalled.set()
    return seen


async def _watch(port: int, ready: asyncio.Event) -> None:
    """What a load balancer does: ask for readiness, and send nothing more once it is gone."""
    probe = request_of("/readyz", b"", method="GET")
    while ready.is_set():
        try:
            status = (await answered(port, probe, timeout_s=2)).status
        except (ConnectionError, TimeoutError):
            status = 0
        if status != OK:
            ready.clear()
        await asyncio.sleep(POLL_S)


async def _client(
    port: int,
    request: bytes,
    ready: asyncio.Event,
    signalled: asyncio.Event,
    seen: Seen,
    *,
    keeps: bool,
) -> None:
    line: Line | None = None
    while ready.is_set():
        try:
            if line is None or line.is_closed:
                line = await Line.open(port)
            async with asyncio.timeout(30):
                answer = await line.ask(request)
        except (ConnectionError, TimeoutError) as err:
            seen.lost.append(f"{'kept' if keeps else 'fresh'} connection: {err!r}")
            line = None
            continue
        if answer.status == OK:
            seen.answered += 1
            seen.after_signal += signalled.is_set()
        else:
            seen.lost.append(f"status {answer.status}")
        if not keeps or answer.closes:
            line.close()
            line = None
    if line is not None:
        line.close()
