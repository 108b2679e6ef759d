"""The hall of the service: one desk for each model behind one guard, in one worker.

A model of which a share of the requests is given to a challenger has two desks, and a third that
chooses between them; a model without one is asked directly, and pays nothing for the others.
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
from services.inference.loader import (
    ServedModel,
    find_beside,
    find_pointers,
    find_splits,
    load,
    models_layout,
)
from services.inference.traffic_log import check_writable
from services.metrics import Metrics
from services.serving.endpoint import Desk
from services.serving.split_endpoint import Front, SplitDesk
from services.settings import ServiceSettings

logger = logging.getLogger("bentoml.slipway")


class Hall:
    """All desks of a worker. Open it in the event loop in which it answers."""

    def __init__(self, settings: ServiceSettings, metrics: Metrics, guard: Guard) -> None:
        self.desks: dict[str, Front] = {}
        self.seats: dict[tuple[str, str], Desk] = {}
        self._splits: Mapping[str, TrafficSplit] = {}
        self.metrics = metrics
        self.guard = guard
        self.is_open = True
        self._settings = settings

    @classmethod
    def open(cls, settings: ServiceSettings) -> "Hall":
        """A hall with every model that is pointed at, verified and warm.

        Raises:
            CorruptModel: a model is not what was registered; none is served then.
            Unwritable: traffic could not be logged.

        """
        layout = Layout(settings.var)
        check_writable(layout.var / "traffic")
        metrics = Metrics()
        models = models_layout(settings)
        hall = cls(settings, metrics, Guard(settings))
        for served in [load(models, pointer) for pointer in find_pointers(models)]:
            hall.seat(served)
        hall.divide(find_splits(models))
        for pointer in hall.wanted_challengers(models):
            try:
                hall.seat(load(models, pointer))
            except PlatformError as err:
                hall.count_unfit(pointer, err)
        return hall

    def wanted_challengers(self, models: Layout) -> list[Pointer]:
        """The pointers of challengers that shall answer a share of the requests."""
        return [p for p in find_beside(models, CHALLENGER) if p.name in self._splits]

    def count_unfit(self, pointer: Pointer, err: PlatformError) -> None:
        """Count and tell a version that is pointed at and cannot be served."""
        self.metrics.versions_refused.labels(pointer.name).inc()
        logger.error("refused %s version %d: %s", pointer.name, pointer.version, err)

    def seat(self, served: ServedModel) -> Desk | None:
        """Let a model answer from now on; gives the desk that answered for it until now.

        What that one has accepted it answers still: `Desk.retire` it.
        """
        key = (served.pointer.name, served.pointer.alias)
        before = self.seats.get(key)
        cache = open_cache(served.pointer, self._settings, self.metrics.cache)
        layout = Layout(self._settings.var)
        self.seats[key] = Desk(served, layout, self._settings, self.metrics, cache)
        self._arrange()
        return before

    def unseat(self, name: str, role: str = PRODUCTION) -> Desk:
        """Let a version answer no more; gives its desk."""
        desk = self.seats.pop((name, role))
        self._arrange()
        return desk

    def divide(self, splits: Mapping[str, TrafficSplit]) -> None:
        """Divide the requests of models between production and challenger from now on."""
        if splits != self._splits:
            self._splits = splits
            self._arrange()

    def _arrange(self) -> None:
        """Who is asked for each model: an assignment, so that no request sees half of it."""
        names = [name for name, role in self.seats if role == PRODUCTION]
        self.desks = {name: self._front(name) for name in names}

    def _front(self, name: str) -> Front:
        production = self.seats[name, PRODUCTION]
        challenger = self.seats.get((name, CHALLENGER))
        split = self._splits.get(name)
        if challenger is None or split is None:
            return production
        if challenger.served.pointer.digest != split.challenger_digest:
            return production
        now = partial(self.seats.get, (name, PRODUCTION))
        return SplitDesk(production, challenger, split, self.metrics, now)

    def desk(self, name: str) -> Front:
        """The desk of a model.

        Raises:
            Fault: `unknown_model`, with those there are.

        """
        desk = self.desks.get(name)
        if desk is None:
            known = ", ".join(sorted(self.desks)) or "none"
            raise Fault("unknown_model", f"model: expected one of {known}, got {name[:80]!r}")
        return desk

    def describe(self) -> list[dict[str, Any]]:
        """What every model is, by name."""
        return [desk.describe() for _, desk in sorted(self.desks.items())]

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
        for desk in self.seats.values():
            await desk.close()
