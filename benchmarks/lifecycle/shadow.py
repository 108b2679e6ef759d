"""What a shadow costs those who wait for an answer.

    python -m benchmarks.lifecycle.shadow [--rounds 10] [--seconds 3] [--connections 32]

One `bentoml serve` answers wrk, alternately alone and with `python -m services.shadow`, which
scores the same model again (the share scored is reported: it has the lowest priority, and these
runs leave no core idle); the p99 of the turns with it may be at most 1.1 times that
of the turns without (medians). wrk and the server have a core each, as in
`benchmarks.serving`; the shadow may use both. The exit code is 1 if a bar is missed.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import msgspec
from msgspec.structs import replace

from benchmarks.gate.__main__ import say
from benchmarks.serving.compare import bodies_of, forget_traffic
from benchmarks.serving.machine import split_cores
from benchmarks.serving.machine_load import await_calm
from benchmarks.serving.peer import Setting, Slipway
from benchmarks.serving.server import Server
from benchmarks.serving.testbed import ROOT, Workplace, prepare
from benchmarks.serving.wrk import Load, check_wrk, drive
from contracts.errors import PlatformError
from contracts.manifest import Pointer
from contracts.names import SHADOW, Layout

MODEL = "loan"
MOST = 1.1
WARM_UP_S = 1.0
PATIENCE_S = 5.0
BEGUN_WITHIN_S = 60.0
FOLDER = ROOT / "build" / "benchmarks"


def main() -> int:
    """Print the rounds and the bar; 1 if it is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--connections", type=int, default=32)
    wishes = parser.parse_args()
    check_wrk()
    place = prepare(FOLDER)
    try:
        found = measured(place, wishes.rounds, wishes.seconds, wishes.connections)
    finally:
        forget_traffic(place)
    alone, beside = ([load for is_on, load in found if is_on == which] for which in (False, True))
    ratio = _p99(beside) / _p99(alone)
    sys.stdout.write(
        f"\np99 alone {_p99(alone):.2f} ms, with a shadow {_p99(beside):.2f} ms: {ratio:.2f} x "
        f"(wanted: at most {MOST} x)\n"
    )
    return int(ratio > MOST or any(load.bad for _, load in found))


def measured(
    place: Workplace, rounds: int, seconds: float, connections: int
) -> list[tuple[bool, Load]]:
    """Turns without (False) and with a shadow (True), one after the other."""
    us, cores = Slipway(), split_cores()
    point(place)
    bodies = bodies_of(FOLDER, us, place.works[MODEL], batch=False)
    setting = Setting(place, MODEL, Path(sys.executable), (0, 0), FOLDER / "run" / SHADOW)
    found = []
    say("round", "shadow", "requests/s", "p50 ms", "p99 ms", "bad", "of its answers, %")
    say(*["---"] * 7)
    with us.server(setting, cores.server) as server:
        for number in range(2 * rounds):
            is_on = bool(number % 2)
            shadow = start(place, server, us.path(MODEL, batch=False)) if is_on else None
            try:
                await_calm(cores, PATIENCE_S)
                words = (server.port, us.path(MODEL, batch=False), bodies)
                drive(*words, connections=connections, seconds=WARM_UP_S, cores=cores.client)
                before = scored(place) if is_on else 0
                load = drive(*words, connections=connections, seconds=seconds, cores=cores.client)
                share = (scored(place) - before) / load.requests if is_on else 0.0
            finally:
                if shadow is not None:
                    shadow.terminate()
                    shadow.wait()
            found.append((is_on, load))
            rate, p50, p99 = load.requests_per_s, load.p50_ms, load.p99_ms
            told = (f"{rate:.0f}", p50, p99, load.bad, f"{100 * share:.0f}")
            say(number // 2 + 1, "on" if is_on else "off", *told)
    return found


def point(place: Workplace) -> None:
    """Let the version in production be its own shadow."""
    layout = Layout(place.root / "var")
    pointer = Pointer.read(layout.pointer(MODEL).read_bytes())
    path = layout.pointer(MODEL, SHADOW)
    path.write_bytes(replace(pointer, alias=SHADOW).write_pretty())


def start(place: Workplace, server: Server, path: str) -> "subprocess.Popen[bytes]":
    """The process that looks on, once it scores what is answered.

    Raises:
        PlatformError: it does not begin in time.

    """
    words = [sys.executable, "-m", "services.shadow"]
    gauges(place).unlink(missing_ok=True)
    process = subprocess.Popen(words, cwd=place.root, env={**os.environ, **place.environ})
    body = msgspec.json.encode(place.works[MODEL].rows[0])
    deadline = time.monotonic() + BEGUN_WITHIN_S
    while not scored(place):
        if time.monotonic() > deadline:
            process.terminate()
            raise PlatformError(
                f"{' '.join(words)}: expected it to score, got nothing in {BEGUN_WITHIN_S:g} s",
                remedy="wait until the machine is less busy",
            )
        server.post(path, body)
        time.sleep(0.1)
    return process


def gauges(place: Workplace) -> Path:
    """What the shadow says of itself."""
    return place.root / "var" / "metrics" / f"{SHADOW}-{MODEL}.prom"


def scored(place: Workplace) -> int:
    """How many answers it has scored again, at its last look."""
    try:
        lines = gauges(place).read_text().splitlines()
    except FileNotFoundError:
        return 0
    counts = [line for line in lines if not line.startswith("#") and "dropped" not in line]
    return sum(int(float(line.split()[-1])) for line in counts)


def _p99(loads: list[Load]) -> float:
    return statistics.median(load.p99_ms for load in loads)


if __name__ == "__main__":
    sys.exit(main())
