"""The model repository: all models that one worker holds, by name.

A model with a traffic split has an endpoint for each version and a split endpoint above them; any
other model has one endpoint, and its requests pay nothing for splits.
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial

from contracts.manifest import Pointer
from contracts.names import CHALLENGER, PRODUCTION, Layout
from contracts.split import TrafficSplit
from services.faults import MAX_SHOWN_CHARS, Fault
from services.inference.cache import open_cache
from services.inference.jsonl_log import check_writable
from services.inference.loader import ServedModel, load_model
from services.inference.model_source import ModelSource
from services.metrics import Metrics
from services.scoring_process.process import ScoringLimits
from services.serving.endpoint import Endpoint, SingleEndpoint
from services.serving.label_log import LabelLog
from services.serving.load_failures import LoadFailures
from services.serving.model import Model, ModelDescription
from services.serving.split_endpoint import SplitEndpoint
from services.settings import ServiceSettings

logger = logging.getLogger("bentoml.slipway")


class ModelRepository:
    """The models of a worker. Open it in the event loop that will answer.

    `models`: by name, those with a version in production. `versions`: every loaded version, by
    model name and role. `splits`: by model name. `failures`: what could not be loaded.
    `revision` counts the changes of `models`.
    """

    def __init__(self, settings: ServiceSettings, metrics: Metrics) -> None:
        self.models: Mapping[str, Model] = {}
        self.versions: dict[tuple[str, str], SingleEndpoint] = {}
        self.revision = 0
        self.metrics = metrics
        self.failures = LoadFailures(metrics)
        self.is_open = True
        self._settings = settings
        self.limits = scoring_limits(settings)
        self._layout = Layout(settings.var)
        self.splits: Mapping[str, TrafficSplit] = {}
        self._reported_splits: set[tuple[str, str]] = set()
        self._labels: dict[str, LabelLog] = {}
        self._listeners: list[Callable[[], None]] = []

    @classmethod
    def open(cls, settings: ServiceSettings, source: ModelSource) -> "ModelRepository":
        """A repository with every model that has a pointer, verified and warm.

        A model that cannot be loaded is reported, and keeps no other from being served.

        Raises:
            Unwritable: traffic could not be logged.

        """
        check_writable(Layout(settings.var).all_traffic)
        repository = cls(settings, Metrics())
        repository.load_all(source)
        return repository

    def load_all(self, source: ModelSource) -> None:
        """Load every version that a pointer names; those that fail are recorded."""
        for name, err in source.unreadable_pointers().items():
            self.failures.record_unreadable(name, err)
        self._load_each(source, source.pointers())
        self.set_splits(source.splits())
        self._load_each(source, self.challenger_pointers(source))

    def _load_each(self, source: ModelSource, pointers: list[Pointer]) -> None:
        for pointer in pointers:
            try:
                self.load(load_model(source.directory(pointer), pointer, self.limits))
            except Exception as err:  # noqa: BLE001 - however one model fails, the others serve
                self.failures.record(pointer, err)

    @property
    def is_ready(self) -> bool:
        """Whether requests may be sent here: not while draining, nor while none can be logged."""
        return self.is_open and all(each.can_record() for each in self.versions.values())

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener` now, and after each change of `models`."""
        self._listeners.append(listener)
        listener()

    def challenger_pointers(self, source: ModelSource) -> list[Pointer]:
        """The pointers of challengers that have a traffic split."""
        return [p for p in source.role_pointers(CHALLENGER) if p.name in self.splits]

    def load(self, served: ServedModel) -> SingleEndpoint | None:
        """Answer with this version from now on; returns the endpoint that it replaces.

        That one still answers what it has accepted: call `SingleEndpoint.retire`.
        """
        key = (served.pointer.name, served.pointer.alias)
        replaced = self.versions.get(key)
        cache = open_cache(served.pointer, self._settings, self.metrics.cache, served.session.dtype)
        self.versions[key] = SingleEndpoint(
            served, self._layout, self._settings, self.metrics, cache
        )
        self.failures.end(*key)
        self._rebuild()
        return replaced

    def unload(self, name: str, role: str = PRODUCTION) -> SingleEndpoint:
        """Stop answering with a version; returns its endpoint, which the caller retires."""
        endpoint = self.versions.pop((name, role))
        self._rebuild()
        return endpoint

    def set_splits(self, splits: Mapping[str, TrafficSplit]) -> None:
        """Split the traffic of models, by name, between production and challenger."""
        if splits != self.splits:
            self.splits = splits
            self._rebuild()

    def model(self, name: str) -> Model:
        """A model by name.

        Raises:
            Fault: `unknown_model`, listing the known ones.

        """
        model = self.models.get(name)
        if model is None:
            raise self.unknown_model(name)
        return model

    def unknown_model(self, name: str) -> Fault:
        """The fault for a model that is not served, listing those that are."""
        known = ", ".join(sorted(self.models)) or "none"
        got = repr(name[:MAX_SHOWN_CHARS])
        hint = "; GET /models says why it is not served" if self.failures.has(name) else ""
        return Fault("unknown_model", f"model: expected one of {known}, got {got}{hint}")

    def describe(self) -> list[ModelDescription]:
        """What every model is, by name."""
        return [model.describe() for _, model in sorted(self.models.items())]

    def drain(self) -> None:
        """Report not ready from now on; requests are still answered."""
        self.is_open = False

    async def close(self) -> None:
        """Report not ready, and close the logs."""
        self.drain()
        for endpoint in self.versions.values():
            await endpoint.close()
        for labels in self._labels.values():
            labels.close()

    def _rebuild(self) -> None:
        """Replace the table of models: one assignment, so that no request sees half a change."""
        names = [name for name, role in self.versions if role == PRODUCTION]
        self.models = {name: self._model(name) for name in names}
        self.revision += 1
        self._report_splits()
        for listener in self._listeners:
            listener()

    def _report_splits(self) -> None:
        """Set the gauge of each challenger's share; a version that has none any more gets 0."""
        found = {(name, ""): 0.0 for name in self.models}
        for name, model in self.models.items():
            if model.challenger is not None:
                found[name, str(model.challenger.version)] = model.weight
        for key in self._reported_splits | found.keys():
            self.metrics.split_weight.labels(*key).set(found.get(key, 0.0))
        self._reported_splits |= found.keys()

    def _model(self, name: str) -> Model:
        production = self.versions[name, PRODUCTION]
        labels = self._label_log(name)
        challenger = self.versions.get((name, CHALLENGER))
        split = self.splits.get(name)
        if (
            challenger is None
            or split is None
            or challenger.served.pointer.digest != split.challenger_digest
        ):
            return Model(production, production, labels)
        current = partial(self.versions.get, (name, PRODUCTION))
        endpoint: Endpoint = SplitEndpoint(production, challenger, split, self.metrics, current)
        return Model(endpoint, production, labels, challenger, split.weight)

    def _label_log(self, name: str) -> LabelLog:
        if name not in self._labels:
            self._labels[name] = LabelLog(name, self._layout, self._settings, self.metrics)
        return self._labels[name]


def scoring_limits(settings: ServiceSettings) -> ScoringLimits:
    """The limits of scoring processes."""
    return ScoringLimits(
        settings.scoring_processes, settings.deadline_s, settings.scoring_growth_bytes
    )
