"""Which version is Production, when people may say it by alias or by stage.

The tag `slipway.production` on the registered model holds the version on which alias and
stage last agreed. Whatever differs from it was done by a person since.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from contracts.names import PRODUCTION, PRODUCTION_STAGE, TAG_DIGEST, TAG_PRODUCTION
from registry.history import Event, Kind, history, now, record
from registry.store import Store

NONE = "none"


@dataclass(frozen=True)
class Switches:
    """Where the two switches stand, and where they stood when they last agreed."""

    alias: int | None
    staged: AbstractSet[int]
    recorded: int | None

    @property
    def agree(self) -> bool:
        """Whether alias, stage and record say the same."""
        staged = set() if self.alias is None else {self.alias}
        return self.alias == self.recorded and self.staged == staged


def intention(switches: Switches) -> int | None:
    """The version that people want in production; None when they want none.

    The alias counts if it moved since the record, even if the stage moved too. Else a
    version newly staged counts (the newest, if there are several), and else the record's,
    unless somebody took it out of the stage.
    """
    if switches.alias != switches.recorded:
        return switches.alias
    newly_staged = switches.staged - {switches.recorded}
    if newly_staged:
        return max(v for v in newly_staged if v is not None)
    return switches.recorded if switches.recorded in switches.staged else None


def reconcile(store: Store, name: str) -> int | None:
    """A model's Production version, after alias and stage were brought in line.

    A change that was made by hand is added to the history. A model of which no version was
    made by `slipway train` belongs to others: it is read, never written.

    Raises:
        NotRegistered: no such model.
        RegistryUnreachable: the tracking server does not answer.
        Unwritable: the switches differ, and the lock for moving them cannot be made.

    """
    switches = read_switches(store, name)
    if switches.agree:
        return switches.alias
    if not is_ours(store, name):
        return intention(switches)
    # Alias, stage and record are read one after the other, and differ while another process
    # promotes; under the lock, what differs was done by hand.
    with store.lock(name):
        return reconcile_in_turn(store, name)


def reconcile_in_turn(store: Store, name: str) -> int | None:
    """The same for who holds the lock already: `store.lock(name)`."""
    switches = read_switches(store, name)
    wanted = intention(switches)
    if not is_ours(store, name):
        return wanted
    is_told = _is_told(store, name, switches.recorded, wanted)
    if not is_told:
        _take_back(store, name, switches.recorded)
    if switches.agree:
        return wanted
    if wanted != switches.recorded and not is_told:
        kind: Kind = "observed" if wanted is not None else "removed"
        record(
            store,
            name,
            Event(now(), kind, switches.recorded, wanted, "mlflow", "changed by hand"),
        )
    set_production(store, name, wanted, switches)
    return wanted


def _is_told(store: Store, name: str, before: int | None, wanted: int | None) -> bool:
    """Whether the last event is this very change: a promotion that was killed before its end."""
    last = history(store, name)[-1:]
    return [(event.from_version, event.to_version) for event in last] == [(before, wanted)]


def is_unfinished(store: Store, name: str) -> bool:
    """Whether the history tells a move that is not done: it is going on, or it was killed."""
    last = history(store, name)[-1:]
    recorded = read_switches(store, name).recorded
    return any(event.to_version != recorded for event in last)


def _take_back(store: Store, name: str, recorded: int | None) -> None:
    """Let the history end with what is so: a move that was told and then killed was never done.

    It is told as a rollback, so that nobody rolls back to what was not in production.
    """
    last = history(store, name)[-1:]
    if last and last[0].to_version != recorded:
        why = "the move before was killed before it was done"
        record(
            store, name, Event(now(), "rolled_back", last[0].to_version, recorded, "slipway", why)
        )


def is_ours(store: Store, name: str) -> bool:
    """Whether any version of a model was made by `slipway train`."""
    return any(TAG_DIGEST in version.tags for version in store.versions.of(name))


def read_switches(store: Store, name: str) -> Switches:
    """Alias, stage and record as they stand."""
    model = store.models.get(name)
    staged = {v.version for v in store.versions.of(name) if v.stage == PRODUCTION_STAGE}
    text = model.tags.get(TAG_PRODUCTION, NONE)
    return Switches(model.aliases.get(PRODUCTION), staged, None if text == NONE else int(text))


def set_production(store: Store, name: str, version: int | None, before: Switches) -> None:
    """Let alias, stage and record say `version`.

    The alias is first and the record last: whoever is killed in between leaves a moved
    alias, which the next `reconcile` reads as the intention.
    """
    if version is None:
        if before.alias is not None:
            store.models.delete_alias(name)
        for staged in sorted(before.staged):
            store.versions.archive(name, staged)
    else:
        if before.alias != version:
            store.models.set_alias(name, version)
        if before.staged != {version}:
            store.versions.move_to_production_stage(name, version)
    store.models.set_tag(name, TAG_PRODUCTION, NONE if version is None else str(version))
