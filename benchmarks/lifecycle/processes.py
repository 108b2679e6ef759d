"""Processes that act on a registry, and may be killed at a named step.

They are forked from a server that has imported the heavy libraries once; otherwise ten
processes would spend most of a minute on imports. Their tasks are defined in files that import
little, because a process imports the file that defines its task.
"""

import importlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from operator import attrgetter
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

TRACKING_URI = "MLFLOW_TRACKING_URI"
tracking_uri = ""
"""The tracking server of the processes; empty for `mlflow.db` in their folder."""

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(HEAVY)


def preload(*libraries: str) -> None:
    """Let the server import more, before it is started by the first process."""
    _context.set_forkserver_preload([*HEAVY, *libraries])


@dataclass(frozen=True)
class Step:
    """Death by SIGKILL right before, or after, the nth call of a function."""

    module: str
    function: str
    before: bool = True
    call: int = 1


def start(act: Callable[..., None], root: Path, *args: Any) -> ForkServerProcess:
    """A process that does `act(*args)` in the folder `root`.

    Its registry is `mlflow.db` there, or the server at `tracking_uri`.
    """
    process = _context.Process(target=_in_folder, args=(root, tracking_uri, act, args))
    process.start()
    return process


def ended(*processes: ForkServerProcess, within_s: float = 60.0) -> list[int | None]:
    """The exit codes, after all have ended; a process that hangs is killed after that time."""
    give_up = time.monotonic() + within_s
    for process in processes:
        process.join(max(0.0, give_up - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
    return [process.exitcode for process in processes]


def _in_folder(root: Path, uri: str, act: Callable[..., None], args: tuple[Any, ...]) -> None:
    os.chdir(root)
    os.environ.pop(TRACKING_URI, None)
    if uri:
        os.environ[TRACKING_URI] = uri
    act(*args)


def die_at(step: Step) -> None:
    """Let this process kill itself, as `kill -9` would, when it comes to a step."""
    module = importlib.import_module(step.module)
    holder, _, name = step.function.rpartition(".")
    owner = attrgetter(holder)(module) if holder else module
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
