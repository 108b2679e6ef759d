"""`kill -9` everywhere: `python -m benchmarks.lifecycle.kills`.

In one folder, one process after the other trains, registers, promotes, rolls back, pulls,
follows, refuses or swaps, and is killed: right before or after a named step, and at random
moments. After each kill, everything that is served or promoted is compared with what was
registered, the doctor repairs, and a search independent of the doctor looks for leftovers.
"""

import multiprocessing
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.lifecycle.crash_invariants import MODEL, Ground
from benchmarks.lifecycle.crash_workload import act_and_die
from benchmarks.lifecycle.kill_points import STEPS
from benchmarks.lifecycle.processes import Step, ended, preload, start
from benchmarks.serving import result
from benchmarks.serving.bar import Bar, at_least, at_most, print_bars
from benchmarks.serving.machine import this_machine
from benchmarks.serving.testbed import ROOT, slipway
from contracts.manifest import Pointer
from registry.doctor import examine, repair
from registry.production import reconcile
from slipway import output

KILLED = -9
RANDOM = "at random"
LIBRARIES = ("sklearn.ensemble", "skl2onnx", "onnxruntime", "pandas", "mlflow.sklearn", "typer")
COMPLETED = ("pull", "follow", "swap")
"""Acts that are done again unharmed after each kill; others cost too much, and come at the end."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True)
class Death:
    """One kill, and what was wrong after it; nothing in a sound platform."""

    act: str
    where: str
    was_killed: bool
    wrong: tuple[str, ...]
    """What was served, promoted or lost that must not be."""
    left: tuple[str, ...]
    """What was left behind after `doctor --repair`."""
    temporary: int
    """Files of ours or MLflow's in the folder for temporary files, which the system cleans."""


def die(ground: Ground, act: str, step: Step | None, delay_s: float) -> Death:
    """Let a process do an act and die, look at what came of it, repair, and do it again."""
    real, words, target = ground.words(act)
    before = Pointer.read(ground.layout.pointer(MODEL).read_bytes())
    Path("armed").unlink(missing_ok=True)
    process = start(act_and_die, ground.root, real, words, step)
    if step is None:
        while process.is_alive() and not Path("armed").exists():
            time.sleep(0.001)
        time.sleep(delay_s)
        process.kill()
    was_killed = ended(process) == [KILLED]
    wrong = list(ground.wrong(before, target))
    repair(ground.store, ground.layout, examine(ground.store, ground.layout))
    left = [f"{a.kind} {a.subject}" for a in examine(ground.store, ground.layout)]
    left += ground.left()
    temporary = ground.temporary()
    if act in COMPLETED:
        wrong += _again(ground, act)
    ground.settle()
    where = RANDOM if step is None else f"{'before' if step.before else 'after'} {step.function}"
    if step is not None and step.call > 1:
        where += f" {step.call}"
    return Death(act, where, was_killed, tuple(wrong), tuple(left), temporary)


def _again(ground: Ground, act: str) -> Iterator[str]:
    """Do an act unharmed; what is wrong if it does not succeed."""
    real, words, target = ground.words(act)
    codes = ended(start(act_and_die, ground.root, real, words, None))
    if codes != [0]:
        yield f"{act} ends with {codes} after it was killed"
    elif act != "swap" and reconcile(ground.store, MODEL) != target:
        yield f"{act} does not lead to version {target} after it was killed"


def duration_of(ground: Ground, act: str) -> float:
    """Seconds that an act takes unharmed."""
    real, words, _ = ground.words(act)
    Path("armed").unlink(missing_ok=True)
    process = start(act_and_die, ground.root, real, words, None)
    while process.is_alive() and not Path("armed").exists():
        time.sleep(0.001)
    begin = time.monotonic()
    ended(process)
    seconds = time.monotonic() - begin
    ground.settle()
    return seconds


@app.command()
def run(
    at_random: Annotated[int, typer.Option(min=0, help="Kills at random, of each act.")] = 8,
    acts: Annotated[str, typer.Option(help="Only these, by commas.")] = ",".join(STEPS),
    seed: Annotated[int, typer.Option(help="Seed of the moments.")] = 0,
    lanes: Annotated[int, typer.Option(min=1, help="Folders in which acts die at once.")] = 4,
) -> None:
    """Kill at every step, and exit with 1 if a bar is missed."""
    machine = this_machine()
    wanted = acts.split(",")
    deaths: list[Death] = []
    with ProcessPoolExecutor(lanes, multiprocessing.get_context("spawn")) as pool:
        parts = [wanted[number::lanes] for number in range(lanes)]
        running = [
            pool.submit(lane, number, part, at_random, seed)
            for number, part in enumerate(parts)
            if part
        ]
        for done in as_completed(running):
            deaths += done.result()
    for act in wanted:
        print_act(act, [death for death in deaths if death.act == act])
    bars = bars_of(deaths)
    print_bars(bars)
    results = Path(__file__).with_name("results")
    options = {"at_random": at_random, "acts": acts, "seed": seed, "lanes": lanes}
    figures = {"deaths": [asdict(death) for death in deaths]}
    path = result.write("kills", figures, bars, machine, options, results)
    output.say(f"written to {path.relative_to(ROOT)}", soft_wrap=True)
    sys.exit(0 if all(bar.met for bar in bars) else 1)


def lane(number: int, acts: list[str], at_random: int, seed: int) -> list[Death]:
    """The deaths of some acts, one after the other, in a folder of their own."""
    preload(*LIBRARIES)
    ground = Ground(ROOT / "build" / "benchmarks" / f"kills-{number}")
    ground.make()
    moments = random.Random(f"{seed} {acts}")
    deaths: list[Death] = []
    for act in acts:
        deaths += [_noted(die(ground, act, step, 0.0)) for step in STEPS[act]]
        longest = duration_of(ground, act)
        delays = [moments.uniform(0, longest) for _ in range(at_random)]
        deaths += [_noted(die(ground, act, None, delay_s)) for delay_s in delays]
    slipway(["doctor"], ground.place)
    return deaths


def _noted(death: Death) -> Death:
    """Print a death at once, since all of them together take a while."""
    said = "; ".join((*death.wrong, *death.left)) or "sound"
    sys.stderr.write(f"{death.act}, {death.where}: {said if death.was_killed else 'not reached'}\n")
    return death


def print_act(act: str, deaths: list[Death]) -> None:
    """A table of an act's deaths, those at random together."""
    rows = []
    for where in dict.fromkeys(death.where for death in deaths):
        here = [death for death in deaths if death.where == where]
        wrong = [text for death in here for text in death.wrong]
        left = [text for death in here for text in death.left]
        kills = sum(death.was_killed for death in here)
        rows.append((where, kills, len(wrong), len(left), sum(d.temporary for d in here)))
    output.table(act, ("killed", "kills", "wrong", "left", "temporary"), rows)
    for death in deaths:
        for text in (*death.wrong, *death.left):
            output.say(f"{act}, {death.where}: {text}", soft_wrap=True)


def bars_of(deaths: list[Death]) -> list[Bar]:
    """What is wanted of all kills, and what came."""
    named = [death for death in deaths if death.where != RANDOM]
    n = sum(death.was_killed for death in deaths)
    return [
        at_least("kills", 200, n),
        at_most("named steps that were not reached", 0, sum(not d.was_killed for d in named)),
        at_most("torn, unverified or lost", 0, sum(len(d.wrong) for d in deaths)),
        at_most("left behind after doctor --repair", 0, sum(len(d.left) for d in deaths)),
    ]
