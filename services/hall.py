"""The hall of the service: one desk for each model, in one worker."""

from collections.abc import Mapping

from contracts.names import Layout
from services.desk import Desk
from services.faults import Fault
from services.metrics import Metrics
from services.models import find_pointers, load, models_layout
from services.settings import ServiceSettings
from services.traffic import check_writable


class Hall:
    """All desks of a worker. Open it in the event loop in which it answers."""

    def __init__(self, desks: Mapping[str, Desk], metrics: Metrics) -> None:
        self.desks = desks
        self.metrics = metrics
        self.is_open = True

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
        models = models_layout(settings.var)
        served = [load(models, pointer) for pointer in find_pointers(models)]
        desks = {m.pointer.name: Desk(m, layout, settings, metrics) for m in served}
        return cls(desks, metrics)

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

    def only_desk(self) -> Desk:
        """The desk of the only model.

        Raises:
            Fault: `unknown_model`, if there are several.

        """
        if len(self.desks) == 1:
            return next(iter(self.desks.values()))
        known = ", ".join(f"/models/{name}/predict" for name in sorted(self.desks)) or "none"
        raise Fault("unknown_model", f"several models are served: expected one of {known}")

    def count_refused(self, model: str, fault: Fault) -> None:
        """Count a request that was refused; names that are no model's count as one."""
        name = model if model in self.desks else ""
        self.metrics.requests.labels(name, fault.status).inc()
        self.metrics.refused.labels(name, fault.code).inc()

    def drain(self) -> None:
        """Not ready from now on; requests that come are answered still."""
        self.is_open = False

    def close(self) -> None:
        """Not ready any more, and the traffic logs sealed."""
        self.drain()
        for desk in self.desks.values():
            desk.close()
