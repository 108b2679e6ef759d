"""All models that a worker holds, by name.

A model with a traffic split has an endpoint for each version and a split endpoint above them; any
other model has one endpoint.
"""

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

from contracts.errors import PlatformError
from contracts.manifest import Pointer
from contracts.names import CHALLENGER, PRODUCTION, Layout
from contracts.split import TrafficSplit
from services.auth.guard import Guard
from services.faults import Fault
from services.inference.cache import open_cache
from services.inference.jsonl_log import check_writable
from services.inference.loader import (
    ServedModel,
    find_pointers,
    find_role_pointers,
    find_splits,
    load,
    models_layout,
)
from services.metrics import Metrics
from services.serving.endpoint import SingleEndpoint
from services.serving.split_endpoint import Endpoint, SplitEndpoint
from services.settings import ServiceSettings

logger = logging.getLogger("bentoml.slipway")


class ModelRepository:
    """All endpoints of a worker. Open it in the event loop in which it answers."""

    def __init__(self, settings: ServiceSettings, metrics: Metrics, guard: Guard) -> None:
        self.endpoints: dict[str, Endpoint] = {}
        self.versions: dict[tuple[str, str], SingleEndpoint] = {}
        self._splits: Mapping[str, TrafficSplit] = {}
        self.metrics = metrics
        self.guard = guard
        self.is_open = True
        self._settings = settings

    @classmethod
    def open(cls, settings: ServiceSettings) -> "ModelRepository":
        """A repository with every model that is pointed at, verified and warm.

        Raises:
            CorruptModel: a model is not what was registered; none is served then.
            Unwritable: traffic could not be logged.

        """
        layout = Layout(settings.var)
        check_writable(layout.all_traffic)
        metrics = Metrics()
        models = models_layout(settings)
        repository = cls(settings, metrics, Guard(settings))
        for served in [load(models, pointer) for pointer in find_pointers(models)]:
            repository.load(served)
        repository.set_splits(find_splits(models))
        for pointer in repository.challenger_pointers(models):
            try:
                repository.load(load(models, pointer))
            except PlatformError as err:
                repository.record_load_failure(pointer, err)
        return repository

    def challenger_pointers(self, models: Layout) -> list[Pointer]:
        """The pointers of challengers that shall answer a share of the requests."""
        return [p for p in find_role_pointers(models, CHALLENGER) if p.name in self._splits]

    def record_load_failure(self, pointer: Pointer, err: PlatformError) -> None:
        """Count and tell a version that is pointed at and cannot be served."""
        self.metrics.versions_refused.labels(pointer.name).inc()
        logger.error("refused %s version %d: %s", pointer.name, pointer.version, err)

    def load(self, served: ServedModel) -> SingleEndpoint | None:
        """Let a model answer from now on; gives the endpoint that answered for it until now.

        What that one has accepted it answers still: `SingleEndpoint.retire` it.
        """
        key = (served.pointer.name, served.pointer.alias)
        before = self.versions.get(key)
        cache = open_cache(served.pointer, self._settings, self.metrics.cache)
        layout = Layout(self._settings.var)
        self.versions[key] = SingleEndpoint(served, layout, self._settings, self.metrics, cache)
        self._rebuild()
        return before

    def unload(self, name: str, role: str = PRODUCTION) -> SingleEndpoint:
        """Let a version answer no more; gives its endpoint."""
        endpoint = self.versions.pop((name, role))
        self._rebuild()
        return endpoint

    def set_splits(self, splits: Mapping[str, TrafficSplit]) -> None:
        """Divide the requests of models between production and challenger from now on."""
        if splits != self._splits:
            self._splits = splits
            self._rebuild()

    def _rebuild(self) -> None:
        """Who is asked for each model: an assignment, so that no request sees half of it."""
        names = [name for name, role in self.versions if role == PRODUCTION]
        self.endpoints = {name: self._endpoint_for(name) for name in names}

    def _endpoint_for(self, name: str) -> Endpoint:
        production = self.versions[name, PRODUCTION]
        challenger = self.versions.get((name, CHALLENGER))
        split = self._splits.get(name)
        if challenger is None or split is None:
            return production
        if challenger.served.pointer.digest != split.challenger_digest:
            return production
        now = partial(self.versions.get, (name, PRODUCTION))
        return SplitEndpoint(production, challenger, split, self.metrics, now)

    def endpoint(self, name: str) -> Endpoint:
        """The endpoint of a model.

        Raises:
            Fault: `unknown_model`, with those there are.

        """
        endpoint = self.endpoints.get(name)
        if endpoint is None:
            known = ", ".join(sorted(self.endpoints)) or "none"
            raise Fault("unknown_model", f"model: expected one of {known}, got {name[:80]!r}")
        return endpoint

    def describe(self) -> list[dict[str, Any]]:
        """What every model is, by name."""
        return [endpoint.describe() for _, endpoint in sorted(self.endpoints.items())]

    def count_refused(self, model: str, fault: Fault) -> None:
        """Count a request that was refused; `model` is empty where it was for none."""
        self.metrics.requests.labels(model, fault.status).inc()
        self.metrics.refused.labels(model, fault.code).inc()

    def drain(self) -> None:
        """Not ready from now on; requests that come are answered still."""
        self.is_open = False

    async def close(self) -> None:
        """Not ready any more, and the traffic logs sealed."""
        self.drain()
        await self.guard.close()
        for endpoint in self.versions.values():
            await endpoint.close()
