"""From the start of the process to the first answer, and what a worker weighs later."""

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.serving.bar import Bar, at_most
from benchmarks.serving.compare import Field, bodies_of, forget_traffic
from benchmarks.serving.peer import Peer, Setting
from benchmarks.serving.server import Server
from benchmarks.serving.wrk import drive

STARTS = 5
STEPS = (20_000, 200_000)
FLAT_MB = 5.0


def measure(field: Field, us: Peer, setting: Setting) -> tuple[dict[str, object], list[Bar]]:
    """The figures and bars of starts, and of a long life."""
    starts = [_start(field, us, setting) for _ in range(STARTS)]
    ready = statistics.median(start.ready_s for start in starts)
    first = statistics.median(start.first_s for start in starts)
    worker = statistics.median(start.worker_s for start in starts)
    sizes = _sizes(field, us, setting)
    small, large = (sizes[step] for step in STEPS)
    figures: dict[str, object] = {
        "starts_s": starts,
        "ready_s": ready,
        "first_answer_s": first,
        "worker_to_first_answer_s": worker,
        "cpu_s": statistics.median(s.cpu_s for s in starts),
        "worker_mb": sizes,
    }
    bars = [
        at_most("worker's start to its first prediction", 3, worker, " s"),
        at_most(f"worker after {STEPS[0]:,} requests", 150, small, " MB"),
        at_most(f"worker after {STEPS[1]:,} requests", 150, large, " MB"),
        at_most("growth in between", FLAT_MB, large - small, " MB"),
    ]
    return figures, bars


@dataclass(frozen=True)
class Start:
    """Seconds from the command until it was ready, and until a prediction was given.

    `worker_s` is the part of the worker, whose own start begins when the command has imported,
    verified and tried; `cpu_s` is the CPU of all until then.
    """

    ready_s: float
    first_s: float
    worker_s: float
    cpu_s: float


def _start(field: Field, us: Peer, setting: Setting) -> Start:
    work = field.place.works["loan"]
    server = us.server(setting, "")  # a start is not confined to one core
    begin = time.perf_counter()
    server.start()
    try:
        server.await_ready()
        ready = time.perf_counter() - begin
        server.post(us.path("loan", batch=False), msgspec.json.encode(work.rows[0]))
        first, worker = time.perf_counter() - begin, server.worker_age_s()
        return Start(ready, first, worker, server.weight().cpu_s)
    finally:
        server.stop()
        forget_traffic(field.place)


def _sizes(field: Field, us: Peer, setting: Setting) -> dict[int, float]:
    """Return the worker's resident megabytes by number of requests."""
    work = field.place.works["loan"]
    bodies = bodies_of(field.folder, us, work, batch=False)
    sizes: dict[int, float] = {}
    with us.server(setting, field.cores.server) as server:
        sizes[0] = server.weight().largest_mb
        asked = 0
        for step in STEPS:
            while asked < step:
                asked += _ask(field, us, server, bodies)
            sizes[step] = server.weight().largest_mb
    forget_traffic(field.place)
    return sizes


def _ask(field: Field, us: Peer, server: Server, bodies: Path) -> int:
    load = drive(
        server.port,
        us.path("loan", batch=False),
        bodies,
        connections=32,
        seconds=1,
        cores=field.cores.client,
    )
    return load.requests
