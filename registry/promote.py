"""Make a version Production, through the gate; and take it back.

Each is one act under the model's lock: what is decided on is what is moved.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import CorruptModel, GateRefused, InvalidData, NotRegistered
from contracts.manifest import Manifest
from contracts.names import MANIFEST_FILE, MODEL_DIRECTORY, TAG_DIGEST
from registry.decide import Decision, decide
from registry.directory import read_manifest, unwritable
from registry.history import Event, Kind, history, now, record
from registry.production import read_switches, reconcile_in_turn, set_production
from registry.store import Store, StoredVersion


@dataclass(frozen=True)
class Promotion:
    """What was Production, what is, and why; `changed` is False if it was so already."""

    name: str
    from_version: int | None
    to_version: int
    changed: bool
    decision: Decision
    sentence: str


def promote(
    store: Store,
    name: str,
    version: int | None = None,
    *,
    actor: str,
    because: str = "",
    force: bool = False,
) -> Promotion:
    """Make `version` (default: the newest) Production.

    Raises:
        NotRegistered: no such model or version.
        GateRefused: the gate found reasons against it, and `force` was not given.
        InvalidData: `force` without `because`.
        CorruptModel: the version's manifest is not the one that was registered.
        RegistryUnreachable: the tracking server or its artifact store does not answer.
        Unwritable: the lock cannot be made, or the folder for temporary files is full.

    """
    if force and not because:
        raise InvalidData(
            "--force: expected a reason with it, got none",
            remedy='say why: --force --because "..."',
        )
    target = _newest(store, name) if version is None else store.version(name, version).version
    with store.turn(name):
        current = reconcile_in_turn(store, name)
        candidate = manifest_of(store, name, target)
        if current == target:
            return _unchanged(name, target)
        decision = decide(candidate, None if current is None else manifest_of(store, name, current))
        if not decision.allowed and not force:
            raise GateRefused(
                f"{name} version {target} is not promoted: " + "; ".join(decision.reasons),
                remedy='train a better version, or: slipway promote --force --because "..."',
            )
        kind: Kind = "promoted" if decision.allowed else "forced"
        evidence = _evidence(decision)
        _move(store, name, Event(now(), kind, current, target, actor, because, evidence))
    sentence = f"{name} version {target} is production (before: {_shown(current)})"
    return Promotion(name, current, target, True, decision, sentence)  # noqa: FBT003 - fields in order


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
    store.model(name)
    with store.turn(name):
        current = reconcile_in_turn(store, name)
        target = _before(store, name, current) if to is None else to
        _digest_of(store.version(name, target))
        if target == current:
            return _unchanged(name, target)
        _move(store, name, Event(now(), "rolled_back", current, target, actor, because))
    sentence = f"{name} is rolled back to version {target} (before: {_shown(current)})"
    return Promotion(name, current, target, True, Decision(True, (), ()), sentence)  # noqa: FBT003 - the same


def manifest_of(store: Store, name: str, version: int) -> Manifest:
    """The manifest that was registered with a version.

    Raises:
        NotRegistered: no such version, or it was not made by `slipway train`.
        CorruptModel: the artifact is not what was registered, or not there.
        RegistryUnreachable: the tracking server or its artifact store does not answer.
        Unwritable: the folder for temporary files is full.

    """
    stored = store.version(name, version)
    digest = _digest_of(stored)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = store.download(stored.run_id, f"{MODEL_DIRECTORY}/{MANIFEST_FILE}", Path(folder))
            return read_manifest(path, digest)
    except NotRegistered as err:
        raise CorruptModel(err.what, remedy=err.remedy) from err
    except OSError as err:
        raise unwritable(Path(tempfile.gettempdir()), str(err)) from err


def _unchanged(name: str, target: int) -> Promotion:
    done = f"{name} version {target} is production already"
    return Promotion(name, target, target, False, Decision(True, (), ()), done)  # noqa: FBT003 - the same


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


def _newest(store: Store, name: str) -> int:
    store.model(name)
    versions = store.versions(name)
    if not versions:
        raise NotRegistered(
            f"model {name!r}: expected a version, got none", remedy=f"slipway train {name}"
        )
    return versions[-1].version


def _before(store: Store, name: str, current: int | None) -> int:
    """The version that was Production before the current one became it."""
    existing = {v.version for v in store.versions(name)}
    for event in reversed(history(store, name)):
        if event.to_version == current and event.kind != "rolled_back":
            if event.from_version in existing:
                return int(event.from_version)
            break
    raise NotRegistered(
        f"model {name!r}: expected a production version before {_shown(current)}, got none",
        remedy=f"slipway history {name}, then: slipway rollback {name} --to VERSION",
    )


def _evidence(decision: Decision) -> tuple[str, ...]:
    against = tuple(f"against: {reason}" for reason in decision.reasons)
    return tuple(text[:300] for text in (*against, *decision.evidence)[:10])


def _shown(version: int | None) -> str:
    return "none" if version is None else f"version {version}"
