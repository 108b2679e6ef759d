"""Make a version the production version, if it passes the gate.

The decision and the move are one step under the model's lock, so the version that is moved is
the one that was decided on.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from contracts.decision import Decision, PromotionOutcome
from contracts.errors import (
    CorruptModel,
    EvaluationTooSmall,
    GateRefused,
    InvalidData,
    NotRegistered,
    PlatformError,
    RegistryUnreachable,
)
from contracts.manifest import Manifest
from contracts.names import DECISION_FOLDER
from contracts.times import utc_text
from registry.gate import Comparison, Judgement, judge_version, not_compared
from registry.history import DECISION, Event, Kind, record
from registry.manifests import fetch_manifest, require_digest
from registry.production import read_state, reconcile_locked, set_production
from registry.signing import require_signature
from registry.store import Store

MAX_EVIDENCE_LINES = 10
MAX_REASON_LINES = 8
MAX_LINE_CHARS = 300


class Compare(Protocol):
    """Measures a challenger and production on the same rows."""

    def __call__(self, challenger: int, production: int, /) -> Comparison:
        """The comparison of two versions, by their numbers."""


class Keep(Protocol):
    """Stores a decision where people find it."""

    def __call__(self, decision: Decision, /) -> None:
        """Store a decision, which may be a refusal."""


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """A move of production and its reason; `changed` is False if nothing had to move.

    A rollback has no decision, nor has a version that was in production already.
    """

    name: str
    from_version: int | None
    to_version: int
    changed: bool
    decision: Decision | None
    sentence: str


@dataclass(frozen=True, kw_only=True)
class _Request:
    """What somebody asked for."""

    name: str
    target: int
    actor: str
    because: str
    force: bool
    compare: Compare | None
    keep: Keep | None


@dataclass(frozen=True, kw_only=True)
class _Case:
    """The judgement on a candidate while the version `current` was in production."""

    current: int | None
    judgement: Judgement


def promote(
    store: Store,
    name: str,
    version: int | None = None,
    *,
    actor: str,
    because: str = "",
    force: bool = False,
    compare: Compare | None = None,
    keep: Keep | None = None,
) -> Promotion:
    """Make `version` (default: the newest) the production version.

    `compare` measures it and production on the same rows. It may take long, so it runs before
    the lock is taken. Without it, the manifests alone decide. `keep` gets the decision, even a
    refusal, before anything is moved.

    Raises:
        NotRegistered: no such model or version.
        GateRefused: the gate refused the version, and `force` was not given.
        InvalidData: `force` without `because`, or `because` is too long.
        CorruptModel: the version's manifest is not the one that was registered.
        RegistryUnreachable: the tracking server or its artifact store does not answer.
        Unwritable: the lock cannot be made, or the folder for temporary files is full.
        PlatformError: production was moved during the comparison.

    """
    if force and not because:
        raise InvalidData(
            "--force: expected a reason with it, got none",
            remedy='give one: --force --because "..."',
        )
    target = store.versions.newest(name) if version is None else store.versions.get(name, version)
    require_signature(store, target)
    request = _Request(
        name=name,
        target=target.version,
        actor=actor,
        because=because,
        force=force,
        compare=compare,
        keep=keep,
    )
    with store.lock(name):
        current = reconcile_locked(store, name)
    if current == request.target:
        return unchanged(name, request.target)
    case = _judge(store, request, current)
    with store.lock(name):
        return _decide_locked(store, request, case)


def _judge(store: Store, request: _Request, current: int | None) -> _Case:
    """Read the manifests, compare the versions, and judge the candidate.

    If the production version is lost, every candidate is refused unless a person forces it: a
    version that cannot be read cannot be compared with, and cannot be rolled back to.
    """
    candidate = fetch_manifest(store, request.name, request.target)
    production: Manifest | None = None
    comparison: Comparison | None = None
    if current is not None:
        try:
            production = fetch_manifest(store, request.name, current)
        except (CorruptModel, NotRegistered, RegistryUnreachable) as err:
            # A store that is away may come back. Without force that is an error, not a refusal.
            if isinstance(err, RegistryUnreachable) and not request.force:
                raise
            comparison = _lost(current, err)
        else:
            comparison = request.compare(request.target, current) if request.compare else None
    return _Case(current=current, judgement=judge_version(candidate, production, comparison))


def _lost(current: int, err: PlatformError) -> Comparison:
    return not_compared("production", f"production version {current}", "its model directory", err)


def _decide_locked(store: Store, request: _Request, case: _Case) -> Promotion:
    """Decide on a case and carry the decision out; the caller holds the model's lock."""
    name, target = request.name, request.target
    current = reconcile_locked(store, name)
    if current == target:
        return unchanged(name, target)
    if current != case.current:
        if request.compare is not None:
            raise _moved_meanwhile(name, case.current, current)
        case = _judge(store, request, current)
    decision = _decision(store, request, case)
    event = _event(request, case, decision)
    if decision.outcome != "refused":
        # A reason that is too long must fail before the decision is stored.
        event.encode()
    if request.keep is not None:
        request.keep(decision)
    if decision.outcome == "refused":
        raise _refusal(store, request, case, decision)
    move_production(store, name, event)
    return Promotion(
        name=name,
        from_version=current,
        to_version=target,
        changed=True,
        decision=decision,
        sentence=f"{name} version {target} is production (before: {version_text(current)})",
    )


def _decision(store: Store, request: _Request, case: _Case) -> Decision:
    """The document of the decision; only a version that needed force counts as forced."""
    allowed = case.judgement.allowed
    outcome: PromotionOutcome = "promoted" if allowed else "forced" if request.force else "refused"
    made_at = utc_text(datetime.now(UTC))
    stored = store.versions.get(request.name, request.target)
    before = None if case.current is None else store.versions.get(request.name, case.current)
    return Decision(
        # To the microsecond, and made under the model's lock: unique, and in order as text.
        decision_id=re.sub(r"[-:.]", "", made_at),
        model=request.name,
        version=request.target,
        run_id=stored.run_id,
        digest=require_digest(stored),
        production_version=case.current,
        production_digest=before.digest if before else "",
        made_at=made_at,
        by=request.actor,
        because=request.because,
        outcome=outcome,
        sentence=_sentence(request, case.judgement, outcome),
        checks=case.judgement.checks,
        evaluation=case.judgement.evaluation,
    )


def _sentence(request: _Request, judgement: Judgement, outcome: PromotionOutcome) -> str:
    """The decision in one sentence: its outcome, and the first reason or evidence."""
    text = {
        "promoted": "is promoted",
        "refused": "is not promoted",
        "forced": "is promoted although the gate refused it",
    }[outcome]
    grounds = judgement.reasons or judgement.evidence
    return f"{request.name} version {request.target} {text}" + (
        f": {grounds[0]}" if grounds else ""
    )


def _event(request: _Request, case: _Case, decision: Decision) -> Event:
    kind: Kind = "forced" if decision.outcome == "forced" else "promoted"
    return Event.now(
        kind,
        case.current,
        request.target,
        who=request.actor,
        why=request.because,
        evidence=_evidence(case.judgement, decision if request.keep else None),
    )


def _evidence(judgement: Judgement, kept: Decision | None) -> tuple[str, ...]:
    """What the history remembers of a decision: at most ten lines, the reasons first."""
    document = [DECISION + kept.decision_id] if kept else []
    against = [f"against: {reason}" for reason in judgement.reasons[:MAX_REASON_LINES]]
    lines = (*against, *document, *judgement.evidence)[:MAX_EVIDENCE_LINES]
    return tuple(line[:MAX_LINE_CHARS] for line in lines)


def decision_page(store: Store, run_id: str, decision_id: str) -> str:
    """Where a person opens the page of a decision on a version of that run."""
    return store.artifacts.place(run_id, f"{DECISION_FOLDER}/{decision_id}.html")


def _refusal(store: Store, request: _Request, case: _Case, decision: Decision) -> GateRefused:
    page = decision_page(store, decision.run_id, decision.decision_id) if request.keep else ""
    undecided = case.judgement.undecided and len(case.judgement.reasons) == 1
    return (EvaluationTooSmall if undecided else GateRefused)(
        f"{request.name} version {request.target} is not promoted: "
        + "; ".join(case.judgement.reasons),
        remedy=f"train a better version, or: slipway promote {request.name} --version "
        f'{request.target} --force --because "..."' + (f"\nevery check: {page}" if page else ""),
    )


def _moved_meanwhile(name: str, before: int | None, current: int | None) -> PlatformError:
    return PlatformError(
        f"{name}: production was moved during the comparison, from {version_text(before)} "
        f"to {version_text(current)}",
        remedy=f"slipway history {name}, then promote again",
    )


def move_production(store: Store, name: str, event: Event) -> None:
    """Record an event, then carry it out; the caller holds the model's lock.

    The event is written first: a history with a move too many can be corrected, a gap cannot.
    """
    record(store, name, event)
    set_production(store, name, event.to_version, read_state(store, name))


def unchanged(name: str, version: int) -> Promotion:
    """The result where the wanted version is in production already."""
    return Promotion(
        name=name,
        from_version=version,
        to_version=version,
        changed=False,
        decision=None,
        sentence=f"{name} version {version} is production already",
    )


def version_text(version: int | None) -> str:
    """A production version for a message; it may be none."""
    return "none" if version is None else f"version {version}"
