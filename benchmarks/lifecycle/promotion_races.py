"""Racing promotions: `python -m benchmarks.lifecycle.races`.

Half of the processes promote and roll back as our commands do; of the others, half move MLflow's
alias and half its stage, as people do in `mlflow ui`, without taking Slipway's lock. Readers ask
throughout what is in production. Then the history is compared with what everybody did and saw.
"""

import itertools
import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.lifecycle.processes import ended, start
from benchmarks.lifecycle.registry_actions import (
    DONE,
    move_by_hand,
    promote_by_command,
    read_until_done,
)
from benchmarks.serving import result
from benchmarks.serving.bar import Bar, at_most, print_bars
from benchmarks.serving.machine import this_machine
from benchmarks.serving.testbed import ROOT, Workplace, environ_of, slipway
from registry.history import Event, history
from registry.production import read_state, reconcile
from registry.settings import RegistrySettings
from registry.store import Store
from slipway import output

MODEL = "iris"
VERSIONS = (1, 2, 3)
SWITCHES = ("command", "alias", "command", "stage")
HANDS = "hand"
COMMAND_PAUSE_S = 0.03
"""Commands wait for each other anyway."""
LONGEST_RACE_S = 3600.0

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True)
class Race:
    """What came of a race; each count of a fault is 0 in a sound registry."""

    seconds: float
    by_command: int
    """Moves that commands made, of those that were asked for."""
    by_alias: int
    by_stage: int
    refused_clicks: int
    """Moves by hand that MLflow itself refused, because others wrote; they were done again."""
    reads: int
    not_one: int
    """Reads at which not exactly one version was in production."""
    events: int
    gaps: int
    """Events that do not begin where the previous one ended."""
    not_in_order: int
    """Events that are recorded before an earlier one."""
    not_recorded: int
    """Moves by command that are missing from the history, recorded twice, or wrong."""
    unknown: int
    """Versions that a reader saw in production, which the history has not in that order."""
    not_settled: int
    """Of alias, stage, record, and the last event: those that say otherwise in the end."""
    ended_badly: int

    @property
    def faults(self) -> int:
        """All of them."""
        wrong = (self.not_one, self.gaps, self.not_in_order, self.not_recorded, self.unknown)
        return sum(wrong) + self.not_settled + self.ended_badly


@dataclass(frozen=True)
class Hand:
    """One process that moves Production: how, and to which versions."""

    name: str
    switch: str
    targets: Sequence[int]


def race(
    root: Path,
    name: str,
    *,
    moves: int,
    processes: int,
    readers: int = 2,
    hand_pause_s: float,
) -> Race:
    """Let processes move a model's Production at once, in the folder `root`, and judge it."""
    (root / DONE).unlink(missing_ok=True)
    hands = list(hands_of(moves, processes))
    names = [f"reader{number}" for number in range(readers)]
    begin = time.monotonic()
    moving = [_started(root, name, hand, hand_pause_s) for hand in hands]
    asking = [start(read_until_done, root, name, reader) for reader in names]
    codes = ended(*moving, within_s=LONGEST_RACE_S)
    (root / DONE).touch()
    codes += ended(*asking, within_s=LONGEST_RACE_S)
    seconds = time.monotonic() - begin
    return _judged(root, name, hands, names, seconds, sum(code != 0 for code in codes))


def hands_of(moves: int, processes: int) -> Iterator[Hand]:
    """Yield which process moves what, cycling through the versions."""
    for place in range(processes):
        n = moves // processes + (place < moves % processes)
        targets = itertools.islice(itertools.cycle(VERSIONS), place, place + n)
        yield Hand(f"{HANDS}{place}", SWITCHES[place % len(SWITCHES)], list(targets))


def _started(root: Path, name: str, hand: Hand, hand_pause_s: float) -> Any:
    if hand.switch == "command":
        return start(promote_by_command, root, name, hand.name, hand.targets, COMMAND_PAUSE_S)
    return start(move_by_hand, root, name, hand.name, hand.switch, hand.targets, hand_pause_s)


def _judged(
    root: Path, name: str, hands: list[Hand], readers: list[str], seconds: float, bad: int
) -> Race:
    store = Store.open(RegistrySettings())
    settled = reconcile(store, name)
    events = history(store, name)
    by = {s: [h for h in hands if h.switch == s] for s in SWITCHES}
    done = [tuple(move) for hand in by["command"] for move in _told(root, hand.name)]
    by_hand = {s: sum(len(h.targets) for h in by[s]) for s in ("alias", "stage")}
    clicks = sum(sum(_told(root, h.name)) for s in by_hand for h in by[s])
    seen = [_told(root, reader) for reader in readers]
    return Race(
        seconds=seconds,
        by_command=len(done),
        by_alias=by_hand["alias"],
        by_stage=by_hand["stage"],
        refused_clicks=clicks - sum(by_hand.values()),
        reads=2 * sum(map(len, seen)),
        not_one=sum(_is_not_one(answer, marked) for each in seen for answer, marked in each),
        events=len(events),
        gaps=sum(a.to_version != b.from_version for a, b in itertools.pairwise(events)),
        not_in_order=sum(a.when > b.when for a, b in itertools.pairwise(events)),
        not_recorded=_not_recorded(events, done),
        unknown=sum(
            _unknown(events, [v for pair in each for v in _in_order(pair)]) for each in seen
        ),
        not_settled=_not_settled(store, name, settled, events),
        ended_badly=bad,
    )


def _told(root: Path, name: str) -> list[Any]:
    """What a process wrote when it was done; nothing if it was not."""
    path = root / f"{name}.json"
    return list(json.loads(path.read_text())) if path.is_file() else []


def _is_not_one(answer: int | None, marked: Sequence[int]) -> bool:
    return answer not in VERSIONS or len(marked) != 1


def _in_order(pair: tuple[int, list[int]]) -> list[int]:
    """What a reader saw in one round: it listed the versions, then asked."""
    answer, marked = pair
    return [*marked, answer]


def _not_recorded(
    events: Sequence[Event], done: Sequence[tuple[str, int | None, int | None]]
) -> int:
    """Moves by command that the history has not exactly so, or that it has and nobody made."""
    told = Counter((e.why, e.from_version, e.to_version) for e in events if e.who.startswith(HANDS))
    made = Counter(done)
    return (made - told).total() + (told - made).total()


def _unknown(events: Sequence[Event], seen: Sequence[int]) -> int:
    """How many of a reader's answers are not found in the history, one after the other."""
    known = iter([e.to_version for e in events])
    missing, now = 0, None
    for version in seen:
        if version == now:
            continue
        now = next((v for v in known if v == version), None)
        if now is None:
            missing += 1
            known = iter([])
    return missing


def _not_settled(store: Store, name: str, settled: int | None, events: Sequence[Event]) -> int:
    state = read_state(store, name)
    wrong = (
        state.alias != settled,
        state.staged_versions != {settled},
        state.recorded != settled,
        events[-1].to_version != settled,
    )
    return sum(wrong)


def make_ground(root: Path) -> None:
    """Three versions of a small model, the first of them in production."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    place = Workplace(root, environ_of(root), {})
    for seed in VERSIONS:
        slipway(["train", MODEL, "--seed", str(seed)], place)
    slipway(["promote", MODEL, "--version", "1"], place)


@app.command()
def run(
    moves: Annotated[int, typer.Option(min=8, help="Moves, of all processes together.")] = 1000,
    processes: Annotated[int, typer.Option(min=4, help="Processes that move.")] = 8,
    readers: Annotated[int, typer.Option(min=1, help="Processes that read.")] = 2,
    hand_pause: Annotated[
        float, typer.Option(help="Longest pause of a hand in seconds: as quick as commands are.")
    ] = 2.0,
) -> None:
    """Race, and exit with 1 if a bar is missed."""
    root = ROOT / "build" / "benchmarks" / "races"
    machine = this_machine()
    make_ground(root)
    os.chdir(root)
    found = race(
        root, MODEL, moves=moves, processes=processes, readers=readers, hand_pause_s=hand_pause
    )
    asked = sum(len(hand.targets) for hand in hands_of(moves, processes))
    bars = bars_of(found, asked)
    rows = [(key.replace("_", " "), value) for key, value in asdict(found).items()]
    output.table(f"{asked} moves by {processes} processes", ("", ""), rows)
    print_bars(bars)
    options = {
        "moves": moves,
        "processes": processes,
        "readers": readers,
        "hand_pause_s": hand_pause,
    }
    results = Path(__file__).with_name("results")
    path = result.write("races", {"race": found}, bars, machine, options, results)
    output.say(f"written to {path.relative_to(ROOT)}", soft_wrap=True)
    sys.exit(0 if all(bar.met for bar in bars) else 1)


def bars_of(found: Race, asked: int) -> list[Bar]:
    """What is wanted of a race, and what came."""
    return [
        at_most(f"reads of {found.reads} with other than one production version", 0, found.not_one),
        at_most(f"gaps in {found.events} events", 0, found.gaps),
        at_most("events out of order", 0, found.not_in_order),
        at_most(
            f"of {found.by_command} moves by command: not recorded exactly once",
            0,
            found.not_recorded,
        ),
        at_most("versions seen that are not in the history", 0, found.unknown),
        at_most("switches that disagree in the end", 0, found.not_settled),
        at_most(f"processes of {asked} moves that failed", 0, found.ended_badly),
    ]
