"""Everything that the operations page shows of one model, and of all models."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from contracts.errors import InvalidDocument, InvalidRecipe, PlatformError
from contracts.manifest import Pointer
from contracts.names import PRODUCTION, Layout, check_model_name
from contracts.verdict import Verdict
from monitoring.alerting.episodes import Alerts
from monitoring.operations.alert_state import RetrainingState, open_alerts, retraining_state
from monitoring.operations.freshness import HOUR_S, Freshness, missing
from monitoring.operations.production_change import ProductionChange, production_change
from monitoring.operations.rollout_state import RolloutState, rollout_state
from monitoring.operations.service_counts import ServiceCounts
from monitoring.operations.traffic_day import TrafficDay, traffic_day
from monitoring.operations.verdict_series import (
    LabelState,
    PerformanceSeries,
    label_state,
    performance_series,
    verdict_freshness,
    verdicts_of,
)
from registry.mlflow_store.models import StoredModel
from registry.pointers import read_pointer
from registry.production import is_managed
from registry.store import Store

TRAFFIC_STALE_S = HOUR_S


@dataclass(frozen=True)
class RegistryView:
    """What the registry says: its models by name, or why it says nothing.

    `others` counts registered models that `slipway train` did not make.
    """

    read_at: datetime
    store: Store | None = None
    models: Mapping[str, StoredModel] | None = None
    others: int = 0
    failure: str = ""


@dataclass(frozen=True)
class ModelOperations:
    """One model: a block for each question, each with the freshness of its source.

    `production` is None if nothing is in production, or the registry does not say;
    `production_freshness` says which. `pointer` names the version that this machine
    serves.
    """

    name: str
    production: ProductionChange | None
    production_freshness: Freshness
    pointer: Pointer | None
    rollout: RolloutState | None
    traffic: TrafficDay | None
    traffic_freshness: Freshness
    verdicts: tuple[Verdict, ...]
    verdict_freshness: Freshness
    labels: LabelState
    performance: PerformanceSeries | None
    alerts: Alerts
    alerts_failure: str
    retrainings: RetrainingState

    @property
    def is_unused(self) -> bool:
        """Whether it is not in production, as far as is known, nor was served or judged here."""
        may_be_production = self.production is not None or self.production_freshness.missing
        is_served = self.pointer is not None or (self.traffic is not None and self.traffic.rows)
        is_known_here = is_served or self.verdicts or self.retrainings.retrainings
        return not (may_be_production or is_known_here)

    @property
    def newest_verdict(self) -> Verdict | None:
        """The verdict on the window that ended last."""
        return self.verdicts[-1] if self.verdicts else None


@dataclass(frozen=True)
class Operations:
    """All models at one moment, and what the registry and the service said then."""

    made_at: datetime
    registry: RegistryView
    service: ServiceCounts
    models: tuple[ModelOperations, ...]


def registry_view(store: Store | PlatformError, now: datetime) -> RegistryView:
    """What the registry says of the models of `slipway train`.

    `store` is an error where it could not be opened.
    """
    if isinstance(store, PlatformError):
        return RegistryView(now, failure=store.what)
    try:
        found = store.models.all()
        ours = {model.name: model for model in found if is_managed(store, model.name)}
    except PlatformError as err:
        return RegistryView(now, failure=err.what)
    return RegistryView(now, store, ours, len(found) - len(ours))


def operations_of(
    layout: Layout,
    registry: RegistryView,
    service: ServiceCounts,
    *,
    hold_s: float,
    now: datetime,
) -> Operations:
    """The state of all models: those of the registry, and those that have files here.

    Models with an open alert come first. Nothing is written but copies of decisions below
    `var/reports`. `hold_s` is the minimum duration of a canary's step.
    """
    names = {*(registry.models or {}), *_names_on_disk(layout)}
    models = [_model(layout, registry, name, hold_s, now) for name in sorted(names)]
    models.sort(key=lambda model: not model.alerts.episodes)
    return Operations(now, registry, service, tuple(models))


def _names_on_disk(layout: Layout) -> set[str]:
    """Models that this machine serves, logged traffic of, or judged."""
    folders = (layout.all_models, layout.all_traffic, layout.verdicts)
    names = {path.name for folder in folders for path in folder.glob("*") if path.is_dir()}
    return {name for name in names if _is_model_name(name)}


def _is_model_name(name: str) -> bool:
    try:
        check_model_name(name)
    except InvalidRecipe:
        return False
    return True


def _model(
    layout: Layout, registry: RegistryView, name: str, hold_s: float, now: datetime
) -> ModelOperations:
    production, production_freshness = _production(layout, registry, name)
    stored = (registry.models or {}).get(name)
    traffic, traffic_freshness = _traffic(layout, name, now)
    verdicts = verdicts_of(layout, name)
    alerts, alerts_failure = open_alerts(layout, name)
    return ModelOperations(
        name=name,
        production=production,
        production_freshness=production_freshness,
        pointer=read_pointer(layout, name),
        rollout=None if stored is None else rollout_state(layout, stored, hold_s=hold_s, now=now),
        traffic=traffic,
        traffic_freshness=traffic_freshness,
        verdicts=tuple(verdicts),
        verdict_freshness=verdict_freshness(name, verdicts),
        labels=label_state(layout, name, verdicts),
        performance=performance_series(verdicts),
        alerts=alerts,
        alerts_failure=alerts_failure,
        retrainings=retraining_state(layout, name),
    )


def _production(
    layout: Layout, registry: RegistryView, name: str
) -> tuple[ProductionChange | None, Freshness]:
    """The change that made the version in production so, and how fresh that is."""
    if registry.store is None or registry.models is None:
        return None, missing(f"the registry does not answer: {registry.failure}", "slipway doctor")
    model = registry.models.get(name)
    if model is None:
        return None, missing("not in this registry", "slipway versions")
    fresh = Freshness(registry.read_at)
    try:
        version = model.aliases.get(PRODUCTION)
        if version is None:
            return None, fresh
        return production_change(registry.store, layout, model, version), fresh
    except PlatformError as err:
        return None, missing(err.what, "slipway doctor")


def _traffic(layout: Layout, name: str, now: datetime) -> tuple[TrafficDay | None, Freshness]:
    try:
        day = traffic_day(layout, name, now)
    except InvalidDocument as err:
        return None, missing(f"the traffic log cannot be read: {err.what}", "slipway doctor")
    if day.last_at is None:
        return day, missing("no prediction in the last 24 hours", "slipway serve")
    return day, Freshness(day.last_at, TRAFFIC_STALE_S, command="slipway serve")
