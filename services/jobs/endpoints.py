"""The versions that a worker holds in memory, each with an endpoint of its own, by digest."""

import asyncio
import logging
from collections import OrderedDict
from dataclasses import replace

from contracts.manifest import Pointer
from contracts.names import Layout
from services.faults import Fault
from services.inference.loader import load_model
from services.inference.model_source import ModelSource
from services.metrics import Metrics
from services.serving.endpoint import SingleEndpoint
from services.serving.repository import scoring_limits
from services.settings import ServiceSettings

MAX_ENDPOINTS = 4
"""Versions in memory; of more, the one that was used least recently is closed."""

logger = logging.getLogger("slipway.jobs")


class JobEndpoints:
    """Opens the endpoints that jobs need, and keeps the last few.

    They are those of the service but for their limits: a chunk may take longer than a request,
    and nothing is cached. Their metrics are those of this process, which nobody scrapes: the
    latency of a chunk says nothing about that of a request.
    """

    def __init__(self, source: ModelSource, settings: ServiceSettings) -> None:
        self._source = source
        self._layout = Layout(settings.var)
        self._settings = replace(
            settings,
            request_rows=settings.jobs_chunk_rows,
            batch_rows=settings.jobs_chunk_rows,
            deadline_s=settings.jobs_chunk_timeout_s,
            scoring_processes=1,
        )
        self._metrics = Metrics()
        self._endpoints: OrderedDict[str, SingleEndpoint] = OrderedDict()

    def production(self, model: str) -> Pointer:
        """The pointer to the version of a model that is in production now.

        Raises:
            Fault: `unknown_model`.

        """
        for pointer in self._source.pointers():
            if pointer.name == model:
                return pointer
        raise Fault("unknown_model", f"model: {model!r} is not in production any more")

    async def open(self, pointer: Pointer) -> SingleEndpoint:
        """The endpoint of a version.

        Raises:
            PlatformError: its model directory is not here, or is not what was registered.

        """
        endpoint = self._endpoints.get(pointer.digest)
        if endpoint is None:
            endpoint = await self._load(pointer)
            self._endpoints[pointer.digest] = endpoint
        self._endpoints.move_to_end(pointer.digest)
        while len(self._endpoints) > MAX_ENDPOINTS:
            _, oldest = self._endpoints.popitem(last=False)
            await oldest.retire()
        return endpoint

    async def close(self) -> None:
        """Close every endpoint."""
        for endpoint in self._endpoints.values():
            await endpoint.close()
        self._endpoints.clear()

    async def _load(self, pointer: Pointer) -> SingleEndpoint:
        directory = self._source.directory(pointer)
        limits = scoring_limits(self._settings)
        served = await asyncio.to_thread(load_model, directory, pointer, limits)
        logger.info("loaded %s version %d", pointer.name, pointer.version)
        return SingleEndpoint(served, self._layout, self._settings, self._metrics)
