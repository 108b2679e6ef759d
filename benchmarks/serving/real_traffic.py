"""What keys, a split, traces, Redis and a second worker cost requests with real heads.

By CPU per request: it says what a core of its own would answer, however busy the machine is.
"""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec

from benchmarks.serving.bar import Bar, at_least, at_most
from benchmarks.serving.compare import Field, bodies_of, forget_traffic
from benchmarks.serving.machine_load import Meter, await_calm, quietest
from benchmarks.serving.peer import Peer, Setting
from benchmarks.serving.scenario import Heads
from benchmarks.serving.server import HOST, Server, free_port
from benchmarks.serving.wrk import drive
from contracts.manifest import Pointer
from contracts.names import CHALLENGER, Layout
from contracts.split import TrafficSplit
from services.auth.keys import create_key
from slipway import output

MODEL = "loan"
CONNECTIONS = 32
WARM_UP_S = 1
RATE = "10000000/second"
WEIGHT = 0.1
CONSTANT, REAL = "constant heads", "real heads"
KEYS, SHARED_KEYS = "keys with rates", "keys with rates in Redis"
SPLIT, TRACES, WORKERS = "a split by user", "traces", "two workers"


@dataclass(frozen=True)
class Cost:
    """What the server used per request; `others` as in a measurement."""

    requests_per_s: float
    cpu_us: float
    bad: int
    others: float


def measure(field: Field, us: Peer, setting: Setting) -> tuple[dict[str, object], list[Bar]]:
    """The cost of each variant, with a server of its own."""
    found: dict[str, Cost] = {}
    with ExitStack() as stack:
        variants = _variants(setting, stack)
        for name, (heads, key, environ) in variants.items():
            place = replace(field.place, environ={**field.place.environ, **environ})
            with ExitStack() as inner:
                if name == SPLIT:
                    inner.enter_context(_split(place.root / "var"))
                server = inner.enter_context(
                    us.server(replace(setting, place=place), field.cores.server)
                )
                found[name] = quietest(partial(_cost, field, us, server, heads, key))
            forget_traffic(field.place)
            output.say(f"{found[name].cpu_us:6.1f} us  {found[name].requests_per_s:8.0f}/s  {name}")
    return {"costs": found}, _bars(found)


def _variants(
    setting: Setting, stack: ExitStack
) -> dict[str, tuple[Heads, str, Mapping[str, str]]]:
    """By name: the heads, the API key, and the settings."""
    path = setting.folder / "keys.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    _, key = create_key(path, "benchmark", ("predict",), RATE)
    keys = {"SLIPWAY_SERVICE_KEYS": "required", "SLIPWAY_SERVICE_KEYS_FILE": str(path)}
    variants: dict[str, tuple[Heads, str, Mapping[str, str]]] = {
        CONSTANT: ("constant", "", {}),
        REAL: ("real", "", {}),
        KEYS: ("real", key, keys),
        SPLIT: ("real", "", {}),
        TRACES: ("real", "", {"SLIPWAY_SERVICE_TRACE": "true"}),
        WORKERS: ("real", "", {"SLIPWAY_SERVICE_WORKERS": "2"}),
    }
    program = shutil.which("redis-server")
    if program is not None:
        url = stack.enter_context(_redis(program, setting.folder))
        variants[SHARED_KEYS] = ("real", key, {**keys, "SLIPWAY_SERVICE_REDIS_URL": url})
    return variants


def _cost(field: Field, us: Peer, server: Server, heads: Heads, key: str) -> Cost:
    send = partial(
        drive,
        *(server.port, us.path(MODEL, batch=False)),
        bodies_of(field.folder, us, field.place.works[MODEL], batch=False),
        connections=CONNECTIONS,
        cores=field.cores.client,
        heads=heads,
        key=key,
    )
    await_calm(field.cores, field.patience_s)
    send(seconds=WARM_UP_S)
    meter = Meter(server, field.cores)
    load = send(seconds=field.seconds)
    used = meter.read()
    cpu_us = 1e6 * used.cpu_s / max(load.requests, 1)
    return Cost(load.requests_per_s, cpu_us, load.bad, used.others)


def _bars(found: Mapping[str, Cost]) -> list[Bar]:
    real = found[REAL].cpu_us
    bars = [
        at_least("real heads against constant, by CPU", 0.85, found[CONSTANT].cpu_us / real, "x"),
        *(
            at_least(f"{name} against none, by CPU", 0.75, real / found[name].cpu_us, "x")
            for name in (KEYS, SPLIT)
        ),
        at_least("two workers against one, by CPU", 1.8, 2 * real / found[WORKERS].cpu_us, "x"),
        at_most("requests that failed", 0, sum(cost.bad for cost in found.values())),
    ]
    if SHARED_KEYS in found:
        ratio = real / found[SHARED_KEYS].cpu_us
        bars.append(at_least("keys with rates in Redis against none, by CPU", 0.5, ratio, "x"))
    return bars


@contextmanager
def _split(var: Path) -> Iterator[None]:
    """Give a share of the users to a challenger that is the same version."""
    layout = Layout(var)
    production = Pointer.read(layout.pointer(MODEL).read_bytes())
    challenger = msgspec.structs.replace(production, alias=CHALLENGER)
    split = TrafficSplit(
        model=MODEL,
        challenger_version=production.version,
        challenger_digest=production.digest,
        weight=WEIGHT,
        since=production.moved_at,
    )
    files = {
        layout.pointer(MODEL, CHALLENGER): challenger.write_pretty(),
        layout.split(MODEL): split.write_pretty(),
    }
    try:
        for path, text in files.items():
            path.write_bytes(text)
        yield
    finally:
        for path in files:
            path.unlink(missing_ok=True)


@contextmanager
def _redis(program: str, folder: Path) -> Iterator[str]:
    """A Redis server of the benchmark's own; its URL."""
    port = free_port()
    command = [program, "--port", str(port), "--bind", HOST, "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                socket.create_connection((HOST, port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"redis://{HOST}:{port}/0"
    finally:
        process.terminate()
        process.wait()
