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
from typing import Literal

from contracts.errors import CorruptModel, GateRefused, PlatformError, RegistryUnreachable
from contracts.manifest import Pointer
from contracts.names import CHALLENGER, PRODUCTION, ROLES, SHADOW, Layout
from contracts.printable import printable
from registry.alias_sync import AliasSync
from registry.heartbeat import write_heartbeat
from registry.mlflow_store.models import StoredModel
from registry.pointers import read_pointer, remove_pointer, write_pointer
from registry.preparation import Preparations
from registry.production import is_managed, reconcile
from registry.refusals import keep_models, keep_refusals, must_wait, refuse, take_back
from registry.rollout import Rollout
from registry.shadow_process import ShadowProcess
from registry.split_spec import SplitSpec
from registry.store import Store
from registry.trial import VersionTrial

logger = logging.getLogger("slipway.follow")

MAX_PAUSE_S = 10.0
"""The pause between polls grows up to this while the registry does not answer."""
STEP_S = 0.2

Pointing = Literal["pointed", "preparing", "no"]
"""Whether a role's pointer names the version of its alias."""


@dataclass
class Follower:
    """Keeps the pointers of this machine where the registry's aliases are."""

    open_store: Callable[[], Store]
    layout: Layout
    trial: VersionTrial
    poll_s: float
    rollout: Rollout
    _store: Store | None = None
    _passed: set[tuple[str, str, int]] = field(default_factory=set)
    _outage: str = ""

    def __post_init__(self) -> None:
        self.preparations = Preparations(self.layout, self.trial)
        self._alias_sync = AliasSync(self.layout, self.preparations)
        self._shadow_process = ShadowProcess(self.layout)

    def follow(self, parent: int | None) -> None:
        """Poll until the process `parent`, if there is one to watch, is no longer our parent."""
        pause_s = self.poll_s
        while self._wait(pause_s, parent):
            pause_s = self.poll_s if self.poll() else min(2 * pause_s, MAX_PAUSE_S)

    def settle(self) -> bool:
        """Poll until no version is being prepared; False if the registry does not answer."""
        while True:
            n_ended = self.preparations.n_ended
            if not self.poll():
                return False
            if self.preparations.n_started == n_ended:
                return True
            self.preparations.changed.wait(STEP_S)

    def poll(self) -> bool:
        """Look at every model once; False if the registry does not answer. Errors are logged.

        A version that is not here yet is prepared meanwhile; a later poll points at it.
        """
        self.preparations.changed.clear()
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
        models = store.models.all()
        keep_models(self.layout, {model.name for model in models})
        for model in models:
            try:
                self._follow_model(store, model)
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

    def _follow_model(self, store: Store, model: StoredModel) -> None:
        name = model.name
        if not is_managed(store, name):
            return
        version = reconcile(store, name)
        if version is None:
            keep_refusals(self.layout, name, {})
            if remove_pointer(self.layout, name):
                logger.info("removed %s: nothing is in production", name)
            return
        roles = {role: model.aliases[role] for role in ROLES if role in model.aliases}
        keep_refusals(self.layout, name, roles | {PRODUCTION: version})
        production = self._follow_production(store, name, version)
        if production is not None and not self._completes_canary(production, version):
            self._follow_roles(store, store.models.get(name), production)

    def _completes_canary(self, production: Pointer, version: int) -> bool:
        """Whether the challenger is about to be production.

        Its users stay with it until then; otherwise they would briefly get the old version.
        """
        if production.version == version:
            return False
        challenger = read_pointer(self.layout, production.name, CHALLENGER)
        is_refused = self.layout.refusal(production.name, PRODUCTION, version).exists()
        return challenger is not None and challenger.version == version and not is_refused

    def _follow_production(self, store: Store, name: str, version: int) -> Pointer | None:
        """Move the pointer to production; returns the pointer in force.

        That is the old one while the version is being prepared, and if it is refused.
        """
        present = read_pointer(self.layout, name)
        if present is not None and present.version == version:
            self._pass(store, name, PRODUCTION, version)
            return present
        if must_wait(store, self.layout, name, PRODUCTION, version):
            return present
        try:
            pointer = self.preparations.result(store, name, version)
        except CorruptModel as err:
            served = "nothing" if present is None else f"version {present.version}"
            self._refuse(store, name, PRODUCTION, version, err, f"{served} is still served")
            return present
        if pointer is None:
            return present
        pointer = write_pointer(self.layout, pointer)
        logger.info("production of %s is version %d now", name, pointer.version)
        self._pass(store, name, PRODUCTION, version)
        return pointer

    def _follow_roles(self, store: Store, model: StoredModel, production: Pointer) -> None:
        """Follow challenger and shadow, and split the requests."""
        pointers = self._alias_sync
        spec = pointers.split_spec(model)
        if self.rollout.finish_ended(store, model, spec):
            # It may have changed the model that was read; the next poll sees it as it is.
            return
        by = "" if spec is None else spec.by
        pointing = self._point_role(store, model, production, CHALLENGER, by)
        if pointing == "no":
            pointers.write_split(model, 0.0, "", "")
        elif pointing == "pointed" and spec is not None:
            self._share_traffic(store, model, production, spec)
        if self._point_role(store, model, production, SHADOW) == "no":
            pointers.clear(model.name, SHADOW)

    def _share_traffic(
        self, store: Store, model: StoredModel, production: Pointer, spec: SplitSpec
    ) -> None:
        """Give the challenger the share that people want, or its canary has reached."""
        pointers = self._alias_sync
        if not spec.steps:
            pointers.write_split(model, spec.weight, spec.by, "")
        elif challenger := read_pointer(self.layout, model.name, CHALLENGER):
            weight, canary = self.rollout.advance(store, model, spec, production, challenger)
            pointers.write_split(model, weight, spec.by, canary)

    def _point_role(
        self, store: Store, model: StoredModel, production: Pointer, role: str, by: str = ""
    ) -> Pointing:
        """Point a role at the version of its alias, if there is one that may be asked."""
        name, version = model.name, model.aliases.get(role)
        if version in {None, production.version}:
            self._alias_sync.clear(name, role)
            return "no"
        against = " ".join(filter(None, (production.digest, by)))
        if must_wait(store, self.layout, name, role, version, against):
            return "no"
        try:
            if not self._alias_sync.point(store, production, role, version, by):
                return "preparing"
        except (CorruptModel, GateRefused) as err:
            # Only the gate's refusal depends on production; a corrupt version is so by itself.
            cause = against if isinstance(err, GateRefused) else ""
            self._refuse(store, name, role, version, err, f"it is not used as {role}", cause)
            return "no"
        self._pass(store, name, role, version)
        return "pointed"

    def _refuse(
        self,
        store: Store,
        name: str,
        role: str,
        version: int,
        err: PlatformError,
        consequence: str,
        against: str = "",
    ) -> None:
        text = printable(err.what)
        logger.error("refused %s version %d: %s; %s", name, version, text, consequence)
        self._passed.discard((name, role, version))
        refuse(store, self.layout, name, role, version, err, against)

    def _pass(self, store: Store, name: str, role: str, version: int) -> None:
        """End a version's refusals, once after it is pointed at, or after this process started."""
        if (name, role, version) not in self._passed:
            take_back(store, self.layout, name, role, version)
            self._passed.add((name, role, version))

    def _wait(self, seconds: float, parent: int | None) -> bool:
        """Wait, or until a version is prepared; returns False as soon as the parent is gone."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if parent not in (None, os.getppid()):
                return False
            if self.preparations.changed.wait(min(STEP_S, seconds)):
                break
        return parent in (None, os.getppid())
