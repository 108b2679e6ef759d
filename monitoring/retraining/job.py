"""A retraining from its reason to its outcome.

Monitoring writes a request and starts `python -m training --request`; it imports nothing of
training. Whether the challenger is promoted is decided by the gate, through the function that
the caller passes.
"""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from contracts.errors import EvaluationTooSmall, GateRefused, NotJustified, PlatformError
from contracts.files import write_whole
from contracts.names import Layout
from contracts.retraining import Retraining, RetrainingRequest, State
from contracts.times import utc_text
from monitoring.retraining import records
from monitoring.retraining.dataset import (
    PlannedEvaluation,
    plan_evaluation,
    read_labelled,
    with_start,
    write_request,
)
from monitoring.retraining.process import Train, Trained, run_training
from monitoring.retraining.proposal import RetrainingProposal, propose
from monitoring.settings import MonitoringSettings
from registry.promote import Promotion
from registry.store import Store

logger = logging.getLogger("slipway.monitor")

MAX_REASON = 1000
"""Characters of the reason that is given to the gate."""


class Promote(Protocol):
    """What asks the gate to promote a version."""

    def __call__(self, version: int, because: str, /) -> Promotion:
        """Promote a version, or raise `GateRefused`."""


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
    train: Train = run_training,
) -> Retraining:
    """Train a challenger on labelled traffic, and let the gate decide on it.

    `because` is the id or the path of a verdict, `schedule`, or a reason in words. With
    `promote` the challenger becomes Production if the gate allows it; without, it waits.

    Raises:
        NotJustified: nothing calls for it, it is too soon, or it waits for labels, and `force`
            was not given; or another process is retraining the model.
        GateRefused: the challenger is not better beyond chance; it stays registered.
        NotRegistered: nothing of that name is in production.
        InvalidData, InvalidDocument, NotFoundHere: `because` cannot be understood or read.
        PlatformError: training failed; `training.log` next to the request says why.

    """
    store.models.get(name)
    with records.retraining_lock(layout, name) as lock:
        records.close_abandoned(layout, name, store.versions.of(name), now=now)
        proposal = with_start(propose(store, layout, name, because, settings, now))
        labelled = read_labelled(layout, proposal, settings, now)
        plan = plan_evaluation(proposal, labelled, settings, now)
        proposal = _checked(layout, proposal, plan, force=force)
        request, path = write_request(layout, proposal, labelled, plan, now, actor, force=force)
        records.remove_wait(layout, name)
        started = _started(layout, request, now)
        trained = _trained(layout, started, path, train, settings.retrain_timeout_s, lock)
        if promote is None:
            return trained
        promoted = _promoted(layout, trained, promote)

        def fit(path: Path) -> Trained:
            return train(path, settings.retrain_timeout_s, lock)

        return _refitted(layout, promoted, path, fit, promote)


def require_justified(
    store: Store,
    layout: Layout,
    name: str,
    because: str,
    *,
    settings: MonitoringSettings,
    now: datetime,
) -> None:
    """Refuse a retraining that nothing calls for, without reading labels.

    Raises:
        NotJustified: as `retrain` would, except for too few labels.

    """
    objections = propose(store, layout, name, because, settings, now).objections
    if objections:
        raise _not_justified(objections)


def _checked(
    layout: Layout, proposal: RetrainingProposal, plan: PlannedEvaluation, *, force: bool
) -> RetrainingProposal:
    """The proposal with everything against it; a retraining that only lacks rows is recorded.

    Raises:
        NotJustified: there is something against it, and `force` was not given.

    """
    if plan.wait is None:
        objections = proposal.objections
    else:
        objections = (*proposal.objections, plan.wait.sentence)
        if not proposal.objections and not force:
            records.write_wait(layout, plan.wait)
    if objections and not force:
        raise _not_justified(objections)
    return dataclasses.replace(proposal, objections=objections)


def _not_justified(objections: Sequence[str]) -> NotJustified:
    return NotJustified(
        "; ".join(objections), remedy="see docs/retrain.md; to retrain anyway: --force"
    )


def _started(layout: Layout, request: RetrainingRequest, now: datetime) -> Retraining:
    started = Retraining(
        request=request,
        state="started",
        owner=records.owner(),
        sentence=f"{request.model} is being retrained: {request.because}",
        changed_at=utc_text(now),
    )
    records.write_retraining(layout, started)
    return started


def _trained(
    layout: Layout, started: Retraining, path: Path, train: Train, timeout_s: float, lock: int
) -> Retraining:
    request = started.request
    try:
        made = train(path, timeout_s, lock)
    except PlatformError as err:
        _changed(layout, started, "failed", err.what)
        raise
    sentence = (
        f"{request.model} version {made.version} was trained ({request.reason}); to promote it: "
        f"slipway promote {request.model} --version {made.version}"
    )
    named = replace(started, version=made.version, run_id=made.run_id)
    return _changed(layout, named, "trained", sentence)


def _promoted(layout: Layout, trained: Retraining, promote: Promote) -> Retraining:
    request = trained.request
    because = f"retraining {request.retraining_id}: {request.because}"[:MAX_REASON]
    try:
        promotion = promote(version_of(trained), because)
    except EvaluationTooSmall as err:
        _changed(layout, trained, "waiting", err.what)
        raise
    except GateRefused as err:
        _changed(layout, trained, "refused", err.what)
        raise
    except PlatformError as err:
        _changed(layout, trained, "failed", err.what)
        raise
    decision = promotion.decision.decision_id if promotion.decision else ""
    return _changed(layout, replace(trained, decision_id=decision), "promoted", promotion.sentence)


def _refitted(
    layout: Layout,
    promoted: Retraining,
    path: Path,
    fit: Callable[[Path], Trained],
    promote: Promote,
) -> Retraining:
    """Fit what passed its exam on all rows, the exam's included, and promote that.

    If it fails, the version that was examined stays in production, and the record says why.
    """
    request, examined = promoted.request, version_of(promoted)
    refit_path = path.with_name(records.REFIT_FILE)
    because = (
        f"retraining {request.retraining_id}: version {examined} fitted on all rows, those of its "
        f"exam included (decision {promoted.decision_id}): {request.because}"
    )
    try:
        write_whole(refit_path, replace(request, examined_version=examined).write_pretty())
        made = fit(refit_path)
        promoted = replace(promoted, refit_version=made.version)
        said = promote(made.version, because[:MAX_REASON]).sentence
    except PlatformError as err:
        logger.warning("%s: version %d stays in production: %s", request.model, examined, err)
        said = f"version {examined} stays in production: {err.what}"
        sentence = promoted.sentence
    else:
        sentence = (
            f"{request.model} version {made.version} is production: version {examined}, which "
            "passed its exam, fitted once more on all rows"
        )
    return _changed(layout, replace(promoted, refit=said), "promoted", sentence)


def version_of(retraining: Retraining) -> int:
    """The challenger of a retraining that has trained one."""
    if retraining.version is None:
        raise ValueError(retraining.request.retraining_id)
    return retraining.version


def _changed(layout: Layout, retraining: Retraining, state: State, sentence: str) -> Retraining:
    changed = replace(
        retraining, state=state, sentence=sentence, changed_at=utc_text(datetime.now(UTC))
    )
    records.write_retraining(layout, changed)
    return changed
