"""Where the command line meets the rooms: what they need, and how their results look."""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts import settings
from contracts.names import Layout
from contracts.verdict import Finding, Verdict
from slipway import output

if TYPE_CHECKING:
    from contracts.decision import Check, Decision
    from contracts.verdict import Acceptance
    from monitoring.labels.ingest import AddedLabels
    from registry.gate import Comparison
    from registry.history import Event
    from registry.listing import VersionInfo
    from registry.promote import Promotion
    from registry.settings import RegistrySettings
    from registry.store import Store
    from slipway.commands.status import ModelState
    from slipway.load_client import LoadResult
    from training.run import TrainedVersion

TRAINED_COLUMNS = ("model", "version", "metric", "value", "95 % interval", "parity", "gates")
VERSION_COLUMNS = ("model", "version", "production", "aliases", "stage", "created", "run")
EVENT_COLUMNS = ("when", "kind", "from", "to", "who", "decision", "why")
LOAD_COLUMNS = ("model", "requests", "failed", "requests/s", "p50 ms", "p99 ms")
FINDING_COLUMNS = ("column", "rows", "p-value", "effect", "size", "limit", "drifted")


STATE_COLUMNS = ("model", "production", "pointed at", "answers", "refused")
BESIDE_COLUMNS = ("model", "challenger", "wanted", "shadow", "canary")


def state_row(state: "ModelState") -> tuple[Any, ...]:
    """Where one model stands."""
    return (state.name, state.production, state.pointed, state.answers, state.refused)


def show_beside(states: "Sequence[ModelState]") -> None:
    """Print which versions there are beside production; nothing where there are none."""
    rows = [(s.name, s.challenger, s.wanted, s.shadow, s.canary) for s in states]
    if any(any(row[1:]) for row in rows):
        output.table("Beside production", BESIDE_COLUMNS, [row for row in rows if any(row[1:])])


def registry_settings() -> "RegistrySettings":
    """What the environment says of the registry."""
    from registry.settings import RegistrySettings

    return settings.load(RegistrySettings, os.environ)


def store() -> "Store":
    """An open door to MLflow."""
    from registry.store import Store

    return Store.open(registry_settings())


def layout() -> Layout:
    """Where models, traffic and reports lie."""
    return Layout(Path(registry_settings().var))


def actor() -> str:
    """Who is typing, for the history."""
    return registry_settings().actor


def send(
    url: str, model: str, n: int, *, drifted: bool, connections: int, seed: int, key: str = ""
) -> "LoadResult":
    """Send `n` rows like (or deliberately unlike) the recipe's data to a service."""
    from slipway.load_client import send as send_rows
    from training.recipe import load_recipe
    from training.simulate import drifted as drifted_rows
    from training.simulate import like_training

    recipe = load_recipe(model)
    rows = (drifted_rows if drifted else like_training)(recipe, n, seed)
    return send_rows(url, model, rows, connections, key)


def judge(
    model: str,
    start: datetime,
    end: datetime,
    now: datetime,
    *,
    version: int | None = None,
    segments: Sequence[str] | None = None,
    workspace: bool = False,
) -> Verdict:
    """The verdict on a window of a model's traffic; its report is drawn and logged."""
    from monitoring.monitor import run
    from monitoring.settings import MonitoringSettings

    wishes = settings.load(MonitoringSettings, os.environ)
    return run(
        store(),
        layout(),
        model,
        start=start,
        end=end,
        settings=wishes,
        now=now,
        version=version,
        segments=segments,
        workspace=workspace,
    )


def tell_unsent(model: str) -> None:
    """Say, beside the results, which messages of alarms have not reached everyone."""
    from monitoring.alerting.outbox import pending

    for message in pending(layout(), model):
        sys.stderr.write(
            f"not delivered yet: {message.title} ({message.failure or 'not tried'})\n"
            "help: it is tried again at the next window; see SLIPWAY_MONITORING_NOTIFY\n"
        )


def promote(
    model: str,
    version: int | None,
    *,
    because: str,
    force: bool,
    demand: "Callable[[int, int], Check] | None" = None,
) -> "Promotion":
    """Through the gate, compared with Production on the same rows; the decision is logged.

    `demand` is one more check of challenger and Production.
    """
    from registry.promote import promote as promote_version

    door = store()

    def compare(challenger: int, production: int) -> "Comparison":
        from training.evaluation.compare import compare_by_name

        found = compare_by_name(door, layout(), model, challenger, production)
        if demand is None:
            return found
        return replace(found, checks=(*found.checks, demand(challenger, production)))

    def keep(decision: "Decision") -> None:
        from training.evaluation.decision_log import log_decision

        log_decision(door, decision)

    return promote_version(
        door,
        model,
        version,
        actor=actor(),
        because=because,
        force=force,
        compare=compare,
        keep=keep,
    )


def keep_judging(
    model: str,
    every: str,
    *,
    segments: Sequence[str] | None,
    json_wanted: bool,
    retrain: bool = False,
    workspace: bool = False,
) -> None:
    """Judge each window of a model's traffic once it is over, until Ctrl+C.

    With `retrain` a verdict that calls for it is answered by a retraining, in a process.
    """
    from monitoring.alerting.notify import addresses_of
    from monitoring.scheduler import Job
    from monitoring.settings import MonitoringSettings
    from slipway.commands.retrain import Retrainer
    from slipway.durations import span

    # Once and first: a job that goes on after an error would say so after every window.
    addresses_of(settings.load(MonitoringSettings, os.environ).notify)

    retrainer = Retrainer(model) if retrain else None

    def tell(verdict: Verdict) -> None:
        if retrainer is not None:
            retrainer.consider(verdict)
        if json_wanted:
            output.as_json(verdict)
        else:
            output.say(f"{verdict.sentence}\nreport: {verdict.report}")
        tell_unsent(model)

    def judged(start: datetime, end: datetime) -> Verdict:
        now = datetime.now(UTC)
        return judge(model, start, end, now, segments=segments, workspace=workspace)

    logging.basicConfig(level=logging.INFO, format="%(asctime)s [%(levelname)s] %(message)s")
    job = Job(store(), layout(), model, span(every, "--every"), judged)
    with suppress(KeyboardInterrupt):
        job.run(tell)


def accept(model: str, verdict_id: str, because: str) -> "Acceptance":
    """Call a flagged window of a model usual."""
    from monitoring.verdicts import acceptance

    return acceptance.accept(
        layout(), model, verdict_id, who=actor(), why=because, now=datetime.now(UTC)
    )


def add_labels(file: Path, model: str) -> "AddedLabels":
    """Take the labels in a file for the version of a model that is served here."""
    from monitoring.baseline import find_baseline
    from monitoring.labels.ingest import add_labels as add

    manifest = find_baseline(store(), layout(), model, None).manifest
    return add(layout(), manifest, file, now=datetime.now(UTC))


def show_promotion(promotion: "Promotion", *, json_wanted: bool) -> None:
    """Print what a promotion or rollback changed, and where the decision on it lies."""
    if json_wanted:
        output.as_json(promotion)
        return
    output.say(promotion.sentence)
    decision = promotion.decision
    if decision is not None:
        output.say(decision.sentence, markup=False, soft_wrap=True)
        path = f"decision/{decision.decision_id}.html"
        output.say(f"decision: {path} of run {decision.run_id}", soft_wrap=True)


def trained_row(trained: "TrainedVersion") -> tuple[Any, ...]:
    """A trained version by its first metric."""
    name, metric = next(iter(trained.metrics.items()))
    return (
        trained.name,
        trained.version,
        name,
        metric.value,
        f"{metric.low:.4g} .. {metric.high:.4g}",
        f"{trained.certificate.max_difference:.1e}",
        "passed" if all(gate.passed for gate in trained.gates) else "failed",
    )


def version_row(info: "VersionInfo") -> tuple[Any, ...]:
    """A registered version."""
    return (
        info.name,
        info.version,
        "yes" if info.is_production else "",
        ", ".join(info.aliases),
        info.stage,
        info.created_at,
        info.run_id,
    )


def event_row(event: "Event") -> tuple[Any, ...]:
    """Something that happened to a model's Production version."""
    versions = (event.from_version, event.to_version)
    kind = event.kind.replace("_", " ")
    return (event.when[:19], kind, *versions, event.who, event.decision, event.why)


def load_row(model: str, result: "LoadResult") -> tuple[Any, ...]:
    """What a client saw of the service."""
    return (
        model,
        result.requests,
        result.errors,
        result.requests_per_s,
        result.p50_ms,
        result.p99_ms,
    )


def finding_row(finding: Finding) -> tuple[Any, ...]:
    """A column against its reference."""
    return (
        finding.column,
        finding.n,
        f"{finding.p_value:.1g}",
        finding.effect.split("_")[0],
        f"{finding.effect_size:.3f}",
        f"{finding.effect_threshold:.3f}",
        "drifted" if finding.drifted else "",
    )
