"""Which version is in production, when people may set it by alias or by stage.

The tag `slipway.production` of the registered model holds the version on which alias and stage
last agreed. Whatever differs from it was changed by a person since then.
"""

import logging
import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache

from contracts.errors import InvalidRecipe, preview
from contracts.names import PRODUCTION, PRODUCTION_STAGE, TAG_PRODUCTION, check_model_name
from contracts.printable import printable
from registry.history import Event, Kind, history, record
from registry.store import Store

NO_VERSION = "none"
"""The value of the tag while nothing is in production."""
_VERSION = re.compile(r"[1-9][0-9]{0,18}")

logger = logging.getLogger("slipway.registry")


@dataclass(frozen=True)
class ProductionState:
    """What alias, stage and record say of a model.

    `staged_versions` are the versions in the stage Production; None where MLflow has no stages.
    `recorded` is the version on which alias and stage last agreed.
    """

    alias: int | None
    staged_versions: AbstractSet[int] | None
    recorded: int | None

    @property
    def is_consistent(self) -> bool:
        """Whether alias, stage and record agree."""
        staged = set() if self.alias is None else {self.alias}
        return self.alias == self.recorded and self.staged_versions in (None, staged)


def desired_version(state: ProductionState) -> int | None:
    """The version that people want in production; None when they want none.

    The alias decides if it moved since the record, even if the stage moved too. If it did not,
    a newly staged version decides (the newest, if there are several). If there is none, it is
    the recorded version, unless somebody took it out of the stage.
    """
    if state.alias != state.recorded or state.staged_versions is None:
        return state.alias
    newly_staged = state.staged_versions - {state.recorded}
    if newly_staged:
        return max(v for v in newly_staged if v is not None)
    return state.recorded if state.recorded in state.staged_versions else None


def reconcile(store: Store, name: str) -> int | None:
    """Bring alias and stage of a model into line; returns the production version.

    A change that was made by hand is added to the history. A model that has no version from
    `slipway train` belongs to others: it is read, and never changed.

    Raises:
        NotRegistered: no such model.
        RegistryUnreachable: the tracking server does not answer.
        Unwritable: alias and stage differ, and the model's lock cannot be made.

    """
    state = read_state(store, name)
    if state.is_consistent:
        return state.alias
    if not is_managed(store, name):
        return desired_version(state)
    # Alias, stage and record are read one after the other, so they also differ while another
    # process promotes. Under the lock, a difference can only come from a change by hand.
    with store.lock(name):
        return reconcile_locked(store, name)


def reconcile_locked(store: Store, name: str) -> int | None:
    """Bring alias and stage into line, as `reconcile` does, for a caller that holds the lock."""
    state = read_state(store, name)
    wanted = desired_version(state)
    if not is_managed(store, name):
        return wanted
    is_recorded = _is_recorded(store, name, state.recorded, wanted)
    if not is_recorded:
        _undo_unfinished(store, name, state.recorded)
    if state.is_consistent:
        return wanted
    if wanted != state.recorded and not is_recorded:
        kind: Kind = "observed" if wanted is not None else "removed"
        event = Event.now(kind, state.recorded, wanted, who="mlflow", why="changed by hand")
        record(store, name, event)
    set_production(store, name, wanted, state)
    return wanted


def _is_recorded(store: Store, name: str, before: int | None, after: int | None) -> bool:
    """Whether this very change is the last event: its promotion was killed before it was done."""
    last = history(store, name)[-1:]
    return [(event.from_version, event.to_version) for event in last] == [(before, after)]


def is_unfinished(store: Store, name: str) -> bool:
    """Whether the last event was not carried out: its process is still at it, or was killed."""
    last = history(store, name)[-1:]
    recorded = read_state(store, name).recorded
    return any(event.to_version != recorded for event in last)


def _undo_unfinished(store: Store, name: str, recorded: int | None) -> None:
    """Append a compensating event if the last recorded move was never carried out.

    It is a rollback, so that nobody rolls back to a version that was not in production.
    """
    last = history(store, name)[-1:]
    if last and last[0].to_version != recorded:
        why = "the previous move was killed before it was carried out"
        event = Event.now("rolled_back", last[0].to_version, recorded, who="slipway", why=why)
        record(store, name, event)


def is_managed(store: Store, name: str) -> bool:
    """Whether a model is ours: at least one version was made by `slipway train`.

    A model with a name that `slipway train` refuses was renamed or made by others, and is not.
    """
    if not any(version.digest for version in store.versions.of(name)):
        return False
    try:
        check_model_name(name)
    except InvalidRecipe as err:
        _warn_once(f"ignoring a registered model: {err.what}")
        return False
    return True


def read_state(store: Store, name: str) -> ProductionState:
    """Alias, stage and record of a model, as they are now."""
    model = store.models.get(name)
    staged = {v.version for v in store.versions.of(name) if v.stage == PRODUCTION_STAGE}
    recorded = model.tags.get(TAG_PRODUCTION, NO_VERSION)
    return ProductionState(
        alias=model.aliases.get(PRODUCTION),
        staged_versions=staged if store.versions.has_stages else None,
        recorded=_recorded_version(name, recorded),
    )


def _recorded_version(name: str, text: str) -> int | None:
    """The version in the tag; None, with a warning, if somebody wrote something else there."""
    if text != NO_VERSION and not _VERSION.fullmatch(text):
        _warn_once(
            f"{printable(name)}: ignoring the tag {TAG_PRODUCTION}: expected a version or "
            f"{NO_VERSION!r}, got {preview(text)}"
        )
        return None
    return None if text == NO_VERSION else int(text)


@cache
def _warn_once(text: str) -> None:
    """Log a warning, unless this process has logged it already: the follower reads every 2 s."""
    logger.warning("%s", text)


def set_production(store: Store, name: str, version: int | None, before: ProductionState) -> None:
    """Set alias, stage and record to `version`.

    The alias is set first and the record last. A process that is killed in between leaves a
    moved alias, which the next `reconcile` takes as the desired version.
    """
    if version is None:
        if before.alias is not None:
            store.models.delete_alias(name)
        for staged in sorted(before.staged_versions or ()):
            store.versions.archive(name, staged)
    else:
        if before.alias != version:
            store.models.set_alias(name, version)
        if before.staged_versions not in (None, {version}):
            store.versions.move_to_production_stage(name, version)
    store.models.set_tag(name, TAG_PRODUCTION, NO_VERSION if version is None else str(version))
