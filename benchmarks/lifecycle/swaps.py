"""Swaps under load: `python -m benchmarks.lifecycle.swaps`.

Plain `bentoml serve` follows an MLflow of its own. A person's hand moves the alias to a version
that was never here, and back to version 1, again and again, while 32 clients ask and hold every
answer against what the fitted pipeline of the version that it names gives for that row. In
between the same clients ask while nothing is swapped; then wrk does both, as fast as the server
can.
"""

import asyncio
import os
import random
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from mlflow import MlflowClient

from benchmarks.lifecycle.hand import Hand, hand
from benchmarks.serving import result
from benchmarks.serving.bar import Bar, at_most, print_bars
from benchmarks.serving.client import OK, Line, percentile_ms, request_of, run_client
from benchmarks.serving.machine import Cores, split_cores, this_machine
from benchmarks.serving.server import HOST, Server, free_port
from benchmarks.serving.workplace import (
    BENTOFILE,
    ROOT,
    Workplace,
    environ_of,
    slipway,
    whole_rows,
    write_bodies,
)
from benchmarks.serving.wrk import Load, check_wrk, drive
from contracts.names import MODEL_DIRECTORY
from slipway import output

MODEL = "loan"
PATH = f"/models/{MODEL}/predict"
CLIENTS = 32
ROWS = 64
MARGIN = 1e-5
"""So far may an answer be from the pipeline's: float32 against float64."""
APART = 1e-3
"""So far are the versions' answers to a row that is asked, at least."""
LONGEST_SWAP_S = 60.0
LOOK_S = 0.01
AFTER_S = 0.5
"""A swap is over so long after its first answer."""
CALM_BLOCKS = 10
EACH_WITH_WRK_S = 5.0
PROMOTION, ROLLBACK = "promotion of a new version", "rollback to version 1"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True)
class Ground:
    """A folder with versions of a model, and what they answer to each row.

    Version 1 is one model; all later versions are another, registered again and again.
    """

    place: Workplace
    rows: Sequence[Any]
    first: list[float]
    later: list[float]

    def expected(self, version: int) -> list[float]:
        """What a version answers to each row."""
        return self.first if version == 1 else self.later

    @property
    def uri(self) -> str:
        """Its tracking server."""
        return f"sqlite:///{self.place.root / 'mlflow.db'}"


class Given(msgspec.Struct):
    """What is looked at in an answer."""

    version: int
    probabilities: dict[str, float]


@dataclass
class Seen:
    """What the clients saw: when each answer came (monotonic) and what it took, in seconds."""

    at: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    first: dict[int, float] = field(default_factory=dict)
    """When each version answered first since it was last forgotten."""
    last: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Swap:
    """From the alias being moved to the first answer of the new version, and the last old one."""

    to: int
    moved: float
    first_s: float
    last_old_s: float


def make_ground(root: Path, n_versions: int) -> Ground:
    """Train two models as a user does, promote the first, and register the second often."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    (root / "bentofile.yaml").write_text(BENTOFILE)
    environ = {k: v for k, v in environ_of(root).items() if not k.startswith("SLIPWAY_")}
    place = Workplace(root, environ, {})
    for words in (["train", MODEL], ["promote", MODEL], ["train", MODEL, "--seed", "1"]):
        slipway(words, place)
    uri = f"sqlite:///{root / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    known = client.get_model_version(MODEL, "2")
    source = f"runs:/{known.run_id}/{MODEL_DIRECTORY}"
    for _ in range(n_versions - 2):
        client.create_model_version(MODEL, source, known.run_id, tags=known.tags)
    return Ground(place, *_asked(uri))


def _asked(uri: str) -> tuple[list[Any], list[float], list[float]]:
    """Rows to which the two models answer differently, and both answers."""
    import mlflow

    from training.dataset import frame_of
    from training.pipeline import scores_of
    from training.recipe import load_recipe

    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    recipe = load_recipe(MODEL)
    rows = whole_rows(recipe, 20 * ROWS)
    frame = frame_of(rows, recipe.schema)
    one, two = (
        scores_of(mlflow.sklearn.load_model(f"models:/{MODEL}/{v}"), frame, recipe)[:, -1]
        for v in (1, 2)
    )
    apart = [place for place in range(len(rows)) if abs(one[place] - two[place]) > APART][:ROWS]
    return [rows[p] for p in apart], [one[p] for p in apart], [two[p] for p in apart]


async def ask_on(port: int, ground: Ground, seen: Seen, stop: asyncio.Event) -> None:
    """Let the clients send requests until `stop` is set; every answer is checked."""
    requests = [request_of(PATH, msgspec.json.encode(row)) for row in ground.rows]
    given = msgspec.json.Decoder(Given)

    async def client(number: int) -> None:
        line = await Line.open(port)
        turn = number
        while not stop.is_set():
            turn = (turn + 1) % len(requests)
            asked = time.monotonic()
            try:
                async with asyncio.timeout(30):
                    answer = await line.ask(requests[turn])
            except (ConnectionError, TimeoutError) as err:
                seen.failed.append(repr(err))
                line = await Line.open(port)
                continue
            now = time.monotonic()
            if answer.status != OK:
                seen.failed.append(f"{answer.status} {answer.body[:200]!r}")
                continue
            said = given.decode(answer.body)
            score = list(said.probabilities.values())[-1]
            if abs(score - ground.expected(said.version)[turn]) > MARGIN:
                seen.mixed.append(f"row {turn}: version {said.version}, score {score}")
            seen.at.append(now)
            seen.took.append(now - asked)
            seen.first.setdefault(said.version, now)
            seen.last[said.version] = now
        line.close()

    async with asyncio.TaskGroup() as group:
        for number in range(CLIENTS):
            group.create_task(client(number))


async def calm(port: int, ground: Ground, seconds: float) -> Seen:
    """Let the clients send requests for `seconds` while nothing is swapped."""
    seen, stop = Seen(), asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, stop.set)
    await ask_on(port, ground, seen, stop)
    return seen


async def swapped(
    port: int, ground: Ground, mover: Hand, targets: Sequence[int], pauses: random.Random
) -> tuple[Seen, list[Swap]]:
    """The clients, while the alias moves to one target after the other.

    It does so at moments that have nothing to do with those of the poll.
    """
    seen, stop, swaps = Seen(), asyncio.Event(), list[Swap]()
    asking = asyncio.create_task(ask_on(port, ground, seen, stop))
    loop = asyncio.get_running_loop()
    await asyncio.sleep(AFTER_S)
    with ThreadPoolExecutor(1) as thread:
        for to in targets:
            await asyncio.sleep(pauses.uniform(0, 2))
            old = max(seen.last, key=lambda version: seen.last[version])
            seen.first.pop(to, None)
            moved = await loop.run_in_executor(thread, mover.point, to)
            while (  # noqa: ASYNC110 - an event would have to be set by each answer
                to not in seen.first and time.monotonic() - moved < LONGEST_SWAP_S
            ):
                await asyncio.sleep(LOOK_S)
            if to not in seen.first:
                seen.failed.append(f"no answer of version {to} within {LONGEST_SWAP_S:g} s")
                break
            await asyncio.sleep(AFTER_S)
            swaps.append(Swap(to, moved, seen.first[to] - moved, seen.last[old] - moved))
    stop.set()
    await asking
    return seen, swaps


def within(seen: Seen, swaps: Sequence[Swap]) -> list[float]:
    """What the requests took that were answered while a version was brought and exchanged."""
    spans = [(s.moved, s.moved + s.first_s + AFTER_S) for s in swaps]
    found, place = [], 0
    for at, took in zip(seen.at, seen.took, strict=True):
        while place < len(spans) and at > spans[place][1]:
            place += 1
        if place < len(spans) and at >= spans[place][0]:
            found.append(took)
    return found


def with_wrk(
    ground: Ground, server: Server, cores: Cores, mover: Hand, targets: Sequence[int]
) -> list[Load]:
    """What wrk sees without and with swaps, in as much time."""
    bodies = write_bodies(ground.place.root / "rows.jsonl", ground.rows)
    seconds = EACH_WITH_WRK_S * len(targets)

    def load() -> Load:
        return drive(
            server.port, PATH, bodies, connections=CLIENTS, seconds=seconds, cores=cores.client
        )

    before = load()
    with ThreadPoolExecutor(1) as thread:
        loading = thread.submit(load)
        for to in targets:
            mover.point(to)
            time.sleep(EACH_WITH_WRK_S)
        return [before, loading.result()]


def figures_of(
    calm_seen: list[Seen], seen: list[Seen], swaps: list[list[Swap]], loads: list[Load]
) -> tuple[dict[str, object], list[Bar]]:
    """What was measured, and the bars."""
    calm_took = [took for one in calm_seen for took in one.took]
    took = [t for one, listed in zip(seen, swaps, strict=True) for t in within(one, listed)]
    failed = [text for one in (*calm_seen, *seen) for text in one.failed]
    mixed = [text for one in (*calm_seen, *seen) for text in one.mixed]
    every = [swap for listed in swaps for swap in listed]
    times = {
        PROMOTION: [s.first_s for s in every if s.to != 1],
        ROLLBACK: [s.first_s for s in every if s.to == 1],
    }
    p99s = {"calm": percentile_ms(calm_took, 0.99), "swapping": percentile_ms(took, 0.99)}
    figures: dict[str, object] = {
        "swaps": len(every),
        "requests": {"calm": len(calm_took), "swapping": len(took)},
        "p50_ms": {"calm": percentile_ms(calm_took, 0.5), "swapping": percentile_ms(took, 0.5)},
        "p99_ms": p99s,
        "p999_ms": {
            "calm": percentile_ms(calm_took, 0.999),
            "swapping": percentile_ms(took, 0.999),
        },
        "largest_ms": {"calm": 1e3 * max(calm_took), "swapping": 1e3 * max(took)},
        "failed": failed[:20],
        "mixed": mixed[:20],
        "first_answer_s": {name: sorted(found) for name, found in times.items()},
        "old_after_new_s": max(s.last_old_s - s.first_s for s in every),
        "wrk": dict(zip(("calm", "swapping"), loads, strict=False)),
    }
    n = len(every)
    bars = [
        at_most(f"requests that failed in {n} swaps", 0, len(failed)),
        at_most("answers that mix two versions", 0, len(mixed)),
        at_most("p99 while swapping against calm", 2, p99s["swapping"] / p99s["calm"], "x"),
        *(
            at_most(f"{name}: alias moved to first answer, the longest", 5, max(found), " s")
            for name, found in times.items()
        ),
    ]
    if loads:
        before, during = loads
        bars += [
            at_most("wrk: requests that failed", 0, before.bad + during.bad),
            at_most("wrk: p99 while swapping against calm", 2, during.p99_ms / before.p99_ms, "x"),
        ]
    return figures, bars


def print_figures(figures: dict[str, Any]) -> None:
    """Two tables: what clients waited, and what a swap took."""
    kinds = ("calm", "swapping")
    keys = ("p50_ms", "p99_ms", "p999_ms", "largest_ms")
    output.table(
        f"{figures['swaps']} swaps, {CLIENTS} connections, every answer checked",
        ("", "requests", "p50 ms", "p99 ms", "p99.9 ms", "largest ms"),
        [
            (kind, figures["requests"][kind], *(figures[key][kind] for key in keys))
            for kind in kinds
        ],
    )
    if figures["wrk"]:
        output.table(
            "wrk, as fast as the server can",
            ("", "requests/s", "p50 ms", "p99 ms", "largest ms", "bad"),
            [
                (k, round(w.requests_per_s), w.p50_ms, w.p99_ms, w.max_ms, w.bad)
                for k, w in figures["wrk"].items()
            ],
        )
    shares = (0.0, 0.5, 0.9, 0.99, 1.0)
    output.table(
        "Seconds from the alias being moved to the first answer",
        ("", "least", "p50", "p90", "p99", "most"),
        [
            (name, *(percentile_ms(found, share) / 1e3 for share in shares))
            for name, found in figures["first_answer_s"].items()
        ],
    )


@app.command()
def run(
    swaps: Annotated[int, typer.Option(min=2, help="Swaps under load.")] = 100,
    calm_seconds: Annotated[float, typer.Option(help="Seconds without swaps.")] = 150.0,
    wrk_swaps: Annotated[int, typer.Option(min=0, help="Swaps under wrk.")] = 12,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the pauses.")] = 0,
    split: Annotated[bool, typer.Option(help="A core for the server, one for clients.")] = True,
) -> None:
    """Swap under load; exit with 1 if a bar is missed."""
    check_wrk()
    machine, cores = this_machine(), split_cores() if split else Cores("", "")
    targets = [1 if place % 2 else 2 + place // 2 for place in range(swaps + wrk_swaps)]
    ground = make_ground(ROOT / "build" / "benchmarks" / "swaps", max(targets))
    server = server_of(ground, cores, workers)
    pauses = random.Random(seed)
    calm_seen, seen, done, loads = list[Seen](), list[Seen](), list[list[Swap]](), list[Load]()
    size = -(-swaps // CALM_BLOCKS)
    starts = range(0, swaps, size)
    with server, hand(ground.uri, MODEL) as mover:
        for start in starts:
            quiet = calm(server.port, ground, calm_seconds / len(starts))
            calm_seen.append(run_client(quiet, cores.client))
            block = targets[start : min(start + size, swaps)]
            swapping = swapped(server.port, ground, mover, block, pauses)
            found, listed = run_client(swapping, cores.client)
            seen.append(found)
            done.append(listed)
            forget_traffic(ground)
        if wrk_swaps:
            loads = with_wrk(ground, server, cores, mover, targets[swaps:])
    figures, bars = figures_of(calm_seen, seen, done, loads)
    print_figures(figures)
    print_bars(bars)
    options = {
        "swaps": swaps,
        "calm_seconds": calm_seconds,
        "workers": workers,
        "seed": seed,
        "cores": cores,
    }
    results = Path(__file__).with_name("results")
    path = result.write("swaps", figures, bars, machine, options, results)
    output.say(f"written to {path.relative_to(ROOT)}", soft_wrap=True)
    sys.exit(0 if all(bar.met for bar in bars) else 1)


def server_of(ground: Ground, cores: Cores, workers: int) -> Server:
    """Plain `bentoml serve` in the ground, which follows at the default pace."""
    port = free_port()
    words = [sys.executable, "-m", "bentoml", "serve", "--host", HOST, "--port", str(port)]
    return Server(
        words,
        cwd=ground.place.root,
        environ={**ground.place.environ, "SLIPWAY_SERVICE_WORKERS": str(workers)},
        port=port,
        ready_path="/readyz",
        log=ground.place.root / "server.log",
        cores=cores.server,
    )


def forget_traffic(ground: Ground) -> None:
    """Remove what was logged, so that a long run fills no disk; the open files stay."""
    for path in (ground.place.root / "var" / "traffic").rglob("*.jsonl"):
        os.truncate(path, 0)


def main() -> None:
    """Run the command."""
    app()


if __name__ == "__main__":
    main()
