"""Our edge and fast path under bare uvicorn, with parts left out or not: `... VARIANT PORT`.

There is no setting that leaves out validation, metrics or the traffic log, and there must not
be one. To know what they cost, this opens the same repository with parts of it left out.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import msgspec
import uvicorn
import uvloop

from benchmarks.serving.edge_parts import VARIANTS, Parts
from benchmarks.serving.server import HOST
from contracts.names import Layout
from contracts.schema import Schema
from contracts.settings import load_settings
from services.auth.guard import Guard
from services.edge.application import Edge
from services.edge.asgi import ASGIScope, Receive, Send
from services.edge.install import install_fast_path
from services.inference import loader
from services.inference.decode import Decoder
from services.inference.model_source import ModelSource
from services.inference.recorder import Recorder
from services.inference.rows import NO_FLAGS, Rows
from services.metrics import Metrics
from services.serving import repository
from services.serving.repository import ModelRepository
from services.settings import ServiceSettings


class Trusting(Decoder):
    """Believes that a body is an object with every feature, each of its type and range."""

    def __init__(self, schema: Schema) -> None:
        super().__init__(schema)
        fields = [(f"f{index}", Any) for index in range(len(self._names))]
        names = {f"f{index}": name for index, name in enumerate(self._names)}
        trusted = msgspec.defstruct("Trusted", fields, rename=names)
        self._trust = msgspec.json.Decoder(trusted).decode

    def one(self, body: bytes) -> Rows:
        """The row, unchecked."""
        row = self._trust(body)
        return Rows((body,), (self._numbers(msgspec.structs.astuple(row)),), NO_FLAGS)


def unlogged(recorder: Recorder, *record: object) -> bool:
    """Stand in for `Recorder._is_recorded` without a traffic log."""
    del recorder, record
    return True


class Uncounted(Metrics):
    """Metrics that count nothing."""

    def __init__(self) -> None:
        """Make none of them."""

    def __getattr__(self, name: str) -> Any:
        return _Nothing()


class _Nothing:
    """A counter, gauge and histogram at once."""

    _upper_bounds = (float("inf"),)

    @property
    def _sum(self) -> "_Nothing":
        return self

    @property
    def _buckets(self) -> "Sequence[_Nothing]":
        return (self,)

    def labels(self, *words: object) -> "_Nothing":
        """Itself."""
        del words
        return self

    def inc(self, amount: float = 1) -> None:
        """Nothing."""

    def observe(self, amount: float) -> None:
        """Nothing."""

    def set(self, amount: float) -> None:
        """Nothing."""


async def serve(parts: Parts, port: int) -> None:
    """Serve the pulled models until the process is asked to end."""
    settings = load_settings(ServiceSettings, os.environ)
    repository = _repository(parts, settings)
    guard = Guard(settings)
    edge = Edge(_ready, repository, guard, settings)
    config = uvicorn.Config(
        edge,
        host=HOST,
        port=port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
    config.load()
    reason = install_fast_path(config, edge)
    if reason:
        raise RuntimeError(f"expected the fast path to be installed, but {reason}")
    await uvicorn.Server(config).serve()
    await guard.close()
    await repository.close()


def _repository(parts: Parts, settings: ServiceSettings) -> ModelRepository:
    """The repository of the service, with some of its parts left out."""
    with ExitStack() as stack:
        if not parts.validates:
            stack.enter_context(patch.object(loader, "Decoder", Trusting))
        if not parts.counts:
            stack.enter_context(patch.object(repository, "Metrics", Uncounted))
        opened = ModelRepository.open(settings, ModelSource(Layout(settings.var)))
    if not parts.logs:
        # For as long as the process lives.
        patch.object(Recorder, "_is_recorded", unlogged).start()
    return opened


async def _ready(scope: ASGIScope, receive: Receive, send: Send) -> None:
    """What the edge hands on: the lifespan, and readiness."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    empty = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 200, "headers": empty})
    await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(VARIANTS[sys.argv[1]], int(sys.argv[2])))
