"""Ten times too much: what is answered, how fast the rest is refused, what memory it takes."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec

from benchmarks.serving.bad_requests import GONE, drip
from benchmarks.serving.bar import Bar, at_least, at_most
from benchmarks.serving.client import (
    Line,
    answered,
    percentile_ms,
    request_of,
    run_client,
    storm,
)
from benchmarks.serving.compare import Field, bodies_of, forget_traffic
from benchmarks.serving.machine_load import Meter, await_calm, quietest
from benchmarks.serving.peer import Peer, Setting
from benchmarks.serving.server import Server, Weight
from benchmarks.serving.testbed import Workplace
from benchmarks.serving.wrk import Load, drive

PEAK_CONNECTIONS = 32
MANY_CONNECTIONS = 1280
MOST_CONNECTIONS = 10_000
CROWD_S = 10
"""So long at least: ten thousand clients need some seconds to connect."""
SHORT_QUEUE = 64
"""Rows that may wait, so that 1,280 connections are more than are taken."""
FOREST_QUEUE = 256
"""Queue rows of a model slow enough to score full batches in a thread, and so to refuse."""
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


@dataclass(frozen=True)
class Crowd:
    """What a crowd of clients saw; `others` as in a measurement."""

    goodput: float
    good_p50_ms: float
    good_p99_ms: float
    refused: int
    refused_p99_ms: float
    failed: int
    others: float


def _crowds(field: Field, us: Peer, setting: Setting) -> tuple[dict[str, object], list[Bar]]:
    """Ten times too many clients: of those who wait for their turn, and of those refused."""
    work = field.place.works["loan"]
    one = request_of(us.path("loan", batch=False), msgspec.json.encode(work.rows[0]))
    rows = us.body(work.batches[0], batch=True)
    many = request_of(us.path("loan", batch=True), msgspec.json.encode(rows))
    found: dict[str, Crowd] = {}
    with us.server(setting, field.cores.server) as server:
        by_wrk = partial(_crowd_of_wrk, field, us, server)
        by_hand = partial(_crowd, field, server, many, retry_after_s=RETRY_AFTER_S)
        by_wrk(PEAK_CONNECTIONS)
        found["32 connections"] = quietest(partial(by_wrk, PEAK_CONNECTIONS))
        found["1,280 connections"] = quietest(partial(by_wrk, MANY_CONNECTIONS))
        found["10,000 connections"] = quietest(partial(by_wrk, MOST_CONNECTIONS))
        found["batches, 8 connections"] = quietest(partial(by_hand, connections=8))
        found["batches, 320 connections"] = quietest(partial(by_hand, connections=320))
    forget_traffic(field.place)
    short = replace(setting, place=_with(field.place, SLIPWAY_SERVICE_QUEUE_ROWS=str(SHORT_QUEUE)))
    with us.server(short, field.cores.server) as server:
        by_hand = partial(_crowd, field, server, one)
        by_hand(connections=PEAK_CONNECTIONS, retry_after_s=0)
        for name, connections, retry_after_s in (
            ("queue of 64, 32 connections", PEAK_CONNECTIONS, 0.0),
            ("queue of 64, 1,280 patient clients", MANY_CONNECTIONS, RETRY_AFTER_S),
            ("queue of 64, 1,280 rude clients", MANY_CONNECTIONS, 0.0),
        ):
            words = {"connections": connections, "retry_after_s": retry_after_s}
            found[name] = quietest(partial(by_hand, **words))
    forget_traffic(field.place)
    found |= _forest_crowds(field, us, setting)
    return {**found}, _crowd_bars(found)


def _forest_crowds(field: Field, us: Peer, setting: Setting) -> dict[str, Crowd]:
    """Clients of a model that cannot make room as quickly as they come."""
    row = field.place.works["diabetes"].rows[0]
    request = request_of(us.path("diabetes", batch=False), msgspec.json.encode(row))
    queue = _with(field.place, SLIPWAY_SERVICE_QUEUE_ROWS=str(FOREST_QUEUE))
    found: dict[str, Crowd] = {}
    with us.server(replace(setting, place=queue), field.cores.server) as server:
        by_hand = partial(_crowd, field, server, request)
        by_hand(connections=PEAK_CONNECTIONS, retry_after_s=0)
        for name, connections, retry_after_s in (
            ("forest, 128 connections", FOREST_QUEUE // 2, 0.0),
            ("forest, 1,280 patient clients", MANY_CONNECTIONS, RETRY_AFTER_S),
            ("forest, 1,280 rude clients", MANY_CONNECTIONS, 0.0),
        ):
            words = {"connections": connections, "retry_after_s": retry_after_s}
            found[name] = quietest(partial(by_hand, **words))
    forget_traffic(field.place)
    return found


PEAKS = {
    "1,280 connections": "32 connections",
    "10,000 connections": "32 connections",
    "batches, 320 connections": "batches, 8 connections",
    "queue of 64, 1,280 patient clients": "queue of 64, 32 connections",
    "queue of 64, 1,280 rude clients": "queue of 64, 32 connections",
    "forest, 1,280 patient clients": "forest, 128 connections",
    "forest, 1,280 rude clients": "forest, 128 connections",
}
"""By crowd, what it is held against."""


def _crowd_bars(found: Mapping[str, Crowd]) -> list[Bar]:
    bars = []
    for name, peak in PEAKS.items():
        share = found[name].goodput / found[peak].goodput
        bars.append(at_least(f"{name}: goodput against the peak", 0.9, share, "x"))
        if found[name].refused_p99_ms:
            slowest = found[name].refused_p99_ms
            bars.append(at_most(f"{name}: refusals' p99", 100, slowest, " ms"))
    failed = sum(crowd.failed for crowd in found.values())
    return [*bars, at_most("crowds: requests that failed", 0, failed)]


def _crowd_of_wrk(field: Field, us: Peer, server: Server, connections: int) -> Crowd:
    """Clients that ask at once again; wrk does not time those who were refused apart."""
    work = field.place.works["loan"]
    bodies = bodies_of(field.folder, us, work, batch=False)
    await_calm(field.cores, field.patience_s)
    meter = Meter(server, field.cores)
    load = drive(
        *(server.port, us.path("loan", batch=False), bodies),
        connections=connections,
        seconds=max(field.seconds, CROWD_S),
        cores=field.cores.client,
    )
    good = (load.requests - load.bad_statuses) / load.seconds
    others = meter.read().others
    return Crowd(good, load.p50_ms, load.p99_ms, load.bad_statuses, 0.0, load.broken, others)


def _crowd(
    field: Field, server: Server, request: bytes, *, connections: int, retry_after_s: float
) -> Crowd:
    """Clients that wait so long after a refusal."""
    blown = storm(
        *(server.port, request),
        connections=connections,
        seconds=field.seconds,
        retry_after_s=retry_after_s,
    )
    await_calm(field.cores, field.patience_s)
    meter = Meter(server, field.cores)
    seen = run_client(blown, field.cores.client)
    return Crowd(
        goodput=seen.goodput,
        good_p50_ms=percentile_ms(seen.good, 0.5),
        good_p99_ms=percentile_ms(seen.good, 0.99),
        refused=len(seen.refused),
        refused_p99_ms=percentile_ms(seen.refused, 0.99),
        failed=seen.failed,
        others=meter.read().others,
    )


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
        alone = quietest(partial(_alone, field, server, send))
        before = server.weight()
        crowded = quietest(
            lambda: run_client(_crowded(field, server, request, send), field.cores.client)
        )
    forget_traffic(field.place)
    growth = crowded.weight.rss_mb - before.rss_mb
    figures: dict[str, object] = {
        "alone": alone,
        "crowded": crowded,
        "memory_growth_mb": growth,
    }
    name = "5,000 idle and 100 dripping"
    slower = crowded.load.p99_ms / alone.load.p99_ms
    bars = [
        at_most(f"{name}: p99 against alone", 2, slower, "x"),
        at_most(f"{name}: memory growth", 20, growth, " MB"),
        at_most(f"{name}: good requests that failed", 0, crowded.load.bad),
    ]
    return figures, bars


@dataclass(frozen=True)
class Beside:
    """Good requests next to connections that send little, some of which are still open."""

    load: Load
    weight: Weight
    open_still: int
    others: float


def _alone(field: Field, server: Server, send: Callable[[], Load]) -> Beside:
    await_calm(field.cores, field.patience_s)
    meter = Meter(server, field.cores)
    return Beside(send(), server.weight(), 0, meter.read().others)


async def _crowded(
    field: Field, server: Server, request: bytes, send: Callable[[], Load]
) -> Beside:
    lines = [await Line.open(server.port) for _ in range(IDLE)]
    drips = [asyncio.create_task(_drip_on(server.port, request)) for _ in range(DRIPPING)]
    await asyncio.sleep(1)  # until all of them drip
    meter = Meter(server, field.cores)
    load = await asyncio.to_thread(send)
    others = meter.read().others
    open_still = sum(not line.is_closed for line in lines)
    beside = Beside(load, server.weight(), open_still, others)
    for task in drips:
        task.cancel()
    await asyncio.gather(*drips, return_exceptions=True)
    for line in lines:
        line.close()
    return beside


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
    except ConnectionError:
        return GONE
    except TimeoutError:
        return -1
    finally:
        line.close()


def _with(place: Workplace, **settings: str) -> Workplace:
    return replace(place, environ={**place.environ, **settings})
