"""The story of a retraining: why, on what, by a process of its own, and what became of it.

Monitoring writes an order and starts `python -m training --order`; it imports nothing of
training. Whether the challenger is promoted is for the gate to say, whose door is given.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from contracts.errors import GateRefused, InvalidData, NotJustified, NotRegistered, PlatformError
from contracts.names import Layout
from contracts.retraining import Retraining, RetrainingRequest, State
from contracts.times import parse_utc, utc_text
from monitoring.alerting.episodes import alarm_start
from monitoring.baseline import Baseline, find_baseline
from monitoring.retraining import records as retrainings
from monitoring.retraining.dataset import Case, labelled_of, with_labels, written_order
from monitoring.retraining.process import Train, run_training
from monitoring.retraining.trigger import Cause, Judged, judged
from monitoring.settings import MonitoringSettings
from monitoring.traffic.window import TimeWindow
from monitoring.verdicts import history
from registry.production import reconcile
from registry.promote import Promotion
from registry.store import Store

SCHEDULE = "schedule"
_VERDICT_ID = re.compile(r"[a-z][a-z0-9_]*-\d+-\d{8}T[\d.]+Z-\d{8}T[\d.]+Z")


Promote = Callable[[int, str], Promotion]
"""Asks the gate to promote a version, because of something."""


def retrain(
    store: Store,
    layout: Layout,
    name: str,
    *,
    because: str,
    settings: MonitoringSettings,
    now: datetime,
    actor: str,
    force: bool = False,
    promote: Promote | None = None,
    train: Train | None = None,
) -> Retraining:
    """Train a challenger on labelled traffic, and let the gate decide on it.

    `because` is the id or the path of a verdict, `schedule`, or a reason in words. With
    `promote` the challenger becomes Production if the gate says so; without, it waits.

    Raises:
        NotJustified: nothing calls for it, it is too soon, or there are too few labels, and
            `force` was not given; or somebody else retrains the model just now.
        GateRefused: the challenger is not surely better; it stays registered.
        NotRegistered: nothing of that name is in production.
        InvalidData, InvalidDocument, NotFoundHere: `because` cannot be understood or read.
        PlatformError: training failed; `training.log` beside the order tells why.

    """
    store.models.get(name)
    with retrainings.only_one(layout, name) as lock:
        retrainings.settle_dead(layout, name, store.versions.of(name), now=now)
        case = _case(store, layout, name, because, settings, now)
        labelled = labelled_of(layout, case, settings, now)
        case = with_labels(case, labelled, settings)
        if case.objections and not force:
            raise _refused(case.objections)
        begun = _begun(layout, written_order(layout, case, labelled, now, actor, force=force), now)
        trained = _trained(layout, begun, train or run_training, settings, lock)
        return _promoted(layout, trained, promote)


def check(
    store: Store,
    layout: Layout,
    name: str,
    because: str,
    *,
    settings: MonitoringSettings,
    now: datetime,
) -> None:
    """Refuse what nothing calls for, before labels are read and a process is started.

    Raises:
        NotJustified: as `retrain` would, short of the labels.

    """
    case = _case(store, layout, name, because, settings, now)
    if case.objections:
        raise _refused(case.objections)


def _refused(objections: Sequence[str]) -> NotJustified:
    return NotJustified(
        "; ".join(objections), remedy="see docs/retrain.md; to do it all the same: --force"
    )


# why


def _case(
    store: Store,
    layout: Layout,
    name: str,
    because: str,
    settings: MonitoringSettings,
    now: datetime,
) -> Case:
    version = reconcile(store, name)
    if version is None:
        raise NotRegistered(
            f"model {name!r}: expected a production version to be trained anew, got none",
            remedy=f"slipway train {name} && slipway promote {name}",
        )
    baseline = find_baseline(store, layout, name, version)
    found, episode = _judged(layout, baseline, because, settings)
    objections = [found.objection] if found.objection else []
    cause = found.cause or Cause("forced", because)
    before = retrainings.past(layout, name)
    if cause.reason != "person":
        objections.append(retrainings.too_soon(before, settings.retrain_pause_s, now=now))
    if episode:
        most = settings.retrain_attempts
        objections.append(retrainings.too_often(before, episode, version, most))
    return Case(cause, baseline, episode, before, tuple(filter(None, objections)))


def _judged(
    layout: Layout, baseline: Baseline, because: str, settings: MonitoringSettings
) -> tuple[Judged, str]:
    """What the reason that was given comes to, and the alarm that it answers."""
    text = because.strip()
    name = baseline.name
    if text == SCHEDULE:
        return Judged(Cause("schedule", "by schedule")), ""
    if _VERDICT_ID.fullmatch(text):
        verdict = history.verdict_named(layout.verdicts / name, text)
    elif text.endswith(".json"):
        verdict = retrainings.verdict_at(layout, name, Path(text))
    elif " " in text:
        return Judged(Cause("person", text)), ""
    else:
        raise InvalidData(
            f"--because: expected a verdict's id or path, {SCHEDULE!r}, or a reason in words, "
            f"got {because!r}",
            remedy=f'for example --because {SCHEDULE}, or --because "prices rose in May"',
        )
    start = parse_utc(verdict.window.start)
    earlier = history.earlier_verdicts(
        layout, TimeWindow(name, verdict.version, start, parse_utc(verdict.window.end))
    )
    found = judged(
        verdict,
        earlier,
        baseline.manifest.importance,
        settings.retrain_importance,
        settings.drift_windows,
    )
    if (verdict.version, verdict.manifest_digest) != (baseline.version, baseline.digest):
        found = Judged(
            found.cause,
            f"verdict {verdict.verdict_id}: expected one on version {baseline.version}, which is "
            f"in production, got one on version {verdict.version}",
        )
    cause = found.cause or Cause("forced", verdict.sentence, verdict, verdict.window.start)
    return Judged(cause, found.objection), alarm_start(verdict, earlier)


# what became of it


def _begun(layout: Layout, order: RetrainingRequest, now: datetime) -> Retraining:
    begun = Retraining(
        request=order,
        state="started",
        owner=retrainings.owner(),
        sentence=f"{order.model} is being trained anew: {order.because}",
        changed_at=utc_text(now),
    )
    retrainings.keep(layout, begun)
    return begun


def _trained(
    layout: Layout, begun: Retraining, train: Train, settings: MonitoringSettings, lock: int
) -> Retraining:
    order = begun.request
    path = retrainings.folder_of(layout, order) / retrainings.ORDER
    try:
        made = train(path, settings.retrain_timeout_s, lock)
    except PlatformError as err:
        _now_is(layout, begun, "failed", err.what)
        raise
    sentence = (
        f"{order.model} version {made.version} was trained anew ({order.reason}); to promote it: "
        f"slipway promote {order.model} --version {made.version}"
    )
    named = replace(begun, version=made.version, run_id=made.run_id)
    return _now_is(layout, named, "trained", sentence)


def _promoted(layout: Layout, trained: Retraining, promote: Promote | None) -> Retraining:
    if promote is None or trained.version is None:
        return trained
    order = trained.request
    try:
        promotion = promote(
            trained.version, f"retraining {order.retraining_id}: {order.because}"[:1000]
        )
    except GateRefused as err:
        _now_is(layout, trained, "refused", err.what)
        raise
    except PlatformError as err:
        _now_is(layout, trained, "failed", err.what)
        raise
    decision = promotion.decision.decision_id if promotion.decision else ""
    return _now_is(layout, replace(trained, decision_id=decision), "promoted", promotion.sentence)


def _now_is(layout: Layout, retraining: Retraining, state: State, sentence: str) -> Retraining:
    changed = replace(
        retraining, state=state, sentence=sentence, changed_at=utc_text(datetime.now(UTC))
    )
    retrainings.keep(layout, changed)
    return changed
