"""Ten times too much: what is answered, how fast the rest is refused, what memory it takes."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec

from benchmarks.serving.bad import GONE, drip
from benchmarks.serving.bar import Bar, at_least, at_most
from benchmarks.serving.client import (
    Line,
    Storm,
    answered,
    percentile_ms,
    request_of,
    run_client,
    storm,
)
from benchmarks.serving.compare import DISTURBED, TRIES, Field, bodies_of, forget_traffic
from benchmarks.serving.machine import busy_s
from benchmarks.serving.peer import Peer, Setting
from benchmarks.serving.server import Server, Weight
from benchmarks.serving.workplace import Workplace
from benchmarks.serving.wrk import Load, drive

PEAK_CONNECTIONS = 32
MANY_CONNECTIONS = 1280
SHORT_QUEUE = 64
"""Rows that may wait, so that 1,280 connections are more than are taken."""
RETRY_AFTER_S = 1.0
IDLE = 5000
DRIPPING = 100
MEGABYTE = 1 << 20
BODY_MB = 300
HEADERS = 100_000
NESTING = 100_000


def measure(field: Field, us: Peer, setting: Setting) -> tuple[dict[str, object], list[Bar]]:
    """All of it; each part with a server of its own."""
    crowd, crowd_bars = _crowds(field, us, setting)
    idle, idle_bars = _idle(field, us, setting)
    heavy, heavy_bars = _heavy(field, us, setting)
    figures: dict[str, object] = {"crowds": crowd, "idle": idle, "heavy": heavy}
    return figures, [*crowd_bars, *idle_bars, *heavy_bars]


def _crowds(field: Field, us: Peer, setting: Setting) -> tuple[dict[str, object], list[Bar]]:
    work = field.place.works["loan"]
    one = request_of(us.path("loan", batch=False), msgspec.json.encode(work.rows[0]))
    many = request_of(
        us.path("loan", batch=True), msgspec.json.encode(us.body(work.batches[0], batch=True))
    )

    def blow(server: Server, request: bytes, connections: int, retry_after_s: float) -> _Blown:
        taken: list[_Blown] = []
        while len(taken) < TRIES:
            taken.append(_blow(field, server, request, connections, retry_after_s))
            if taken[-1].others <= DISTURBED:
                break
        return min(taken, key=lambda blown: blown.others)

    found: dict[str, _Blown] = {}
    with us.server(setting, field.cores.server) as server:
        blow(server, one, PEAK_CONNECTIONS, 0)
        found["peak"] = blow(server, one, PEAK_CONNECTIONS, 0)
        found["many connections"] = blow(server, one, MANY_CONNECTIONS, RETRY_AFTER_S)
        found["peak of batches"] = blow(server, many, 8, 0)
        found["many batches"] = blow(server, many, 10 * PEAK_CONNECTIONS, RETRY_AFTER_S)
    forget_traffic(field.place)
    short = replace(setting, place=_with(field.place, SLIPWAY_SERVICE_QUEUE_ROWS=str(SHORT_QUEUE)))
    with us.server(short, field.cores.server) as server:
        blow(server, one, PEAK_CONNECTIONS, 0)
        found["peak, short queue"] = blow(server, one, PEAK_CONNECTIONS, 0)
        found["short queue, patient clients"] = blow(server, one, MANY_CONNECTIONS, RETRY_AFTER_S)
        found["short queue, rude clients"] = blow(server, one, MANY_CONNECTIONS, 0)
    forget_traffic(field.place)
    pairs = (
        ("many connections", "peak"),
        ("many batches", "peak of batches"),
        ("short queue, patient clients", "peak, short queue"),
        ("short queue, rude clients", "peak, short queue"),
    )
    bars = []
    for name, peak in pairs:
        share = found[name].storm.goodput / found[peak].storm.goodput
        bars.append(at_least(f"{name}: goodput against the peak", 0.9, share, "x"))
        if found[name].storm.refused:
            slowest = percentile_ms(found[name].storm.refused, 0.99)
            bars.append(at_most(f"{name}: refusals' p99", 100, slowest, " ms"))
    bars.append(
        at_most("crowds: requests that failed", 0, sum(b.storm.failed for b in found.values()))
    )
    figures: dict[str, object] = {name: _told(blown) for name, blown in found.items()}
    return figures, bars


@dataclass(frozen=True)
class _Blown:
    """A storm, and the share of the server's core that others took meanwhile."""

    storm: Storm
    others: float


def _blow(
    field: Field, server: Server, request: bytes, connections: int, retry_after_s: float
) -> _Blown:
    cpu, busy = server.weight().cpu_s, busy_s(field.cores.server)
    blown = storm(
        server.port,
        request,
        connections=connections,
        seconds=field.seconds,
        retry_after_s=retry_after_s,
    )
    seen = run_client(blown, field.cores.client)
    ours = server.weight().cpu_s - cpu
    return _Blown(seen, max(0.0, busy_s(field.cores.server) - busy - ours) / seen.seconds)


def _idle(field: Field, us: Peer, setting: Setting) -> tuple[dict[str, object], list[Bar]]:
    """Good requests while many connections say nothing, and some say it slowly."""
    work = field.place.works["loan"]
    path = us.path("loan", batch=False)
    request = request_of(path, msgspec.json.encode(work.rows[0]))
    with us.server(setting, field.cores.server) as server:
        send = partial(
            drive,
            *(server.port, path, bodies_of(field.folder, us, work, batch=False)),
            connections=PEAK_CONNECTIONS,
            seconds=field.seconds,
            cores=field.cores.client,
        )
        send()
        alone = send()
        before = server.weight()
        crowd = run_client(_crowded(server, request, send), field.cores.client)
    forget_traffic(field.place)
    growth = crowd.weight.rss_mb - before.rss_mb
    figures: dict[str, object] = {
        "alone": alone,
        "crowded": crowd.load,
        "idle_open_at_the_end": crowd.open_still,
        "memory_growth_mb": growth,
    }
    name = "5,000 idle and 100 dripping"
    bars = [
        at_most(f"{name}: p99 against alone", 2, crowd.load.p99_ms / alone.p99_ms, "x"),
        at_most(f"{name}: memory growth", 20, growth, " MB"),
        at_most(f"{name}: good requests that failed", 0, crowd.load.bad),
    ]
    return figures, bars


@dataclass(frozen=True)
class _Crowd:
    """What was seen while the crowd was there."""

    load: Load
    weight: Weight
    open_still: int


async def _crowded(server: Server, request: bytes, send: Callable[[], Load]) -> _Crowd:
    lines = [await Line.open(server.port) for _ in range(IDLE)]
    drips = [asyncio.create_task(_drip_on(server.port, request)) for _ in range(DRIPPING)]
    load = await asyncio.to_thread(send)
    crowd = _Crowd(load, server.weight(), sum(not line.is_closed for line in lines))
    for task in drips:
        task.cancel()
    await asyncio.gather(*drips, return_exceptions=True)
    for line in lines:
        line.close()
    return crowd


async def _drip_on(port: int, request: bytes) -> None:
    while True:
        await drip(port, request)


def _heavy(field: Field, us: Peer, setting: Setting) -> tuple[dict[str, object], list[Bar]]:
    """Requests that are large in one way."""
    work = field.place.works["loan"]
    path = us.path("loan", batch=False)
    good = request_of(path, msgspec.json.encode(work.rows[0]))
    figures: dict[str, object] = {}
    bars: list[Bar] = []
    with us.server(setting, field.cores.server) as server:
        for _ in range(100):
            run_client(answered(server.port, good), field.cores.client)
        for name, attack in _attacks(path).items():
            before = server.weight()
            status = run_client(attack(server.port), field.cores.client)
            after = server.weight()
            alive = run_client(answered(server.port, good), field.cores.client).status
            growth, peak = after.rss_mb - before.rss_mb, after.peak_mb - before.peak_mb
            figures[name] = {"status": status, "growth_mb": growth, "peak_growth_mb": peak}
            refused = status == GONE or 400 <= status < 500  # noqa: PLR2004 - HTTP's client errors
            bars += [
                Bar(f"{name}: refused", str(status or "closed"), refused and alive == 200),  # noqa: PLR2004 - OK
                at_most(f"{name}: memory growth", 20, growth, " MB"),
                at_most(f"{name}: memory at its highest", 20, peak, " MB"),
            ]
    forget_traffic(field.place)
    return figures, bars


def _attacks(path: str) -> Mapping[str, Callable[[int], Coroutine[Any, Any, int]]]:
    piece = b" " * MEGABYTE
    head = "\r\n".join(f"x-header-{n}: value" for n in range(HEADERS)).encode()
    return {
        "300 MB body, declared": lambda port: _poured(
            port,
            request_of(path, b"", {"content-length": str(BODY_MB * MEGABYTE)}),
            [piece] * BODY_MB,
        ),
        "300 MB body, in chunks": lambda port: _poured(
            port,
            f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            "transfer-encoding: chunked\r\n\r\n".encode(),
            [b"%x\r\n%s\r\n" % (MEGABYTE, piece)] * BODY_MB,
        ),
        "100,000 headers": lambda port: _poured(
            port, f"POST {path} HTTP/1.1\r\nhost: localhost\r\n".encode(), [head, b"\r\n\r\n"]
        ),
        "nesting of 100,000": lambda port: _poured(
            port, request_of(path, b'{"a":' + b"[" * NESTING), []
        ),
        "a head of 100 MB without an end": lambda port: _poured(
            port, f"POST {path} HTTP/1.1\r\nx-long: ".encode(), [b"x" * MEGABYTE] * 100
        ),
    }


async def _poured(port: int, head: bytes, pieces: Sequence[bytes]) -> int:
    """The status of a request that is sent as fast as it is taken; `GONE` if it is not."""
    line = await Line.open(port)
    answer = line.ask(head)
    try:
        async with asyncio.timeout(60):
            for piece in pieces:
                # A client that only writes would not see that it was refused already.
                if answer.done() or line.is_closed:
                    break
                await line.pour(piece)
            return (await answer).status
    except OSError:
        return GONE
    except TimeoutError:
        return -1
    finally:
        line.close()


def _with(place: Workplace, **settings: str) -> Workplace:
    return replace(place, environ={**place.environ, **settings})


def _told(blown: _Blown) -> dict[str, float]:
    seen = blown.storm
    return {
        "goodput": seen.goodput,
        "good_p50_ms": percentile_ms(seen.good, 0.5),
        "good_p99_ms": percentile_ms(seen.good, 0.99),
        "refused": len(seen.refused),
        "refused_p99_ms": percentile_ms(seen.refused, 0.99),
        "failed": seen.failed,
        "others": blown.others,
    }
