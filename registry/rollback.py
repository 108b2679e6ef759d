"""Make an earlier production version the production version again."""

from collections.abc import Sequence

from contracts.errors import NotRegistered
from contracts.names import TAG_EXAMINED
from registry.history import Event, history
from registry.manifests import require_digest
from registry.mlflow_store.versions import StoredVersion
from registry.production import reconcile_locked
from registry.promote import Promotion, move_production, unchanged, version_text
from registry.signing import require_signature
from registry.store import Store


def rollback(
    store: Store, name: str, *, to: int | None = None, actor: str, because: str = ""
) -> Promotion:
    """Make version `to` (default: the previous production version) production again.

    The gate has no say: going back to what served before must always be possible.

    Raises:
        NotRegistered: nothing is in production, there is no previous version, or `slipway
            train` did not make `to`.
        CorruptModel: none of the signers signed it (`registry.signing`).
        RegistryUnreachable: the tracking server does not answer.
        Unwritable: the lock cannot be made.

    """
    store.models.get(name)
    with store.lock(name):
        current = reconcile_locked(store, name)
        target = _previous(store, name, current) if to is None else to
        stored = store.versions.get(name, target)
        require_digest(stored)
        if target == current:
            return unchanged(name, target)
        require_signature(store, stored)
        event = Event.now("rolled_back", current, target, who=actor, why=because)
        move_production(store, name, event)
    return Promotion(
        name=name,
        from_version=current,
        to_version=target,
        changed=True,
        decision=None,
        sentence=f"{name} is rolled back to version {target} (before: {version_text(current)})",
    )


def _previous(store: Store, name: str, current: int | None) -> int:
    """The version to which a rollback returns."""
    found = previous_version(history(store, name), store.versions.of(name), current)
    if found is None:
        raise NotRegistered(
            f"model {name!r}: expected a production version before {version_text(current)}, "
            "got none",
            remedy=f"slipway history {name}, then: slipway rollback {name} --to VERSION",
        )
    return found


def previous_version(
    events: Sequence[Event], stored: Sequence[StoredVersion], current: int | None
) -> int | None:
    """The version that was in production before the current one was put there; None without one.

    A retraining promotes two versions: the examined one, and its fit on all rows. To go back from
    the second undoes the retraining, so the examined one is passed over.
    """
    versions = {each.version: each for each in stored}
    before = _before(events, current)
    if before in versions and current in versions:
        examined = versions[current].tags.get(TAG_EXAMINED)
        earlier = _before(events, before) if examined == str(before) else None
        before = earlier if earlier in versions else before
    return before if before in versions else None


def _before(events: Sequence[Event], version: int | None) -> int | None:
    """The version from which production last moved to this one, other than by a rollback."""
    moves = (e for e in reversed(events) if e.to_version == version and e.kind != "rolled_back")
    return next((event.from_version for event in moves), None)
