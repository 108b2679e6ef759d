"""Processes that act on a registry, and may be killed at a named step.

They are forked from a server that has imported the heavy libraries once: a test of ten
processes would spend most of its minute on imports else. What they do stands here, because
a process imports the file in which it stands: `tests.conftest` would move BENTOML_HOME.
"""

import importlib
import multiprocessing
import os
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
