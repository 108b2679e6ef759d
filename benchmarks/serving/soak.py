"""`python -m benchmarks.serving.soak --minutes 30`: load with swaps, memory and the traffic log.

Clients ask without a pause while production is swapped every few seconds. In the end every
acknowledged prediction id must be in the traffic log exactly once, and memory must be flat over
the second half.
"""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as part
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import typer

from benchmarks.serving import result
from benchmarks.serving.bar import Bar, at_least, at_most, print_bars
from benchmarks.serving.client import OK, Line, request_of, run_client
from benchmarks.serving.compare import Field, forget_traffic, setting_of
from benchmarks.serving.machine import split_cores, this_machine
from benchmarks.serving.peer import Slipway
from benchmarks.serving.server import Server
from benchmarks.serving.testbed import ROOT, Workplace, prepare
from contracts.manifest import Pointer
from contracts.names import Layout
from contracts.times import utc_text
from slipway import output

FOLDER = ROOT / "build" / "benchmarks"
MODEL = "loan"
CLIENTS = 16
SWAP_EVERY_S = 5.0
SAMPLE_EVERY_S = 1.0
ID_BYTES = 36
ID_START = b'"prediction_id":"'
MAX_GROWTH_PERCENT = 2.0

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass
class Record:
    """What was seen: acknowledged ids one after the other, memory over time, what went wrong."""

    ids: bytearray = part(default_factory=bytearray)
    memory: list[tuple[float, float]] = part(default_factory=list)
    swaps: int = 0
    failed: list[str] = part(default_factory=list)


@app.command()
def soak(
    minutes: Annotated[float, typer.Option(min=0.1, help="How long the load lasts.")] = 30.0,
) -> None:
    """Keep a service under load while versions are swapped, and check what it leaves."""
    place, cores = prepare(FOLDER), split_cores()
    field = Field(place, FOLDER, cores, (0, 0), 0)
    us = Slipway()
    setting = setting_of(field, us, MODEL, Path())
    forget_traffic(place)
    with us.server(setting, cores.server) as server:
        record = run_client(_load(server, place, us, 60 * minutes), cores.client)
    logged = logged_ids(Layout(place.root / "var").traffic(MODEL))
    forget_traffic(place)
    figures, bars = judge(record, logged)
    print_bars(bars)
    path = result.write("soak", figures, bars, this_machine(), {"minutes": minutes})
    output.say(f"written to {path.relative_to(ROOT)}")


def judge(record: Record, logged: np.ndarray) -> tuple[dict[str, object], list[Bar]]:
    """Figures and bars; `logged` has an id per line of the traffic log, dtype `S36`."""
    acknowledged = np.frombuffer(bytes(record.ids), dtype=f"S{ID_BYTES}")
    known, times = np.unique(logged, return_counts=True)
    index = np.searchsorted(known, acknowledged)
    in_range = np.minimum(index, max(len(known) - 1, 0))
    is_logged = known[in_range] == acknowledged if len(known) else np.zeros(0, dtype=bool)
    n_missing = int(len(acknowledged) - is_logged.sum())
    growth = growth_percent(record.memory)
    figures: dict[str, object] = {
        "acknowledged": len(acknowledged),
        "logged": len(logged),
        "swaps": record.swaps,
        "failed": record.failed[:20],
        "memory_mb": record.memory,
        "growth_percent": growth,
    }
    return figures, [
        at_least("acknowledged predictions", 1, len(acknowledged)),
        at_most("acknowledged predictions that were not logged", 0, n_missing),
        at_most("predictions that were logged twice", 0, int((times > 1).sum())),
        at_most("requests that failed", 0, len(record.failed)),
        at_most("memory: growth over the second half", MAX_GROWTH_PERCENT, growth, " %"),
    ]


def growth_percent(memory: Sequence[tuple[float, float]]) -> float:
    """How much higher memory was at the end of the second half than at its start, in per cent.

    >>> growth_percent([(0, 50.0), (1, 80.0), (2, 100.0), (3, 100.0), (4, 100.0), (5, 101.0)])
    1.0
    """
    half = [mb for _, mb in memory[len(memory) // 2 :]]
    third = max(len(half) // 3, 1)
    begin, end = statistics.median(half[:third]), statistics.median(half[-third:])
    return round(100 * (end / begin - 1), 3)


def logged_ids(folder: Path) -> np.ndarray:
    """The prediction id of each line of a traffic log, dtype `S36`."""
    ids = bytearray()
    for path in sorted(folder.rglob("*.jsonl")):
        with path.open("rb") as lines:
            for line in lines:
                ids += _id_in(line)
    return np.frombuffer(bytes(ids), dtype=f"S{ID_BYTES}")


async def _load(server: Server, place: Workplace, us: Slipway, seconds: float) -> Record:
    record, end = Record(), time.monotonic() + seconds
    path = us.path(MODEL, batch=False)
    requests = [
        request_of(path, msgspec.json.encode(row), {"x-user-id": f"user-{number}"})
        for number, row in enumerate(place.works[MODEL].rows)
    ]
    async with asyncio.TaskGroup() as group:
        for first in range(CLIENTS):
            group.create_task(_ask(server.port, requests[first:], record, end))
        group.create_task(_swap(Layout(place.root / "var"), record, end))
        group.create_task(_weigh(server, record, end))
    return record


async def _ask(port: int, requests: Sequence[bytes], record: Record, end: float) -> None:
    line, turn = await Line.open(port), 0
    while time.monotonic() < end:
        turn = (turn + 1) % len(requests)
        try:
            answer = await line.ask(requests[turn])
        except ConnectionError as err:
            record.failed.append(repr(err))
            line = await Line.open(port)
            continue
        if answer.status == OK:
            record.ids += _id_in(answer.body)
        else:
            record.failed.append(f"{answer.status} {answer.body[:200]!r}")
    line.close()


async def _swap(layout: Layout, record: Record, end: float) -> None:
    """Let production's pointer name the same version again: workers load it again and swap."""
    from datetime import UTC, datetime

    path = layout.pointer(MODEL)
    before = path.read_bytes()
    pointer = Pointer.read(before)
    try:
        while time.monotonic() + SWAP_EVERY_S < end:
            await asyncio.sleep(SWAP_EVERY_S)
            moved = msgspec.structs.replace(pointer, moved_at=utc_text(datetime.now(UTC)))
            temporary = path.with_name(".soak.json")
            temporary.write_bytes(moved.write_pretty())
            temporary.replace(path)
            record.swaps += 1
    finally:
        path.write_bytes(before)


async def _weigh(server: Server, record: Record, end: float) -> None:
    begin = time.monotonic()
    while time.monotonic() < end:
        record.memory.append((time.monotonic() - begin, server.weight().rss_mb))
        await asyncio.sleep(SAMPLE_EVERY_S)


def _id_in(text: bytes) -> bytes:
    start = text.index(ID_START) + len(ID_START)
    return text[start : start + ID_BYTES]


if __name__ == "__main__":
    app()
