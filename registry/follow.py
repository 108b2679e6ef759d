"""Follow the aliases: bring the versions that they name, and move the pointers.

A process of its own, beside the service, which knows no MLflow: `bentoml serve` in a checkout
starts it, and it ends with its parent. Workers watch the pointers. Nothing that goes wrong here
touches them: they serve what they have.
"""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from contracts.errors import CorruptModel, GateRefused, PlatformError, RegistryUnreachable
from contracts.manifest import Pointer
from contracts.names import CHALLENGER, PRODUCTION, SHADOW, Layout
from registry.alias_pointers import Roles
from registry.mlflow_store.models import StoredModel
from registry.production import is_ours, reconcile
from registry.pull import TAG_REFUSED, bring, pointer_of, refuse, remove_pointer
from registry.rollout import Rollout
from registry.shadow_process import Beside
from registry.store import Store
from registry.trial import Trial

logger = logging.getLogger("slipway.follow")

AGAIN_S = 60.0
"""So long a version that was refused is not tried again."""
LONGEST_PAUSE_S = 10.0
"""While the registry is away, it is asked more and more rarely, but not more rarely than this."""
STEP_S = 0.2


@dataclass
class Follower:
    """Keeps the pointers of this machine where the registry's Production is."""

    open_store: Callable[[], Store]
    layout: Layout
    trial: Trial
    every_s: float
    rollout: Rollout
    _store: Store | None = None
    _refused: dict[tuple[str, ...], float] = field(default_factory=dict)
    _branded: set[tuple[str, int]] = field(default_factory=set)
    _away: str = ""

    def __post_init__(self) -> None:
        self._roles = Roles(self.layout, self.trial)
        self._beside = Beside(self.layout)

    def follow(self, parent: int) -> None:
        """Look again and again, until the process `parent` is no longer ours."""
        pause_s = self.every_s
        while _wait(pause_s, parent):
            pause_s = self.every_s if self.look() else min(2 * pause_s, LONGEST_PAUSE_S)

    def look(self) -> bool:
        """Look once; False if the registry is away. Whatever fails is logged, once each."""
        try:
            if self._store is None:
                self._store = self.open_store()
            self._look_at_all(self._store)
            self._beside.see_to_it()
        except RegistryUnreachable as err:
            if str(err) != self._away:
                logger.warning("registry: %s; serving goes on", err.what)
            self._away, self._store = str(err), None
            return False
        except PlatformError as err:
            logger.error("follow: %s", err)  # noqa: TRY400 - the place is in the text
            return True
        if self._away:
            logger.info("registry: answers again")
            self._away = ""
        return True

    def _look_at_all(self, store: Store) -> None:
        """Look at every model; one whose files are away, or that is broken, delays no other."""
        away: RegistryUnreachable | None = None
        for model in store.models.all():
            try:
                self._look_at(store, model.name)
            except RegistryUnreachable as err:
                away = err
            except PlatformError as err:
                logger.error("follow: %s", err)  # noqa: TRY400 - the place is in the text
        if away is not None:
            raise away

    def _look_at(self, store: Store, name: str) -> None:
        if not is_ours(store, name):
            return
        version = reconcile(store, name)
        if version is None:
            if remove_pointer(self.layout, name):
                logger.info("removed %s: nothing is in production", name)
            return
        production = self._production(store, name, version)
        if production is not None:
            self._look_beside(store, store.models.get(name), production)

    def _production(self, store: Store, name: str, version: int) -> Pointer | None:
        """The pointer to Production, moved if need be; the old one where the new is refused."""
        pointed = pointer_of(self.layout, name)
        attempt = (name, PRODUCTION, str(version))
        if (pointed is not None and pointed.version == version) or self._was_refused(attempt):
            return pointed
        try:
            pointer = bring(store, self.layout, name, version, self.trial)
        except CorruptModel as err:
            served = "nothing" if pointed is None else f"version {pointed.version}"
            self._refuse(store, attempt, version, err, f"{served} serves on")
            return pointed
        logger.info("production of %s is version %d now", name, pointer.version)
        return pointer

    def _look_beside(self, store: Store, model: StoredModel, production: Pointer) -> None:
        """Follow the challenger and the shadow, and divide the requests."""
        wish = self._roles.wish(model)
        if self.rollout.settle(store, model, wish):
            # It may have moved what was read: the next look sees it as it is.
            return
        by = "" if wish is None else wish.by
        is_fit = self._is_fit(store, model, production, CHALLENGER, by)
        if not is_fit:
            self._roles.divide(model, 0.0, "", "")
        elif wish is not None and not wish.steps:
            self._roles.divide(model, wish.weight, by, "")
        elif wish is not None and (challenger := pointer_of(self.layout, model.name, CHALLENGER)):
            weight, canary = self.rollout.weight(store, model, wish, production, challenger)
            self._roles.divide(model, weight, by, canary)
        if not self._is_fit(store, model, production, SHADOW):
            self._roles.vacate(model.name, SHADOW)

    def _is_fit(
        self, store: Store, model: StoredModel, production: Pointer, role: str, by: str = ""
    ) -> bool:
        """Whether the version in a role may be asked; what is wrong with it is told."""
        version = model.aliases.get(role)
        if version in {None, production.version}:
            self._roles.vacate(model.name, role)
            return False
        # Whatever it depends on that changes is a reason to look again at once.
        attempt = (model.name, role, str(version), production.digest, by)
        if self._was_refused(attempt):
            return False
        try:
            self._roles.point(store, production, role, version, by)
        except (CorruptModel, GateRefused) as err:
            self._refuse(store, attempt, version, err, f"it is not asked as {role}")
            return False
        if (model.name, version) in self._branded:
            store.versions.delete_tag(model.name, version, TAG_REFUSED)
            self._branded.remove((model.name, version))
        return True

    def _was_refused(self, attempt: tuple[str, ...]) -> bool:
        return time.monotonic() < self._refused.get(attempt, 0.0)

    def _refuse(
        self, store: Store, attempt: tuple[str, ...], version: int, err: PlatformError, so: str
    ) -> None:
        name = attempt[0]
        self._refused[attempt] = time.monotonic() + AGAIN_S
        self._branded.add((name, version))
        logger.error("refused %s version %d: %s; %s", name, version, err.what, so)
        refuse(store, self.layout, name, version, err)


def _wait(seconds: float, parent: int) -> bool:
    """Wait; False if the parent is gone meanwhile."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if os.getppid() != parent:
            return False
        time.sleep(min(STEP_S, seconds))
    return os.getppid() == parent
