"""Ourselves and the peers in turn, round after round, on the same rows."""

import shutil
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.serving.agreement import check_answers
from benchmarks.serving.all_peers import PEERS, peer
from benchmarks.serving.environment import python_of
from benchmarks.serving.machine import Cores
from benchmarks.serving.machine_load import DISTURBED, Meter, await_calm, quietest
from benchmarks.serving.peer import Peer, Setting
from benchmarks.serving.scenario import Scenario
from benchmarks.serving.server import Server
from benchmarks.serving.testbed import Work, Workplace, write_bodies
from benchmarks.serving.wrk import drive

WARM_UP_S = 2

Say = Callable[[str], None]


@dataclass(frozen=True)
class Measurement:
    """One peer in one scenario: of a round, or (`round` 0) the medians of all rounds.

    `cpu_us`: server CPU a request; `peak_mb`: the most that one of its processes ever held;
    `bad`: requests that were answered by another status than 2xx or 3xx, or not at all.
    """

    scenario: str
    peer: str
    round: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    peak_mb: float
    bad: int
    largest_difference: float
    others: float
    """The share of the server's or the client's core that others used, whichever is more."""


@dataclass(frozen=True)
class Field:
    """What all measurements share."""

    place: Workplace
    folder: Path
    cores: Cores
    answer_bytes: tuple[int, int]
    seconds: int
    patience_s: float = 0.0
    """So long at most a measurement waits for others to leave the cores alone."""


def measure(
    field: Field, peers: Sequence[Peer], scenarios: Sequence[Scenario], rounds: int, say: Say
) -> list[Measurement]:
    """All rounds of all peers in all scenarios, interleaved."""
    pythons = {p.name: python_of(p.name, field.folder) for p in peers}
    models = dict.fromkeys(scenario.model for scenario in scenarios)
    found: list[Measurement] = []
    for number in range(1, rounds + 1):
        for model in models:
            wanted = [s for s in scenarios if s.model == model]
            for one in peers:
                setting = setting_of(field, one, model, pythons[one.name])
                for result in measure_server(field, one, setting, wanted, number):
                    say(told(result))
                    found.append(result)
    return found


def medians(found: Sequence[Measurement]) -> list[Measurement]:
    """Of each peer in each scenario the medians of its calm rounds, if any was; `bad` adds up."""
    keys = dict.fromkeys((m.scenario, m.peer) for m in found)
    return [_median([m for m in found if (m.scenario, m.peer) == key]) for key in keys]


def answer_sizes(place: Workplace, folder: Path, cores: Cores) -> tuple[int, int]:
    """How many bytes Slipway answers to one row and to a batch, for the ceiling to say as many."""
    import msgspec

    us = peer("slipway")
    work = place.works["loan"]
    setting = Setting(place, "loan", Path(), (0, 0), folder / "run" / "slipway")
    with us.server(setting, cores.server) as server:
        one, batch = (
            server.post(
                us.path("loan", batch=batch), msgspec.json.encode(us.body(rows, batch=batch))
            )
            for rows, batch in (([work.rows[0]], False), (work.batches[0], True))
        )
    return len(one), len(batch)


def setting_of(field: Field, one: Peer, model: str, python: Path) -> Setting:
    """Where a peer is started, in a folder that is empty."""
    folder = field.folder / "run" / one.name
    shutil.rmtree(folder, ignore_errors=True)
    return Setting(field.place, model, python, field.answer_bytes, folder)


def measure_server(
    field: Field, one: Peer, setting: Setting, scenarios: Sequence[Scenario], number: int
) -> Iterator[Measurement]:
    """Start a peer, hold its answers to the pipeline's, and measure it in these scenarios."""
    work = field.place.works[setting.model]
    try:
        with one.server(setting, field.cores.server) as server:
            difference = check_answers(one, server, work)
            for scenario in scenarios:
                if one.takes_batches or not scenario.batch:
                    words = (field, one, server, scenario, work, number, difference)
                    yield quietest(partial(_measure, *words))
    finally:
        forget_traffic(field.place)


def _measure(
    field: Field,
    one: Peer,
    server: Server,
    scenario: Scenario,
    work: Work,
    number: int,
    difference: float,
) -> Measurement:
    path = one.path(work.model, batch=scenario.batch)
    bodies = bodies_of(field.folder, one, work, batch=scenario.batch)
    send = partial(
        drive,
        *(server.port, path, bodies),
        connections=scenario.connections,
        heads=scenario.heads,
        cores=field.cores.client,
    )
    await_calm(field.cores, field.patience_s)
    send(seconds=WARM_UP_S)
    meter = Meter(server, field.cores)
    load = send(seconds=field.seconds)
    used = meter.read()
    return Measurement(
        scenario=scenario.name,
        peer=one.name,
        round=number,
        requests_per_s=load.requests_per_s,
        p50_ms=load.p50_ms,
        p99_ms=load.p99_ms,
        cpu_us=1e6 * used.cpu_s / max(load.requests, 1),
        peak_mb=server.weight().peak_mb,
        bad=load.bad,
        largest_difference=difference,
        others=used.others,
    )


def bodies_of(folder: Path, one: Peer, work: Work, *, batch: bool) -> Path:
    """The file of the bodies that a peer is asked with."""
    kinds = work.batches if batch else [[row] for row in work.singles]
    name = f"{one.name}-{work.model}-{'batch' if batch else 'one'}.jsonl"
    return write_bodies(folder / "bodies" / name, [one.body(k, batch=batch) for k in kinds])


def forget_traffic(place: Workplace) -> None:
    """Throw away what was logged: millions of records."""
    shutil.rmtree(place.root / "var" / "traffic", ignore_errors=True)


def told(m: Measurement) -> str:
    """A measurement as a line."""
    return (
        f"round {m.round}  {m.scenario:<10} {m.peer:<9} {m.requests_per_s:9.1f} requests/s  "
        f"p50 {m.p50_ms:8.2f} ms  p99 {m.p99_ms:8.2f} ms  {m.cpu_us:8.0f} us  "
        f"{m.peak_mb:5.0f} MB  bad {m.bad}  others {m.others:.0%}"
    )


def _median(rounds: Sequence[Measurement]) -> Measurement:
    calm = [m for m in rounds if m.others <= DISTURBED] or rounds

    def middle(name: str) -> float:
        return float(statistics.median(getattr(m, name) for m in calm))

    return Measurement(
        scenario=rounds[0].scenario,
        peer=rounds[0].peer,
        round=0,
        requests_per_s=middle("requests_per_s"),
        p50_ms=middle("p50_ms"),
        p99_ms=middle("p99_ms"),
        cpu_us=middle("cpu_us"),
        peak_mb=middle("peak_mb"),
        bad=sum(m.bad for m in rounds),
        largest_difference=max(m.largest_difference for m in rounds),
        others=middle("others"),
    )


def chosen(names: Sequence[str]) -> list[Peer]:
    """The peers of these names, in the order in which they are measured; all for none."""
    return [p for p in PEERS if not names or p.name in names]
