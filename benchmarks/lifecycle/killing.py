"""`kill -9` everywhere: `python -m benchmarks.lifecycle.kills`.

In one folder, one process after the other trains, registers, promotes, rolls back, pulls,
follows, refuses or swaps, and is killed: right before or after a named step, and at random
moments. After each kill, everything that is served or promoted is compared with what was
registered, the doctor repairs, and a search independent of the doctor looks for leftovers.
"""

import itertools
import json
import multiprocessing
import os
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.lifecycle.deaths import ANSWERED, act_and_die
from benchmarks.lifecycle.processes import Step, ended, preload, start
from benchmarks.lifecycle.steps import STEPS
from benchmarks.serving import result
from benchmarks.serving.bar import Bar, at_least, at_most, print_bars
from benchmarks.serving.machine import this_machine
from benchmarks.serving.workplace import ROOT, Workplace, environ_of, slipway
from contracts.errors import CorruptModel, PlatformError
from contracts.manifest import Pointer
from contracts.names import MANIFEST_FILE, MODEL_DIRECTORY, TAG_DIGEST, Layout
from registry.doctor import examine, repair
from registry.history import history
from registry.model_directory import verify
from registry.production import read_switches, reconcile
from registry.pull import pull_version
from registry.settings import RegistrySettings
from registry.store import Store
from slipway import output

MODEL = "iris"
ROW = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
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


class Ground:
    """The folder in which all die, and how it is looked at. It is the current one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.place = Workplace(root, environ_of(root), {})
        self.broken = 0
        self.seeds = itertools.count(3)

    def make(self) -> None:
        """Three versions, the first promoted and pulled, and one that is broken."""
        shutil.rmtree(self.root, ignore_errors=True)
        (self.root / "tmp").mkdir(parents=True)
        for seed in (1, 2):
            slipway(["train", MODEL, "--seed", str(seed)], self.place)
        slipway(["promote", MODEL, "--version", "1"], self.place)
        slipway(["pull"], self.place)
        os.environ["BENTOML_HOME"] = str(self.root / "bentoml")
        os.chdir(self.root)
        self.store, self.layout = Store.open(RegistrySettings()), Layout(Path("var"))
        self.broken = self._register_broken()
        pull_version(self.store, self.layout, MODEL, 2, point=False)
        self._temporary = set(self._temporary_files())

    def words(self, act: str) -> tuple[str, list[Any], int]:
        """Return the act, its arguments, and the version in production if it succeeds."""
        now = reconcile(self.store, MODEL) or 1
        other = 2 if now == 1 else 1
        if act == "train":
            return act, [MODEL, next(self.seeds)], now
        if act == "register":
            one = self.store.versions.get(MODEL, 1)
            source = f"runs:/{one.run_id}/{MODEL_DIRECTORY}"
            return act, [MODEL, one.run_id, source, one.tags[TAG_DIGEST]], now
        if act in {"promote", "rollback"}:
            return act, [MODEL, other], other
        if act == "swap":
            pointer = pull_version(self.store, self.layout, MODEL, other, point=False)
            return act, [MODEL, ROW, pointer.write().decode()], other
        target = self.broken if act == "refuse" else other
        self._forget(target)
        self.store.models.set_alias(MODEL, target)
        return ("pull" if act == "pull" else "follow"), [], target

    def wrong(self, before: Pointer, target: int) -> Iterator[str]:
        """What must not be, whenever the process was killed."""
        production = reconcile(self.store, MODEL)
        switches = read_switches(self.store, MODEL)
        if not (switches.agree and production is not None and self._is_whole(production)):
            yield f"production is {switches}"
        events = history(self.store, MODEL)
        if any(a.to_version != b.from_version for a, b in itertools.pairwise(events)):
            yield "the history has a gap"
        pointer = Pointer.read(self.layout.pointer(MODEL).read_bytes())
        if pointer.version not in {before.version, target, production} - {self.broken}:
            yield f"version {pointer.version} is pointed at"
        for path in self.layout.pointer(MODEL).parent.iterdir():
            if path.name.isdigit():
                yield from self._torn(path, int(path.name))
        yield from self._torn(self.layout.model(MODEL, pointer.version), pointer.version)
        yield from self._lost()

    def left(self) -> Iterator[str]:
        """Return what is left behind, found independently of the doctor."""
        from mlflow import MlflowClient
        from mlflow.entities import LoggedModelStatus

        homes = (self.root / "var", self.root / "bentoml")
        yield from (str(path) for home in homes for path in home.rglob(".incoming-*"))
        client = MlflowClient(tracking_uri=self.store.tracking_uri)
        experiment = client.get_experiment_by_name(MODEL).experiment_id
        running = client.search_runs([experiment], "attributes.status = 'RUNNING'")
        yield from (f"run {run.info.run_id} is RUNNING" for run in running)
        for model in client.search_logged_models([experiment]):
            if model.status == LoggedModelStatus.PENDING:
                yield f"logged model {model.model_id} is PENDING"
        for version in self.store.versions.of(MODEL):
            if not (self._artifacts(version.run_id) / MANIFEST_FILE).is_file():
                yield f"version {version.version} has no manifest"

    def temporary(self) -> int:
        """How many new files and folders are in the folder for temporary files; removes them."""
        found = set(self._temporary_files()) - self._temporary
        for path in found:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return len(found)

    def settle(self) -> None:
        """Let a whole version be in production again, and pointed at."""
        if reconcile(self.store, MODEL) == self.broken:
            self.store.models.set_alias(MODEL, 1)
        pull_version(self.store, self.layout, MODEL, reconcile(self.store, MODEL) or 1)

    def _is_whole(self, version: int) -> bool:
        """Whether a version in production is what was registered; the broken one was so by hand."""
        stored = self.store.versions.get(MODEL, version)
        try:
            verify(self._artifacts(stored.run_id), stored.tags[TAG_DIGEST])
        except CorruptModel:
            return False
        return True

    def _torn(self, directory: Path, version: int) -> Iterator[str]:
        try:
            verify(directory, self.store.versions.get(MODEL, version).tags[TAG_DIGEST])
        except (PlatformError, OSError) as err:
            yield f"{directory}: {err}"

    def _lost(self) -> Iterator[str]:
        """Predictions that were answered and are not in the traffic log."""
        answered = Path(ANSWERED)
        if not answered.is_file():
            return
        logged = Counter()  # type: Counter[tuple[str, int]]
        for path in self.layout.traffic(MODEL).rglob("*.jsonl"):
            for line in path.read_bytes().splitlines():
                record = json.loads(line)
                logged[record["prediction_id"], record["version"]] += 1
        for line in answered.read_bytes().splitlines():
            if logged[tuple(json.loads(line))] != 1:
                yield f"prediction {line.decode()} is not in the traffic log once"

    def _forget(self, version: int) -> None:
        """Remove a version from this machine, so that it is fetched again."""
        shutil.rmtree(self.layout.model(MODEL, version), ignore_errors=True)
        for path in (self.root / "bentoml" / "models" / MODEL).glob(f"{version}-*"):
            shutil.rmtree(path)

    def _artifacts(self, run_id: str) -> Path:
        """Where the artifacts of a run lie, by MLflow's own layout."""
        return next((self.root / "mlruns").glob(f"*/{run_id}/artifacts")) / MODEL_DIRECTORY

    def _temporary_files(self) -> Iterator[Path]:
        yield from (self.root / "tmp").iterdir()

    def _register_broken(self) -> int:
        """A version with right digests, whose golden answers are wrong."""
        import hashlib

        from mlflow import MlflowClient

        whole = self._artifacts(self.store.versions.get(MODEL, 1).run_id)
        made = self.root / "broken"
        shutil.copytree(whole, made)
        manifest = json.loads((made / MANIFEST_FILE).read_bytes())
        for golden in manifest["golden"]:
            golden["scores"].reverse()
        (made / MANIFEST_FILE).write_text(json.dumps(manifest))
        digest = hashlib.sha256((made / MANIFEST_FILE).read_bytes()).hexdigest()
        client = MlflowClient(tracking_uri=self.store.tracking_uri)
        run = client.create_run(client.get_experiment_by_name(MODEL).experiment_id).info.run_id
        client.log_artifacts(run, str(made), MODEL_DIRECTORY)
        client.set_terminated(run)
        return self.store.versions.create(MODEL, "nowhere", run, {TAG_DIGEST: digest}, "")


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
    """Tell of a death at once: all of them take a while."""
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
