"""The hall of the service: one desk for each model behind one guard, in one worker."""

from typing import Any

from contracts.names import Layout
from services.access.guard import Guard
from services.desk import Desk
from services.faults import Fault
from services.metrics import Metrics
from services.scoring.cache import open_cache
from services.scoring.models import ServedModel, find_pointers, load, models_layout
from services.scoring.traffic import check_writable
from services.settings import ServiceSettings


class Hall:
    """All desks of a worker. Open it in the event loop in which it answers."""

    def __init__(self, settings: ServiceSettings, metrics: Metrics, guard: Guard) -> None:
        self.desks: dict[str, Desk] = {}
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
        return hall

    def seat(self, served: ServedModel) -> Desk | None:
        """Let a model answer from now on; gives the desk that answered for it until now.

        What that one has accepted it answers still: `Desk.retire` it.
        """
        before = self.desks.get(served.pointer.name)
        cache = open_cache(served.pointer, self._settings, self.metrics.cache)
        layout = Layout(self._settings.var)
        desk = Desk(served, layout, self._settings, self.metrics, cache)
        self.desks = self.desks | {served.pointer.name: desk}
        return before

    def unseat(self, name: str) -> Desk:
        """Let a model answer no more; gives its desk."""
        desk = self.desks[name]
        self.desks = {other: each for other, each in self.desks.items() if other != name}
        return desk

    def desk(self, name: str) -> Desk:
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
        for desk in self.desks.values():
            await desk.close()
