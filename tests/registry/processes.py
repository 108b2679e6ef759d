"""Processes that act on a registry, and may be killed at a named step.

They are forked from a server that has imported the heavy libraries once: a test of ten
processes would spend most of its minute on imports else. What they do stands here, because
a process imports the file in which it stands: `tests.conftest` would move BENTOML_HOME.
"""

import importlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

HEAVY = [
    "mlflow",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "bentoml._internal.models",
    "bentoml._internal.bento",
    "bentoml.models",
]
"""Libraries only: the server does not find our own folders, and they are light."""

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(HEAVY)


@dataclass(frozen=True)
class Step:
    """Death by SIGKILL right before, or after, the nth call of a function."""

    module: str
    function: str
    before: bool = True
    call: int = 1


def start(act: Callable[..., None], root: Path, *args: Any) -> ForkServerProcess:
    """A process that does `act(*args)` in the folder `root`."""
    process = _context.Process(target=_in_folder, args=(root, act, args))
    process.start()
    return process


def ended(*processes: ForkServerProcess) -> list[int | None]:
    """The exit codes, after all have ended; a process that hangs is killed after a minute."""
    give_up = time.monotonic() + 60
    for process in processes:
        process.join(max(0.0, give_up - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
    return [process.exitcode for process in processes]


def _in_folder(root: Path, act: Callable[..., None], args: tuple[Any, ...]) -> None:
    os.chdir(root)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    act(*args)


def pull_command() -> None:
    """`python -m registry pull`, without its imports."""
    from registry.__main__ import main

    sys.argv = ["registry", "pull"]
    main()


def pull_and_die(step: Step) -> None:
    """The same, killed at a step."""
    die_at(step)
    pull_command()


def die_at(step: Step) -> None:
    """Let this process kill itself, as `kill -9` would, when it comes to a step."""
    module = importlib.import_module(step.module)
    holder, _, name = step.function.rpartition(".")
    owner = getattr(module, holder) if holder else module
    real = getattr(owner, name)
    calls = 0

    def deadly(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == step.call and step.before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        if calls == step.call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, deadly)


def copy_as_bentoml_does_and_die(directory: Path, tag: str) -> None:
    """BentoML's own copy, killed after two files: what an older Slipway left behind."""
    import bentoml

    with bentoml.models.create(tag) as model:
        shutil.copytree(directory, model.path, dirs_exist_ok=True)
        die_at(Step("shutil", "copyfile", call=3))


def import_again_and_again(directory: Path, digest: str, torn: Path) -> None:
    """Import a model four times, and tear what is stored before each."""
    from registry.bento import import_directory
    from registry.directory import verify

    manifest = verify(directory, digest)
    for _ in range(4):
        (torn / "model.onnx").unlink(missing_ok=True)
        import_directory(directory, manifest, 1, digest)


def pull_where_files_stay_small(largest: int) -> None:
    """Pull where no file may become larger than so many bytes, as on a disk that is full.

    What it says is in `said.txt`.
    """
    import resource

    with Path("said.txt").open("w") as said:
        sys.stderr = said
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
        pull_command()


def promote_in_a_circle(actor: str, versions: list[int], seed: int) -> None:
    """Promote one version after the other by command; what was done is in `<actor>.json`."""
    from registry.promote import promote
    from registry.settings import RegistrySettings
    from registry.store import Store

    store, done = Store.open(RegistrySettings()), []
    pauses = random.Random(seed)
    for number, version in enumerate(versions):
        why = f"{actor}-{number}"
        promotion = promote(store, "tiny", version, actor=actor, because=why)
        if promotion.changed:
            done.append([actor, why, promotion.from_version, promotion.to_version])
        time.sleep(pauses.uniform(0, 0.03))
    Path(f"{actor}.json").write_text(json.dumps(done))


def move_by_hand(switch: str, versions: list[int], seed: int) -> None:
    """Move alias or stage as a person does in `mlflow ui`: who gets an error clicks again."""
    import warnings

    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    warnings.simplefilter("ignore")
    uri = f"sqlite:///{Path.cwd() / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    pauses = random.Random(seed)
    for version in versions:
        for _ in range(20):
            try:
                if switch == "alias":
                    client.set_registered_model_alias("tiny", "production", str(version))
                else:
                    client.transition_model_version_stage("tiny", str(version), "Production")
            except MlflowException:
                time.sleep(0.02)
            else:
                break
        time.sleep(pauses.uniform(0, 0.06))


def read_again_and_again(reader: str, times: int) -> None:
    """Ask for Production; the answers, and the lists in which it was marked, are in a file."""
    from registry.production import reconcile
    from registry.settings import RegistrySettings
    from registry.store import Store
    from registry.versions import versions

    store, seen = Store.open(RegistrySettings()), []
    for _ in range(times):
        marked = [v.version for v in versions(store, "tiny") if v.is_production]
        seen.append([reconcile(store, "tiny"), marked])
    Path(f"{reader}.json").write_text(json.dumps(seen))


def promote_and_die(version: int, step: Step) -> None:
    """Promote, and be killed at a step."""
    from registry.promote import promote
    from registry.settings import RegistrySettings
    from registry.store import Store

    store = Store.open(RegistrySettings())
    die_at(step)
    promote(store, "tiny", version, actor="ada")
