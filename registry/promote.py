"""Make a version Production, through the gate; and take it back.

Each is one act under the model's lock: what is decided on is what is moved.
"""

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from contracts.decision import Decision, PromotionOutcome
from contracts.errors import (
    CorruptModel,
    GateRefused,
    InvalidData,
    NotRegistered,
    PlatformError,
    RegistryUnreachable,
)
from contracts.files import unwritable
from contracts.manifest import Manifest
from contracts.names import MANIFEST_FILE, MODEL_DIRECTORY, TAG_DIGEST
from registry.gate import Comparison, Judgement, decide, not_compared
from registry.history import DECISION, Event, Kind, history, now, record
from registry.mlflow_store.versions import StoredVersion
from registry.model_directory import read_manifest
from registry.production import read_switches, reconcile_in_turn, set_production
from registry.store import Store

MANIFEST = f"{MODEL_DIRECTORY}/{MANIFEST_FILE}"
"""The path of a version's manifest within the artifacts of its run."""
Compare = Callable[[int, int], Comparison]
"""Measures a challenger (first) and Production (second) on the same rows."""
Keep = Callable[[Decision], None]
"""Puts a decision where people find it."""


@dataclass(frozen=True)
class Promotion:
    """What was Production, what is, and why; `changed` is False if it was so already.

    A rollback, and a version that is Production already, have no decision.
    """

    name: str
    from_version: int | None
    to_version: int
    changed: bool
    decision: Decision | None
    sentence: str


@dataclass(frozen=True)
class _Case:
    """Who is promoted against whom, and what was found."""

    name: str
    target: int
    candidate: Manifest
    current: int | None
    production: Manifest | None
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
    """Make `version` (default: the newest) Production.

    `compare` measures it and Production on the same rows; it may take its time, so it runs
    before the lock is taken. Without it the manifests alone decide. `keep` is given the
    decision, a refusal as well, before anything is moved.

    Raises:
        NotRegistered: no such model or version.
        GateRefused: the gate found reasons against it, and `force` was not given.
        InvalidData: `force` without `because`.
        CorruptModel: the version's manifest is not the one that was registered.
        RegistryUnreachable: the tracking server or its artifact store does not answer.
        Unwritable: the lock cannot be made, or the folder for temporary files is full.
        PlatformError: Production moved while it was compared with.

    """
    if force and not because:
        raise InvalidData(
            "--force: expected a reason with it, got none",
            remedy='say why: --force --because "..."',
        )
    target = (
        newest_version(store, name)
        if version is None
        else store.versions.get(name, version).version
    )
    with store.lock(name):
        compared_with = reconcile_in_turn(store, name)
    if compared_with == target:
        return _unchanged(name, target)
    case = _judged(store, name, target, compared_with, compare, force=force)
    with store.lock(name):
        current = reconcile_in_turn(store, name)
        if current == target:
            return _unchanged(name, target)
        if current != compared_with:
            if compare is not None:
                raise _moved_meanwhile(name, compared_with, current)
            case = _judged(store, name, target, current, None, force=force)
        decision = _decision(store, case, actor, because, force=force)
        if keep is not None:
            keep(decision)
        if decision.outcome == "refused":
            where = f"; see {decision.decision_id}.html of run {decision.run_id}" if keep else ""
            raise GateRefused(
                f"{name} version {target} is not promoted: " + "; ".join(case.judgement.reasons),
                remedy='train a better version, or: slipway promote --force --because "..."'
                + where,
            )
        evidence = _evidence(case.judgement, decision if keep else None)
        kind: Kind = "forced" if decision.outcome == "forced" else "promoted"
        _move(store, name, Event(now(), kind, current, target, actor, because, evidence))
    sentence = f"{name} version {target} is production (before: {_shown(current)})"
    return Promotion(name, current, target, True, decision, sentence)  # noqa: FBT003 - fields in order


def _judged(
    store: Store,
    name: str,
    target: int,
    current: int | None,
    compare: Compare | None,
    *,
    force: bool,
) -> _Case:
    """Read the manifests, compare the versions, and decide.

    A Production that is lost speaks against every challenger, until a person says otherwise:
    what cannot be read cannot be compared with, and cannot be rolled back to.
    """
    candidate = manifest_of(store, name, target)
    production, comparison = None, None
    if current is not None:
        try:
            production = manifest_of(store, name, current)
        except (CorruptModel, NotRegistered, RegistryUnreachable) as err:
            # A store that is away may come back, so without force it is no reason but an error.
            if isinstance(err, RegistryUnreachable) and not force:
                raise
            comparison = _lost(current, err)
        else:
            comparison = compare(target, current) if compare else None
    judgement = decide(candidate, production, comparison)
    return _Case(name, target, candidate, current, production, judgement)


def _lost(current: int, err: PlatformError) -> Comparison:
    return not_compared("production", f"production version {current}", "its model directory", err)


def _decision(store: Store, case: _Case, actor: str, because: str, *, force: bool) -> Decision:
    """The document on a case; only a version that needed force was forced."""
    allowed = case.judgement.allowed
    outcome: PromotionOutcome = "promoted" if allowed else "forced" if force else "refused"
    made_at = now()
    stored = store.versions.get(case.name, case.target)
    return Decision(
        # To the microsecond, and made under the model's lock: unique, and in order as text.
        decision_id=re.sub(r"[-:.]", "", made_at),
        model=case.name,
        version=case.target,
        run_id=stored.run_id,
        digest=_digest_of(stored),
        production_version=case.current,
        production_digest=_digest_at(store, case.name, case.current),
        made_at=made_at,
        by=actor,
        because=because,
        outcome=outcome,
        sentence=_sentence(case, outcome),
        checks=case.judgement.checks,
        evaluation=case.judgement.exam,
    )


def _digest_at(store: Store, name: str, version: int | None) -> str:
    return "" if version is None else store.versions.get(name, version).tags.get(TAG_DIGEST, "")


def _sentence(case: _Case, outcome: PromotionOutcome) -> str:
    """The decision in one sentence: what it came to, and the first reason for it."""
    told = case.judgement.reasons or case.judgement.evidence
    words = {
        "promoted": "is promoted",
        "refused": "is not promoted",
        "forced": "is promoted past the gate",
    }
    return f"{case.name} version {case.target} {words[outcome]}" + (f": {told[0]}" if told else "")


def _moved_meanwhile(name: str, before: int | None, current: int | None) -> PlatformError:
    return PlatformError(
        f"{name}: expected {_shown(before)} in production, which was compared with, "
        f"got {_shown(current)}: somebody moved it meanwhile",
        remedy=f"slipway history {name}, then promote again",
    )


def rollback(
    store: Store, name: str, *, to: int | None = None, actor: str, because: str = ""
) -> Promotion:
    """Make the Production version before this one, or `to`, Production again.

    The gate is not asked: going back to what served before must always be possible.

    Raises:
        NotRegistered: nothing is, or nothing else was, in production, or `to` is no version
            made by `slipway train`.
        RegistryUnreachable: the tracking server does not answer.
        Unwritable: the lock cannot be made.

    """
    store.models.get(name)
    with store.lock(name):
        current = reconcile_in_turn(store, name)
        target = _before(store, name, current) if to is None else to
        _digest_of(store.versions.get(name, target))
        if target == current:
            return _unchanged(name, target)
        _move(store, name, Event(now(), "rolled_back", current, target, actor, because))
    sentence = f"{name} is rolled back to version {target} (before: {_shown(current)})"
    return Promotion(name, current, target, True, None, sentence)  # noqa: FBT003 - the same


def manifest_of(store: Store, name: str, version: int) -> Manifest:
    """The manifest that was registered with a version.

    Raises:
        NotRegistered: no such version, or it was not made by `slipway train`.
        CorruptModel: the artifact is not what was registered, or not there.
        RegistryUnreachable: the tracking server or its artifact store does not answer.
        Unwritable: the folder for temporary files is full.

    """
    stored = store.versions.get(name, version)
    digest = _digest_of(stored)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = store.artifacts.download(
                stored.run_id, f"{MODEL_DIRECTORY}/{MANIFEST_FILE}", Path(folder)
            )
            return read_manifest(path, digest)
    except NotRegistered as err:
        raise CorruptModel(err.what, remedy=err.remedy) from err
    except OSError as err:
        raise unwritable(Path(tempfile.gettempdir()), err) from err


def _unchanged(name: str, target: int) -> Promotion:
    done = f"{name} version {target} is production already"
    return Promotion(name, target, target, False, None, done)  # noqa: FBT003 - the same


def _digest_of(stored: StoredVersion) -> str:
    digest = stored.tags.get(TAG_DIGEST)
    if digest is None:
        raise NotRegistered(
            f"{stored.name} version {stored.version}: expected a version made by slipway train, "
            f"got one without the tag {TAG_DIGEST}",
            remedy=f"slipway train {stored.name}",
        )
    return digest


def _move(store: Store, name: str, event: Event) -> None:
    """The event is written first: a history that says too much beats one with a gap."""
    record(store, name, event)
    set_production(store, name, event.to_version, read_switches(store, name))


def newest_version(store: Store, name: str) -> int:
    """The version of a model that was registered last.

    Raises:
        NotRegistered: no such model, or no version of it.

    """
    store.models.get(name)
    versions = store.versions.of(name)
    if not versions:
        raise NotRegistered(
            f"model {name!r}: expected a version, got none", remedy=f"slipway train {name}"
        )
    return versions[-1].version


def _before(store: Store, name: str, current: int | None) -> int:
    """The version that was Production before the current one became it."""
    existing = {v.version for v in store.versions.of(name)}
    for event in reversed(history(store, name)):
        if event.to_version == current and event.kind != "rolled_back":
            if event.from_version in existing:
                return int(event.from_version)
            break
    raise NotRegistered(
        f"model {name!r}: expected a production version before {_shown(current)}, got none",
        remedy=f"slipway history {name}, then: slipway rollback {name} --to VERSION",
    )


def _evidence(judgement: Judgement, kept: Decision | None) -> tuple[str, ...]:
    """What the history remembers of a decision: reasons first, ten lines at most."""
    where = [DECISION + kept.decision_id] if kept else []
    against = [f"against: {reason}" for reason in judgement.reasons]
    return tuple(text[:300] for text in (*against[:8], *where, *judgement.evidence)[:10])


def _shown(version: int | None) -> str:
    return "none" if version is None else f"version {version}"
