"""What a given reason for a retraining comes to: a trigger, and the objections to it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from contracts.errors import InvalidData, InvalidDocument, NotRegistered
from contracts.names import Layout
from contracts.retraining import Retraining
from contracts.times import parse_utc
from contracts.verdict import ConditionKind, Verdict
from monitoring.alerting.episodes import alarm_start
from monitoring.baseline import Baseline, find_baseline
from monitoring.retraining.records import read_retrainings
from monitoring.retraining.trigger import (
    RetrainingTrigger,
    TriggerEvaluation,
    evaluate_trigger,
    too_soon,
)
from monitoring.settings import MonitoringSettings
from monitoring.traffic.window import TimeWindow
from monitoring.verdicts import history
from registry.production import reconcile
from registry.store import Store

SCHEDULE = "schedule"
_VERDICT_ID = re.compile(r"[a-z][a-z0-9_]*-\d+-\d{8}T[\d.]+Z-\d{8}T[\d.]+Z")


@dataclass(frozen=True)
class RetrainingProposal:
    """A proposed retraining: why, of which version, and the objections to it.

    `alarm_start` is the start of the alarm that it answers, empty if it answers none; `before`
    are the model's earlier retrainings, oldest first.
    """

    trigger: RetrainingTrigger
    baseline: Baseline
    alarm_start: str
    before: Sequence[Retraining]
    objections: tuple[str, ...]


def propose(
    store: Store,
    layout: Layout,
    name: str,
    because: str,
    settings: MonitoringSettings,
    now: datetime,
) -> RetrainingProposal:
    """The retraining of the production version that a reason asks for.

    Raises:
        NotRegistered: nothing of that name is in production.
        InvalidData, InvalidDocument, NotFoundHere: `because` cannot be understood or read.

    """
    version = reconcile(store, name)
    if version is None:
        raise NotRegistered(
            f"model {name!r}: expected a production version to retrain, got none",
            remedy=f"slipway train {name} && slipway promote {name}",
        )
    baseline = find_baseline(store, layout, name, version)
    evaluation, alarm = _evaluate(layout, baseline, because, settings)
    objections = [evaluation.objection] if evaluation.objection else []
    trigger = evaluation.trigger or RetrainingTrigger("forced", because)
    before = read_retrainings(layout, name)
    if trigger.reason != "person":
        objections.append(too_soon(before, settings.retrain_pause_s, now=now))
    return RetrainingProposal(trigger, baseline, alarm, before, tuple(filter(None, objections)))


def _evaluate(
    layout: Layout, baseline: Baseline, because: str, settings: MonitoringSettings
) -> tuple[TriggerEvaluation, str]:
    """What a reason comes to, and the start of the alarm that it answers."""
    text = because.strip()
    if text == SCHEDULE:
        return TriggerEvaluation(RetrainingTrigger("schedule", "by schedule")), ""
    if _VERDICT_ID.fullmatch(text):
        verdict = history.verdict_named(layout.verdicts / baseline.name, text)
    elif text.endswith(".json"):
        verdict = _verdict_in_file(layout, baseline.name, Path(text))
    elif " " in text:
        return TriggerEvaluation(RetrainingTrigger("person", text)), ""
    else:
        raise InvalidData(
            f"--because: expected a verdict's id or path, {SCHEDULE!r}, or a reason in words, "
            f"got {because!r}",
            remedy=f'for example --because {SCHEDULE}, or --because "prices rose in May"',
        )
    return _evaluate_verdict(layout, baseline, verdict, settings)


def _evaluate_verdict(
    layout: Layout, baseline: Baseline, verdict: Verdict, settings: MonitoringSettings
) -> tuple[TriggerEvaluation, str]:
    start, end = parse_utc(verdict.window.start), parse_utc(verdict.window.end)
    window = TimeWindow(baseline.name, verdict.version, start, end)
    earlier = history.earlier_verdicts(layout, window)
    found = evaluate_trigger(
        verdict,
        earlier,
        baseline.manifest.importance,
        settings.retrain_importance,
        settings.drift_windows,
    )
    objection = found.objection
    if (verdict.version, verdict.manifest_digest) != (baseline.version, baseline.digest):
        objection = (
            f"verdict {verdict.verdict_id}: expected one on version {baseline.version}, which is "
            f"in production, got one on version {verdict.version}"
        )
    forced = RetrainingTrigger("forced", verdict.sentence, verdict, verdict.window.start)
    evaluation = TriggerEvaluation(found.trigger or forced, objection)
    kind: ConditionKind = "drift" if verdict.condition("drift").is_alarming else "performance"
    if verdict.condition("performance").is_alarming:
        kind = "performance"
    return evaluation, alarm_start(verdict, earlier, kind)


def _verdict_in_file(layout: Layout, name: str, path: Path) -> Verdict:
    try:
        verdict = Verdict.read(path.read_bytes(), str(path))
    except OSError as err:
        raise InvalidDocument(
            f"{path}: expected a verdict, got {err.strerror}",
            remedy=f"see {layout.verdicts / name}",
        ) from err
    if verdict.model != name:
        raise InvalidDocument(
            f"{path}: expected a verdict on {name!r}, got one on {verdict.model!r}",
            remedy=f"slipway retrain {verdict.model}",
        )
    return verdict
