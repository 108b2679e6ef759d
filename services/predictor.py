"""The BentoML service: `bentoml serve` and `bentoml build` begin here.

BentoML fixes the methods of a service when this module is imported. So this is the one module
that reads something on import: the settings, and the pointers and manifests below `var/models`. It
is imported twice: by the process that starts the workers, before the pull, and by each worker.
"""

import asyncio
import contextlib
import gc
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import bentoml
import click
import msgspec
from bentoml.exceptions import BentoMLException

from contracts.errors import PlatformError
from contracts.manifest import Manifest, Pointer
from contracts.settings import load_settings
from services.auth import guard as key_guard
from services.auth.guard import Guard
from services.bento import deployment_hook
from services.bento.bento_context import is_followed, model_source
from services.bento.client_api import api_methods
from services.bento.cross_origin import cross_origin_options
from services.bento.graceful_stop import delay_stop, name_parent, stop_with_parent
from services.bento.grpc_address import grpc_host, prepare_grpc
from services.bento.json_logs import format_logs
from services.bento.metrics_folder import remove_dead_metrics_folders, use_own_metrics_folder
from services.bento.metrics_page import prepare_metrics_page
from services.bento.packed_models import NOTHING, PulledModel
from services.bento.port import check_port
from services.edge.application import Edge
from services.edge.asgi import App
from services.edge.docs_page import DOCS_PATH, docs_page
from services.edge.install import EdgeInstaller
from services.edge.job_routes import JobRoutes
from services.edge.openapi import OpenApiPage
from services.edge.routes import VERSION, Page, TextBody
from services.inference.loader import load_manifest
from services.inference.model_source import ModelSource
from services.jobs.figures import JobFigures
from services.jobs.queue import JobQueue
from services.jobs.stores import open_queue
from services.serving.repository import ModelRepository
from services.serving.watchdog import start_watchdog
from services.serving.watcher import PointerWatcher
from services.settings import ServiceSettings

if TYPE_CHECKING:
    from services.grpc.server import GrpcServer

HOST = "127.0.0.1"
PORT = 3000
GC_THRESHOLD = 50_000
"""Allocations between two runs of the garbage collector."""


def _read_settings() -> ServiceSettings:
    try:
        return load_settings(ServiceSettings, os.environ)
    except PlatformError as err:
        # BentoML's command line shows its own errors as a line, all others as a traceback.
        raise BentoMLException(str(err)) from err


def _read_models(source: ModelSource) -> list[tuple[Pointer, Manifest]]:
    """The readable models; `prepare` reports what is wrong with the others, after the pull."""
    found: list[tuple[Pointer, Manifest]] = []
    for pointer in source.pointers():
        with contextlib.suppress(PlatformError, OSError):
            found.append((pointer, load_manifest(source.directory(pointer), pointer)))
    return found


use_own_metrics_folder()
SETTINGS = _read_settings()
format_logs(SETTINGS.log_format)
_MODELS = _read_models(model_source(SETTINGS))


@dataclass(frozen=True)
class _Worker:
    """What this worker opened, for the edge, which BentoML makes before the service."""

    repository: ModelRepository
    guard: Guard
    jobs: JobQueue


_WORKERS: list[_Worker] = []


class _Predictor:
    """Serves every model in production of this installation."""

    def __init__(self) -> None:
        self.worker: _Worker | None = None
        self.tasks: list[asyncio.Task[None]] = []
        self.grpc: GrpcServer | None = None

    @bentoml.on_deployment
    @staticmethod
    def prepare() -> None:
        """Before workers start: check that models can be served; exits with the reason if not."""
        name_parent()
        format_logs(SETTINGS.log_format)
        try:
            host, port = _address()
            hosts = [host, *([grpc_host(SETTINGS, host)] if SETTINGS.grpc_port else [])]
            # The workers, which do not know the address, read the resolved mode.
            os.environ["SLIPWAY_SERVICE_KEYS"] = key_guard.resolve_mode(SETTINGS, *hosts)
            if host is not None:
                check_port(host, port)
            prepare_grpc(SETTINGS, host, port, _options())
            remove_dead_metrics_folders()
            deployment_hook.prepare(SETTINGS)
        except PlatformError as err:
            sys.stderr.write(f"error: {err}\n")
            sys.exit(err.exit_code)

    @bentoml.on_startup
    async def open(self) -> None:
        """Load and warm the models, in the event loop that will serve them."""
        jobs = open_queue(SETTINGS)
        figures = JobFigures(jobs)
        prepare_metrics_page(lambda: figures.page)
        source = model_source(SETTINGS)
        repository = ModelRepository.open(SETTINGS, source)
        self.worker = _Worker(repository, Guard(SETTINGS), jobs)
        _WORKERS.append(self.worker)
        delay_stop(repository.drain, SETTINGS.drain_s)
        stop_with_parent()
        start_watchdog(repository, SETTINGS.deadline_s)
        if SETTINGS.grpc_port:
            from services.grpc.server import GrpcServer

            self.grpc = GrpcServer(repository, self.worker.guard, SETTINGS)
            await self.grpc.start()
        freeze_heap()
        self.tasks.append(asyncio.create_task(figures.run()))
        if is_followed(SETTINGS):
            watcher = PointerWatcher(repository, source, SETTINGS)
            self.tasks.append(asyncio.create_task(watcher.run()))

    @bentoml.on_shutdown
    async def close(self) -> None:
        """Answer the calls of gRPC that were taken, then close the logs."""
        if self.grpc is not None:
            await self.grpc.stop()
        for task in self.tasks:
            task.cancel()
        if self.worker is not None:
            await self.worker.guard.close()
            await asyncio.to_thread(self.worker.jobs.close)
            await self.worker.repository.close()

    async def __is_ready__(self) -> bool:
        """Whether verified and warm models wait for requests."""
        if self.worker is None:
            return False
        return self.worker.repository.is_ready and bool(self.worker.repository.models)


def freeze_heap() -> None:
    """Exempt what was loaded at start-up from garbage collection.

    Libraries leave a heap of a million objects that are never freed; scanning them again and
    again is most of a slow request. Requests themselves leave few cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)


def _address() -> tuple[str | None, int]:
    """Where `bentoml serve` listens; the host is None if something else starts the service.

    BentoML takes what no option names from its configuration, which `BENTOML_CONFIG` and
    `BENTOML_CONFIG_OPTIONS` override.
    """
    options = _options()
    if "port" not in options:
        return None, PORT
    configured_host, configured_port = _configured_address()
    host = options.get("host") or configured_host
    port = options["port"] or configured_port
    return (str(host) if host else None), int(port)


def _options() -> Mapping[str, Any]:
    """The options of the command that runs."""
    command = click.get_current_context(silent=True)
    return {} if command is None else command.params


def _configured_address() -> tuple[str | None, int]:
    """Host and port of BentoML's configuration; the host is None if it cannot be asked."""
    try:
        from bentoml._internal.configuration.containers import BentoMLContainer

        return BentoMLContainer.http.host.get(), BentoMLContainer.http.port.get()
    except (ImportError, AttributeError):
        return None, PORT


def _make_edge(inner: App) -> Edge:
    worker = _WORKERS[-1]
    pages: dict[str, Page] = {
        DOCS_PATH: docs_page,
        "/docs.json": OpenApiPage(
            worker.repository, _version, has_keys=not worker.guard.is_off, has_jobs=True
        ),
        "/schema.json": lambda: _client_schema(worker.repository),
        VERSION: lambda: TextBody(_version().encode()),
    }
    cors = cross_origin_options()
    jobs = JobRoutes(worker.jobs, worker.repository, SETTINGS)
    return Edge(inner, worker.repository, worker.guard, SETTINGS, pages, cors, jobs)


def _version() -> str:
    """The version of the Bento that runs."""
    return str(Predictor.bento.tag.version) if Predictor.bento else "checkout"


def _client_schema(repository: ModelRepository) -> bytes:
    """What BentoML's clients ask for: the methods for the models that are served now."""
    Predictor.apis = api_methods(model.manifest for model in repository.models.values())
    return msgspec.json.encode(Predictor.schema())


for _name, _method in api_methods([manifest for _, manifest in _MODELS]).items():
    setattr(_Predictor, _name, _method)

Predictor: Any = bentoml.service(
    name="predictor",
    workers=SETTINGS.workers,
    http={"host": HOST, "port": PORT},
    traffic={"timeout": 60},
    metrics={"enabled": True, "namespace": "bentoml_service"},
    logging={"access": {"enabled": False}},
    envs=[
        {"name": "BENTOML_DO_NOT_TRACK", "value": "True"},
        {"name": "DO_NOT_TRACK", "value": "1"},
        {"name": "ORT_DISABLE_TELEMETRY", "value": "1"},
    ],
)(_Predictor)
_TAGS = [pointer.bento_tag for pointer, _ in _MODELS] or [NOTHING]
Predictor.models.extend(PulledModel(tag) for tag in _TAGS)
Predictor.add_asgi_middleware(EdgeInstaller, make_edge=_make_edge)
