"""Clients of a service whose versions are swapped: what they ask, and what they see.

The alias is moved by another process (`mlflow_ui_user.py`).
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
from typing import Any

import msgspec
from mlflow import MlflowClient

from benchmarks.lifecycle.mlflow_ui_user import Hand
from benchmarks.serving.client import OK, Line, request_of
from benchmarks.serving.machine import Cores
from benchmarks.serving.server import HOST, Server, free_port
from benchmarks.serving.testbed import (
    BENTOFILE,
    Workplace,
    environ_of,
    slipway,
    whole_rows,
    write_bodies,
)
from benchmarks.serving.wrk import Load, drive
from contracts.names import MODEL_DIRECTORY

MODEL = "loan"
PATH = f"/models/{MODEL}/predict"
CLIENTS = 32
ROWS = 64
MARGIN = 1e-5
"""The largest difference between an answer and the pipeline's: float32 against float64."""
APART = 1e-3
"""The smallest difference between the two models' answers to a row that is sent."""
MAX_SWAP_S = 60.0
POLL_S = 0.01
AFTER_S = 0.5
"""A swap ends this long after the first answer of the new version."""
EACH_WITH_WRK_S = 5.0


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
    """The part of an answer that is checked."""

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
                to not in seen.first and time.monotonic() - moved < MAX_SWAP_S
            ):
                await asyncio.sleep(POLL_S)
            if to not in seen.first:
                seen.failed.append(f"no answer of version {to} within {MAX_SWAP_S:g} s")
                break
            await asyncio.sleep(AFTER_S)
            swaps.append(Swap(to, moved, seen.first[to] - moved, seen.last[old] - moved))
    stop.set()
    await asking
    return seen, swaps


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
