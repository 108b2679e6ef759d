"""The BentoML service: `bentoml serve` and `bentoml build` begin here.

BentoML fixes a service's methods, and so its documentation, when the module is imported; so
this is the one module that reads something on import: the pointers and manifests of the
models below `var/models`, as they were pulled.
"""

import logging
import os
import sys
from typing import Any

import bentoml

from contracts import settings as settings_loader
from contracts.errors import PlatformError
from services import hook
from services.api import api_methods
from services.edge import App, Edge
from services.hall import Hall
from services.hoist import Hoist
from services.models import find_directory, find_pointers, models_layout, verified_manifest
from services.packing import NOTHING, PulledModel
from services.settings import ServiceSettings
from services.welcome import WelcomingService, welcome_text

logger = logging.getLogger("slipway.services")

SETTINGS = settings_loader.load(ServiceSettings, os.environ)
_LAYOUT = models_layout(SETTINGS.var)
_POINTERS = find_pointers(_LAYOUT)
_MANIFESTS = [verified_manifest(find_directory(_LAYOUT, p), p) for p in _POINTERS]


class _Predictor:
    """Every Production model of this installation, with its own docs below."""

    def __init__(self) -> None:
        self.hall: Hall | None = None

    @bentoml.on_deployment
    @staticmethod
    def prepare() -> None:
        """Before workers start: pull and verify; a person sees why it cannot start."""
        try:
            hook.prepare(SETTINGS)
        except PlatformError as err:
            sys.stderr.write(f"error: {err}\n")
            sys.exit(err.exit_code)

    @bentoml.on_startup
    async def open(self) -> None:
        """Load and warm the models, in the event loop that will serve them."""
        self.hall = Hall.open(SETTINGS)
        _HALLS.append(self.hall)

    @bentoml.on_shutdown
    def close(self) -> None:
        """Seal the traffic log."""
        if self.hall is not None:
            self.hall.close()

    def __is_ready__(self) -> bool:
        """Whether verified and warm models wait for requests."""
        return self.hall is not None and self.hall.is_open and bool(self.hall.desks)


_HALLS: list[Hall] = []
"""The hall of this worker, for the edge, which BentoML makes before the service."""


def _hall_of(service: Any) -> Hall:
    hall: Hall = service.hall
    return hall


def _make_edge(inner: App) -> Edge:
    return Edge(inner, _HALLS[-1], SETTINGS)


for _name, _method in api_methods(_MANIFESTS, _hall_of).items():
    setattr(_Predictor, _name, _method)

Predictor = bentoml.service(
    name="predictor",
    service_class=WelcomingService,
    workers=SETTINGS.workers,
    http={"host": "127.0.0.1", "port": 3000},
    traffic={"timeout": 60},
    metrics={"enabled": True, "namespace": "bentoml_service"},
    logging={"access": {"enabled": False}},
    envs=[
        {"name": "BENTOML_DO_NOT_TRACK", "value": "True"},
        {"name": "DO_NOT_TRACK", "value": "1"},
    ],
)(_Predictor)
Predictor.models.extend(PulledModel(tag) for tag in [p.bento_tag for p in _POINTERS] or [NOTHING])
Predictor.welcome = welcome_text(_POINTERS, _MANIFESTS)
Predictor.add_asgi_middleware(Hoist, make_edge=_make_edge)
