"""What a process does that will be killed: each act as our own commands and services do it."""

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.lifecycle.processes import Step, die_at

ANSWERED = "answered.jsonl"
"""The ids of predictions that the service of the act `swap` has answered."""


def act_and_die(act: str, words: list[Any], step: Step | None) -> None:
    """Do an act, and be killed at a step of it (None: not)."""
    logging.disable()
    # What killed processes leave in the folder for temporary files is looked at, too.
    os.environ["TMPDIR"] = str(Path("tmp").absolute())
    ACTS[act](step, *words)


def _train(step: Step | None, name: str, seed: int) -> None:
    """`slipway train`."""
    from registry.settings import RegistrySettings
    from registry.store import Store
    from training.recipe import load_recipe
    from training.run import train_recipe

    store = Store.open(RegistrySettings())
    _arm(step)
    train_recipe(load_recipe(name), store, seed=seed)


def _register(step: Step | None, name: str, run_id: str, source: str, digest: str) -> None:
    """The last step of a training, alone."""
    from registry.register import register_version
    from registry.settings import RegistrySettings
    from registry.store import Store

    store = Store.open(RegistrySettings())
    _arm(step)
    register_version(store, name=name, run_id=run_id, source=source, digest=digest, recipe=name)


def _promote(step: Step | None, name: str, version: int) -> None:
    """`slipway promote --force`: compared on the same rows, decided, recorded, moved."""
    from slipway import context
    from slipway.commands.promote import promote_version

    context.store()
    _arm(step)
    promote_version(name, version, because="a kill", force=True)


def _rollback(step: Step | None, name: str, version: int) -> None:
    """`slipway rollback --to`."""
    from registry.rollback import rollback
    from registry.settings import RegistrySettings
    from registry.store import Store

    store = Store.open(RegistrySettings())
    _arm(step)
    rollback(store, name, to=version, actor="kills", because="a kill")


def _pull(step: Step | None) -> None:
    """`python -m registry pull`."""
    from registry.__main__ import main

    _arm(step)
    sys.argv = ["registry", "pull"]
    main()


def _follow(step: Step | None) -> None:
    """One look of `slipway follow`."""
    from contracts.names import Layout
    from registry.follow import Follower
    from registry.rollout import Rollout
    from registry.settings import RegistrySettings
    from registry.store import Store
    from registry.trial import service_trial

    wishes = RegistrySettings()
    layout = Layout(wishes.var)
    trial, rollout = service_trial(wishes.trial_timeout_s), Rollout(layout, wishes.canary_hold_s)
    follower = Follower(lambda: Store.open(wishes), layout, trial, 1.0, rollout)
    _arm(step)
    follower.settle()


def _swap(step: Step | None, name: str, row: dict[str, Any], pointer: str) -> None:
    """A worker that answers, sees the pointer move, exchanges the version, and answers."""
    asyncio.run(_exchange(step, name, json.dumps(row).encode(), pointer))


async def _exchange(step: Step | None, name: str, row: bytes, pointer: str) -> None:
    from contracts.names import Layout
    from services.inference.model_source import ModelSource
    from services.inference.pending import Request
    from services.protocols.row import PredictRow
    from services.serving import endpoint
    from services.serving.repository import ModelRepository
    from services.serving.watcher import PointerWatcher
    from services.settings import ServiceSettings

    settings = ServiceSettings(keys="off")
    source = ModelSource(Layout(settings.var))
    repository = ModelRepository.open(settings, source)
    watcher = PointerWatcher(repository, source, settings)
    await watcher.poll()
    with Path(ANSWERED).open("ab", buffering=0) as answered:  # noqa: ASYNC230 - a line, at once

        async def ask() -> None:
            request = Request(row, "kills", b"", time.monotonic())
            body = await endpoint.ask(repository.model(name).endpoint, PredictRow, request)
            answer = json.loads(body)
            answered.write(
                json.dumps([answer["prediction_id"], answer["version"]]).encode() + b"\n"
            )

        await ask()
        place = Layout(settings.var).pointer(name)
        beside = place.with_name(f".incoming-{os.getpid()}-00000000")
        beside.write_text(pointer)
        beside.replace(place)
        _arm(step)
        waiting = [asyncio.create_task(ask()) for _ in range(3)]
        await watcher.poll()
        await asyncio.gather(*waiting)
        await ask()
        await asyncio.sleep(0.1)
        await repository.close()


def _arm(step: Step | None) -> None:
    Path("armed").touch()
    if step is not None:
        die_at(step)


ACTS: dict[str, Callable[..., None]] = {
    "train": _train,
    "register": _register,
    "promote": _promote,
    "rollback": _rollback,
    "pull": _pull,
    "follow": _follow,
    "swap": _swap,
}
