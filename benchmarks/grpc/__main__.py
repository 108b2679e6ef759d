"""`python -m benchmarks.grpc`: measure gRPC and binary tensors, and hold them to their bars.

Client and server share the cores, so that only ratios within one run mean something.
"""

import asyncio
import http.client
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import grpc
import typer

from benchmarks.grpc import requests
from benchmarks.serving.server import HOST, Server
from benchmarks.serving.testbed import ROOT, Workplace, prepare
from slipway import output
from training.recipe import load_recipe

FOLDER = ROOT / "build" / "benchmarks"
MODEL = "loan"
METHOD = "/inference.GRPCInferenceService/ModelInfer"
N_CLIENTS = 32
N_ROWS = 1000
ECHO_SHARE = 0.7
"""Calls with one row, of those of a bare echo."""
BINARY_FACTOR = 5.0
"""Batches of binary tensors, against those of tensors as JSON."""
HTTP_PORT, GRPC_PORT, ECHO_PORT = 43_180, 43_181, 43_182

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def run(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the median counts.")] = 3,
    seconds: Annotated[float, typer.Option(min=0.1, help="Seconds of each measurement.")] = 1.5,
) -> None:
    """Measure calls with one row, and batches of 1,000; exits with 1 if a bar is missed."""
    place = prepare(FOLDER)
    with serving(place), echoing():
        singles = medians(one_row(place), rounds, seconds)
        batches = medians(batches_of(place), rounds, seconds)
    share = singles["ModelInfer, raw"] / singles["bare grpc.aio echo"]
    json_rate = batches["HTTP, tensors as JSON"]
    output.say("one row, 32 at the same time: calls/s")
    for name, rate in singles.items():
        output.say(f"  {name:28} {rate:8,.0f}")
    output.say(f"{N_ROWS:,} rows: requests/s, and times tensors as JSON over HTTP")
    for name, rate in batches.items():
        output.say(f"  {name:28} {rate:8,.1f} {rate / json_rate:6.1f}")
    bars = {
        f"{share:.0%} of a bare echo, bar {ECHO_SHARE:.0%}": share >= ECHO_SHARE,
        **{
            f"{name}: bar {BINARY_FACTOR:g} times JSON": batches[name] / json_rate >= BINARY_FACTOR
            for name in ("HTTP, binary tensors", "ModelInfer, raw")
        },
    }
    for text, is_met in bars.items():
        output.say(f"{'met ' if is_met else 'MISSED'}  {text}")
    sys.exit(0 if all(bars.values()) else 1)


@contextmanager
def serving(place: Workplace) -> Iterator[None]:
    """The service with one worker, over HTTP and gRPC."""
    settings = {
        "SLIPWAY_SERVICE_GRPC_PORT": str(GRPC_PORT),
        "SLIPWAY_SERVICE_FOLLOW": "off",
    }
    with Server(
        [sys.executable, "-m", "bentoml", "serve", "--port", str(HTTP_PORT)],
        cwd=place.root,
        environ={**place.environ, **settings},
        port=HTTP_PORT,
        ready_path="/readyz",
        log=place.root / "grpc.log",
    ):
        yield


@contextmanager
def echoing() -> Iterator[None]:
    """A bare echo in a process of its own."""
    process = Server(
        [sys.executable, "-m", "benchmarks.grpc.echo", str(ECHO_PORT), "200"],
        cwd=ROOT,
        environ={"PYTHONPATH": str(ROOT)},
        port=ECHO_PORT,
        ready_path="/",
        log=FOLDER / "echo.log",
    )
    process.start()
    try:
        with grpc.insecure_channel(f"{HOST}:{ECHO_PORT}") as channel:
            grpc.channel_ready_future(channel).result(30)
        yield
    finally:
        process.stop()


Measure = Callable[[float], float]
"""Requests per second, measured for some seconds."""


def medians(kinds: dict[str, Measure], rounds: int, seconds: float) -> dict[str, float]:
    """The median rate of each kind, measured in turns."""
    rates: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, measure in kinds.items():
            rates[name].append(measure(seconds))
    return {name: statistics.median(each) for name, each in rates.items()}


def one_row(place: Workplace) -> dict[str, Measure]:
    """What is measured with one row."""
    schema = load_recipe(MODEL).schema
    raw, typed = (
        requests.infer_request(MODEL, schema, place.works[MODEL].rows[:1], is_raw=is_raw)
        for is_raw in (True, False)
    )
    return {
        "bare grpc.aio echo": lambda s: calls_per_s(ECHO_PORT, raw, N_CLIENTS, s),
        "ModelInfer, raw": lambda s: calls_per_s(GRPC_PORT, raw, N_CLIENTS, s),
        "ModelInfer, typed": lambda s: calls_per_s(GRPC_PORT, typed, N_CLIENTS, s),
    }


def batches_of(place: Workplace) -> dict[str, Measure]:
    """What is measured with `N_ROWS` rows."""
    schema, rows = load_recipe(MODEL).schema, place.works[MODEL].rows[:N_ROWS]
    messages = {
        "ModelInfer, raw": requests.infer_request(MODEL, schema, rows, is_raw=True),
        "ModelInfer, typed": requests.infer_request(MODEL, schema, rows, is_raw=False),
        "ModelInfer, one raw matrix": requests.matrix_request(MODEL, schema, rows),
    }
    found: dict[str, Measure] = {}
    for name, (path, body_of) in requests.HTTP.items():
        found[name] = _http_measure(path.format(model=MODEL), *body_of(schema, rows))
    for name, message in messages.items():
        found[name] = _grpc_measure(message)
    return found


def _grpc_measure(message: bytes) -> Measure:
    return lambda seconds: calls_per_s(GRPC_PORT, message, 1, seconds)


def _http_measure(path: str, body: bytes, headers: dict[str, str]) -> Measure:
    def measure(seconds: float) -> float:
        connection = http.client.HTTPConnection(HOST, HTTP_PORT)
        n_done, begin = 0, time.perf_counter()
        while time.perf_counter() - begin < seconds:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != http.client.OK:
                raise RuntimeError(f"{path}: expected 200, got {answer.status} {content[:300]!r}")
            n_done += 1
        connection.close()
        return n_done / (time.perf_counter() - begin)

    return measure


def calls_per_s(port: int, message: bytes, n_clients: int, seconds: float) -> float:
    """Calls per second of clients that send one call after the other on one connection."""

    async def story() -> float:
        async with grpc.aio.insecure_channel(f"{HOST}:{port}") as channel:
            call: Callable[[bytes], Awaitable[bytes]] = channel.unary_unary(METHOD)
            await call(message)
            counts = [0] * n_clients
            begin = time.perf_counter()

            async def client(index: int) -> None:
                while time.perf_counter() - begin < seconds:
                    await call(message)
                    counts[index] += 1

            await asyncio.gather(*map(client, range(n_clients)))
            return sum(counts) / (time.perf_counter() - begin)

    return asyncio.run(story())


if __name__ == "__main__":
    app()
