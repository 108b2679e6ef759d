"""The BentoML service: `bentoml serve` and `bentoml build` begin here.

BentoML fixes a service's methods, and so its documentation, when the module is imported; so
this is the one module that reads something on import: the settings, and the pointers and
manifests of the models below `var/models`, as they were pulled. It is imported twice: by the
process that starts the workers, before the pull, and by each worker, after it.
"""

import asyncio
import gc
import os
import sys
from typing import Any

import bentoml
import click
from bentoml.exceptions import BentoMLException

from contracts.errors import PlatformError
from contracts.manifest import Manifest, Pointer
from contracts.names import Layout
from contracts.settings import load_settings
from services.auth import guard
from services.bento import deployment_hook
from services.bento.client_api import api_methods
from services.bento.docs_page import DocumentedService, welcome_text
from services.bento.graceful_stop import delay_stop
from services.bento.metrics_folder import remove_metrics_of_the_dead, use_own_metrics_folder
from services.bento.packing import NOTHING, PulledModel
from services.bento.port import check_port
from services.edge.application import App, Edge
from services.edge.install import Hoist
from services.inference.loader import (
    find_directory,
    find_pointers,
    models_layout,
    verified_manifest,
)
from services.serving.repository import ModelRepository
from services.serving.watcher import PointerWatcher
from services.settings import ServiceSettings

HOST = "127.0.0.1"
PORT = 3000
GC_NEW_OBJECTS = 50_000
"""So many new objects more before the garbage collector looks at them."""


def _read_settings() -> ServiceSettings:
    try:
        return load_settings(ServiceSettings, os.environ)
    except PlatformError as err:
        # BentoML's command line shows its own errors as a line, all others as a traceback.
        raise BentoMLException(str(err)) from err


def _read_models(layout: Layout) -> list[tuple[Pointer, Manifest]]:
    """What can be read; for the rest `prepare` says what is wrong, after a pull mended it."""
    try:
        pointers = find_pointers(layout)
        return [(p, verified_manifest(find_directory(layout, p), p)) for p in pointers]
    except PlatformError:
        return []


use_own_metrics_folder()
SETTINGS = _read_settings()
_MODELS = _read_models(models_layout(SETTINGS))


class _Predictor:
    """Every Production model of this installation, with its own docs below."""

    def __init__(self) -> None:
        self.repository: ModelRepository | None = None
        self.watch: asyncio.Task[None] | None = None

    @bentoml.on_deployment
    @staticmethod
    def prepare() -> None:
        """Before workers start: pull and try; a person sees why it cannot start."""
        try:
            host, port = _address()
            # The workers, who cannot know the address, read what was settled here.
            os.environ["SLIPWAY_SERVICE_KEYS"] = guard.resolve_mode(SETTINGS, host)
            if host is not None:
                check_port(host, port)
            remove_metrics_of_the_dead()
            deployment_hook.prepare(SETTINGS)
        except PlatformError as err:
            sys.stderr.write(f"error: {err}\n")
            sys.exit(err.exit_code)

    @bentoml.on_startup
    async def open(self) -> None:
        """Load and warm the models, in the event loop that will serve them."""
        self.repository = ModelRepository.open(SETTINGS)
        delay_stop(self.repository.drain, SETTINGS.drain_s)
        freeze_heap()
        _REPOSITORIES.append(self.repository)
        if deployment_hook.is_followed(SETTINGS):
            self.watch = asyncio.create_task(PointerWatcher(self.repository, SETTINGS).run())

    @bentoml.on_shutdown
    async def close(self) -> None:
        """Seal the traffic log."""
        if self.watch is not None:
            self.watch.cancel()
        if self.repository is not None:
            await self.repository.close()

    async def __is_ready__(self) -> bool:
        """Whether verified and warm models wait for requests."""
        return (
            self.repository is not None
            and self.repository.is_open
            and bool(self.repository.endpoints)
        )


def freeze_heap() -> None:
    """Let the garbage collector pass over what was loaded at the start.

    Libraries leave a heap of a million objects that never die; going through them again and
    again is most of a slow request. Requests themselves leave few cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_NEW_OBJECTS)


_REPOSITORIES: list[ModelRepository] = []
"""The repository of this worker, for the edge, which BentoML makes before the service."""


def _address() -> tuple[str | None, int]:
    """Where `bentoml serve` was told to listen; None if something else starts the service."""
    command = click.get_current_context(silent=True)
    if command is None or "port" not in command.params:
        return None, PORT
    return str(command.params.get("host") or HOST), int(command.params["port"] or PORT)


def _repository_of(service: Any) -> ModelRepository:
    repository: ModelRepository = service.repository
    return repository


def _make_edge(inner: App) -> Edge:
    return Edge(inner, _REPOSITORIES[-1], SETTINGS)


for _name, _method in api_methods([manifest for _, manifest in _MODELS], _repository_of).items():
    setattr(_Predictor, _name, _method)

Predictor = bentoml.service(
    name="predictor",
    service_class=DocumentedService,
    workers=SETTINGS.workers,
    http={"host": HOST, "port": PORT},
    traffic={"timeout": 60},
    metrics={"enabled": True, "namespace": "bentoml_service"},
    logging={"access": {"enabled": False}},
    envs=[
        {"name": "BENTOML_DO_NOT_TRACK", "value": "True"},
        {"name": "DO_NOT_TRACK", "value": "1"},
    ],
)(_Predictor)
_TAGS = [pointer.bento_tag for pointer, _ in _MODELS] or [NOTHING]
Predictor.models.extend(PulledModel(tag) for tag in _TAGS)
Predictor.manifests = [manifest for _, manifest in _MODELS]
Predictor.welcome = welcome_text([p for p, _ in _MODELS], [m for _, m in _MODELS])
Predictor.add_asgi_middleware(Hoist, make_edge=_make_edge)
