"""Follow the aliases: fetch the versions that they name, and move the pointers.

A process of its own next to the service, which knows no MLflow: `bentoml serve` in a checkout
starts it, and it ends with its parent. Workers watch the pointers. An error here does not reach
them: they go on serving what they have.
"""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from contracts.errors import CorruptModel, GateRefused, PlatformError, RegistryUnreachable
from contracts.manifest import Pointer
from contracts.names import CHALLENGER, PRODUCTION, SHADOW, Layout
from contracts.printable import printable
from registry.alias_pointers import AliasPointers
from registry.heartbeat import write_heartbeat
from registry.mlflow_store.models import StoredModel
from registry.pointers import read_pointer, remove_pointer
from registry.production import is_managed, reconcile
from registry.pull import install_version
from registry.refusals import TAG_REFUSED, record_refusal
from registry.rollout import Rollout
from registry.shadow_process import ShadowProcess
from registry.store import Store
from registry.trial import VersionTrial

logger = logging.getLogger("slipway.follow")

RETRY_REFUSED_S = 60.0
"""Seconds before a version that was refused is tried again."""
MAX_PAUSE_S = 10.0
"""The pause between polls grows up to this while the registry does not answer."""
STEP_S = 0.2

Attempt = tuple[str, ...]
"""A model, a role, a version, and whatever else its refusal depends on."""


@dataclass
class Follower:
    """Keeps the pointers of this machine where the registry's aliases are."""

    open_store: Callable[[], Store]
    layout: Layout
    trial: VersionTrial
    poll_s: float
    rollout: Rollout
    _store: Store | None = None
    _retry_at: dict[Attempt, float] = field(default_factory=dict)
    _tagged: set[tuple[str, int]] = field(default_factory=set)
    _outage: str = ""

    def __post_init__(self) -> None:
        self._alias_pointers = AliasPointers(self.layout, self.trial)
        self._shadow_process = ShadowProcess(self.layout)

    def follow(self, parent: int) -> None:
        """Poll until the process `parent` is no longer our parent."""
        pause_s = self.poll_s
        while _wait(pause_s, parent):
            pause_s = self.poll_s if self.poll() else min(2 * pause_s, MAX_PAUSE_S)

    def poll(self) -> bool:
        """Look at every model once; False if the registry does not answer. Errors are logged."""
        try:
            if self._store is None:
                self._store = self.open_store()
            self._follow_all(self._store)
            self._shadow_process.ensure()
        except RegistryUnreachable as err:
            if str(err) != self._outage:
                logger.warning("registry: %s; serving goes on", err.what)
            self._outage, self._store = str(err), None
            return False
        except PlatformError as err:
            logger.error("follow: %s", err)  # noqa: TRY400 - a traceback adds nothing
            return True
        except Exception:
            # An error that nobody expected must not end the follower: the service would serve
            # on, and follow nothing.
            logger.exception("follow: an unexpected error; the next poll tries again")
            return True
        if self._outage:
            logger.info("registry: answers again")
            self._outage = ""
        return True

    def _follow_all(self, store: Store) -> None:
        """Follow every model; one that is broken, or whose files are away, delays no other."""
        outage: RegistryUnreachable | None = None
        for model in store.models.all():
            try:
                self._follow_model(store, model.name)
            except RegistryUnreachable as err:
                outage = err
            except PlatformError as err:
                logger.error("follow: %s", err)  # noqa: TRY400 - a traceback adds nothing
            except Exception:
                # As in `poll`: one model must not keep the others from being followed.
                logger.exception("follow: %s: an unexpected error", printable(model.name))
        if outage is not None:
            raise outage
        write_heartbeat(self.layout)

    def _follow_model(self, store: Store, name: str) -> None:
        if not is_managed(store, name):
            return
        version = reconcile(store, name)
        if version is None:
            if remove_pointer(self.layout, name):
                logger.info("removed %s: nothing is in production", name)
            return
        production = self._follow_production(store, name, version)
        if production is not None:
            self._follow_roles(store, store.models.get(name), production)

    def _follow_production(self, store: Store, name: str, version: int) -> Pointer | None:
        """Move the pointer to production; returns the pointer in force, the old one on refusal."""
        present = read_pointer(self.layout, name)
        attempt = (name, PRODUCTION, str(version))
        if (present is not None and present.version == version) or self._must_wait(attempt):
            return present
        try:
            pointer = install_version(store, self.layout, name, version, self.trial)
        except CorruptModel as err:
            served = "nothing" if present is None else f"version {present.version}"
            self._refuse(store, attempt, version, err, f"{served} is still served")
            return present
        logger.info("production of %s is version %d now", name, pointer.version)
        return pointer

    def _follow_roles(self, store: Store, model: StoredModel, production: Pointer) -> None:
        """Follow challenger and shadow, and split the requests."""
        pointers = self._alias_pointers
        spec = pointers.split_spec(model)
        if self.rollout.finish_ended(store, model, spec):
            # It may have changed the model that was read; the next poll sees it as it is.
            return
        by = "" if spec is None else spec.by
        if not self._point_role(store, model, production, CHALLENGER, by):
            pointers.write_split(model, 0.0, "", "")
        elif spec is not None and not spec.steps:
            pointers.write_split(model, spec.weight, by, "")
        elif spec is not None and (challenger := read_pointer(self.layout, model.name, CHALLENGER)):
            weight, canary = self.rollout.advance(store, model, spec, production, challenger)
            pointers.write_split(model, weight, by, canary)
        if not self._point_role(store, model, production, SHADOW):
            pointers.clear(model.name, SHADOW)

    def _point_role(
        self, store: Store, model: StoredModel, production: Pointer, role: str, by: str = ""
    ) -> bool:
        """Point a role at the version of its alias; returns whether that version may be asked."""
        version = model.aliases.get(role)
        if version in {None, production.version}:
            self._alias_pointers.clear(model.name, role)
            return False
        # A change of anything that the refusal depends on is a reason to try again at once.
        attempt = (model.name, role, str(version), production.digest, by)
        if self._must_wait(attempt):
            return False
        try:
            self._alias_pointers.point(store, production, role, version, by)
        except (CorruptModel, GateRefused) as err:
            self._refuse(store, attempt, version, err, f"it is not used as {role}")
            return False
        if (model.name, version) in self._tagged:
            store.versions.delete_tag(model.name, version, TAG_REFUSED)
            self._tagged.remove((model.name, version))
        return True

    def _must_wait(self, attempt: Attempt) -> bool:
        return time.monotonic() < self._retry_at.get(attempt, 0.0)

    def _refuse(
        self, store: Store, attempt: Attempt, version: int, err: PlatformError, consequence: str
    ) -> None:
        name = attempt[0]
        self._retry_at[attempt] = time.monotonic() + RETRY_REFUSED_S
        self._tagged.add((name, version))
        logger.error("refused %s version %d: %s; %s", name, version, err.what, consequence)
        record_refusal(store, self.layout, name, version, err)


def _wait(seconds: float, parent: int) -> bool:
    """Wait; returns False as soon as the parent is gone."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if os.getppid() != parent:
            return False
        time.sleep(min(STEP_S, seconds))
    return os.getppid() == parent
