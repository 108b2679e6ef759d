"""The folder in which processes are killed: what they do, and what must be true afterwards."""

import itertools
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.lifecycle.crash_workload import ANSWERED
from benchmarks.serving.testbed import Workplace, environ_of, slipway
from contracts.errors import CorruptModel, PlatformError
from contracts.manifest import Pointer
from contracts.names import MANIFEST_FILE, MODEL_DIRECTORY, TAG_DIGEST, Layout
from registry.history import history
from registry.model_directory import verify
from registry.production import read_state, reconcile
from registry.pull import fetch_version
from registry.settings import RegistrySettings
from registry.store import Store

MODEL = "iris"
ROW = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}


class Ground:
    """The folder, which is also the current one, and the checks after each kill."""

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
        fetch_version(self.store, self.layout, MODEL, 2)
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
            pointer = fetch_version(self.store, self.layout, MODEL, other)
            return act, [MODEL, ROW, pointer.write().decode()], other
        target = self.broken if act == "refuse" else other
        self._forget(target)
        self.store.models.set_alias(MODEL, target)
        return ("pull" if act == "pull" else "follow"), [], target

    def wrong(self, before: Pointer, target: int) -> Iterator[str]:
        """What must not be, whenever the process was killed."""
        production = reconcile(self.store, MODEL)
        state = read_state(self.store, MODEL)
        if not (state.is_consistent and production is not None and self._is_whole(production)):
            yield f"production is {state}"
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
        fetch_version(self.store, self.layout, MODEL, reconcile(self.store, MODEL) or 1)

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
