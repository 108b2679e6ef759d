"""`python -m benchmarks.serving.attack`: what one client can do to the others.

Worst-case bodies at the size limit on each route, with `/livez` measured at the same time; and
1,000 connections in every unfinished state, with a good client measured at the same time.
"""

import asyncio
import socket
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from benchmarks.serving import result
from benchmarks.serving.bar import at_most, print_bars
from benchmarks.serving.client import OK, Answer, Line, percentile_ms, request_of, run_client
from benchmarks.serving.compare import Field, forget_traffic, setting_of
from benchmarks.serving.machine import split_cores, this_machine
from benchmarks.serving.peer import Slipway
from benchmarks.serving.server import HOST, Server
from benchmarks.serving.testbed import ROOT, prepare
from benchmarks.serving.worst_bodies import WORST
from contracts.errors import PlatformError
from services.settings import ServiceSettings
from slipway import output

FOLDER = ROOT / "build" / "benchmarks"
MODEL = "loan"
ROUTES = ("predict", "predict/batch", "invocations", "labels")
OPEN_INFERENCE = f"/v2/models/{MODEL}/infer"
LIVE = request_of("/livez", b"", method="GET")
MAX_LIVE_MS = 100.0
PROBE_PAUSE_S = 0.002
TIMEOUT_S = 3
"""The body timeout of the service, shortened so that unfinished requests end soon."""
GRACE_S = 3.0
GOOD_CLIENTS = 8
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: close with a reset."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def attack(
    size: Annotated[int, typer.Option(help="Bytes of each body.")] = ServiceSettings().body_bytes,
    connections: Annotated[int, typer.Option(help="Connections in each state.")] = 1000,
    seconds: Annotated[float, typer.Option(help="Of each measurement of a good client.")] = 4.0,
) -> None:
    """Attack a service in each way, and print what its other clients notice."""
    place, cores = prepare(FOLDER), split_cores()
    field = Field(place, FOLDER, cores, (0, 0), 0)
    us = Slipway()
    environ = {**place.environ, "SLIPWAY_SERVICE_BODY_TIMEOUT_S": str(TIMEOUT_S)}
    place = replace(place, environ=environ)
    setting = replace(setting_of(field, us, MODEL, Path(sys.executable)), place=place)
    good = request_of(us.path(MODEL, batch=False), msgspec.json.encode(place.works[MODEL].rows[0]))
    try:
        with us.server(setting, cores.server) as server:
            bodies = run_client(_bodies(server.port, size), cores.client)
            states = run_client(_states(server, good, connections, seconds), cores.client)
    finally:
        forget_traffic(place)
    worst = max(bodies.values(), default=0.0)
    slowest = max(state["p99"] / states["alone"]["p99"] for state in states.values())
    bars = [
        at_most("/livez during the worst body", MAX_LIVE_MS, worst, " ms"),
        at_most("a good client's p99 with unfinished connections", 2, slowest, "x"),
        at_most("good requests that failed", 0, sum(s["failed"] for s in states.values())),
        at_most("attackers' connections left open", 0, sum(s["open"] for s in states.values())),
    ]
    print_bars(bars)
    figures: Mapping[str, object] = {"livez_ms": bodies, "states": states}
    options = {"size": size, "connections": connections, "seconds": seconds}
    path = result.write("attack", figures, bars, this_machine(), options)
    output.say(f"written to {path.relative_to(ROOT)}")


async def _bodies(port: int, size: int) -> dict[str, float]:
    """By route and body, the slowest `/livez` while the body was read, in ms."""
    found: dict[str, float] = {}
    paths = [*(f"/models/{MODEL}/{route}" for route in ROUTES), OPEN_INFERENCE]
    for name, make in WORST.items():
        body = make(size)
        for path in paths:
            line = await Line.open(port)
            answer = line.ask(request_of(path, body))
            slowest = await _slowest_live_ms(port, answer)
            found[f"{path}: {name}"] = slowest
            if slowest > MAX_LIVE_MS:
                output.say(f"{slowest:7.0f} ms  {path}: {name}: {answer.result().status}")
            line.close()
    return found


async def _slowest_live_ms(port: int, until: "asyncio.Future[Answer]") -> float:
    """The slowest `/livez` until a future is done."""
    line, slowest = await Line.open(port), 0.0
    while not until.done():
        begin = time.perf_counter()
        answer = await line.ask(LIVE)
        slowest = max(slowest, time.perf_counter() - begin)
        if answer.closes:
            line = await Line.open(port)
        await asyncio.sleep(PROBE_PAUSE_S)
    line.close()
    return 1e3 * slowest


Open = Callable[[int, bytes], Awaitable[Line]]


async def _states(
    server: Server, good: bytes, n: int, seconds: float
) -> dict[str, dict[str, float]]:
    """By state of `n` connections: a good client's p99, its failures, and what stays open."""
    found = {"alone": await _good(server.port, good, seconds)}
    found["alone"]["open"] = 0
    for name, begin in STATES.items():
        lines = [await begin(server.port, good) for _ in range(n)]
        found[name] = await _good(server.port, good, seconds)
        await asyncio.sleep(max(TIMEOUT_S + GRACE_S - seconds, 0))
        for line in lines:
            line.resume_reading()
        await asyncio.sleep(0.5)
        found[name]["open"] = sum(not line.is_closed for line in lines)
        for line in lines:
            line.close()
        await asyncio.sleep(0.5)
        found[name]["rss_mb"] = server.weight().rss_mb
        output.say(f"{found[name]['p99']:7.1f} ms  {name}, {found[name]['open']} left open")
    return found


async def _good(port: int, request: bytes, seconds: float) -> dict[str, float]:
    """A few good clients for some seconds: the p99 of their answers in ms, and failures."""
    times: list[float] = []
    failed = 0
    end = time.perf_counter() + seconds

    async def client() -> None:
        nonlocal failed
        line = await Line.open(port)
        while (begin := time.perf_counter()) < end:
            try:
                answer = await line.ask(request)
            except ConnectionError:
                failed += 1
                line = await Line.open(port)
                continue
            times.append(time.perf_counter() - begin)
            failed += answer.status != OK
        line.close()

    await asyncio.gather(*(client() for _ in range(GOOD_CLIENTS)))
    return {"p99": percentile_ms(times, 0.99), "failed": failed, "requests": len(times)}


async def _sent(port: int, data: bytes) -> Line:
    line = await Line.open(port)
    line.write(data)
    return line


async def _unread(port: int, good: bytes) -> Line:
    """A client that asks a lot, and reads nothing of what it is answered."""
    line = await Line.open(port)
    line.pause_reading()
    line.write(good * 500)
    return line


async def _reset(port: int, good: bytes) -> Line:
    """A client that resets its connection in the middle of a request, ten times."""
    for _ in range(9):
        with socket.create_connection((HOST, port)) as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            raw.sendall(good[:-5])
    line = await Line.open(port)
    line.write(good[:-5])
    line.reset()
    return line


STATES: Mapping[str, Open] = {
    "idle": lambda port, _: Line.open(port),
    "part of a head": lambda port, good: _sent(port, good[:40]),
    "part of a body": lambda port, good: _sent(port, good[:-5]),
    "part of a body, refused": lambda port, good: _sent(
        port, good[:-5].replace(MODEL.encode(), b"nobody")
    ),
    "answered, and a byte more": lambda port, good: _sent(port, good + b"P"),
    "answers unread": _unread,
    "reset": _reset,
}


def main() -> None:
    """Run, and print an error in its parts."""
    try:
        app()
    except PlatformError as err:
        sys.stderr.write(f"error: {err}\n")
        sys.exit(err.exit_code)


if __name__ == "__main__":
    main()
