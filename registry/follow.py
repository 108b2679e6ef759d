"""Follow Production: look at the aliases, bring what they name, and move the pointers.

A process of its own, beside the service, which knows no MLflow: `bentoml serve` in a checkout
starts it, and it ends with its parent. Workers watch the pointers. Nothing that goes wrong here
touches them: they serve what they have.
"""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from contracts.errors import CorruptModel, PlatformError, RegistryUnreachable
from contracts.manifest import Pointer
from contracts.names import Layout
from registry.production import is_ours, reconcile
from registry.pull import bring, pointer_of, refuse, remove_pointer
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
    _store: Store | None = None
    _refused: dict[tuple[str, int], float] = field(default_factory=dict)
    _away: str = ""

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
            for model in self._store.models():
                self._look_at(self._store, model.name)
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

    def _look_at(self, store: Store, name: str) -> None:
        if not is_ours(store, name):
            return
        version = reconcile(store, name)
        if version is None:
            if remove_pointer(self.layout, name):
                logger.info("removed %s: nothing is in production", name)
            return
        pointed = pointer_of(self.layout, name)
        if (pointed is not None and pointed.version == version) or self._was_refused(name, version):
            return
        try:
            pointer = bring(store, self.layout, name, version, self.trial)
        except CorruptModel as err:
            self._refuse(store, name, version, pointed, err)
        else:
            logger.info("production of %s is version %d now", name, pointer.version)

    def _was_refused(self, name: str, version: int) -> bool:
        return time.monotonic() < self._refused.get((name, version), 0.0)

    def _refuse(
        self, store: Store, name: str, version: int, pointed: Pointer | None, err: CorruptModel
    ) -> None:
        self._refused[name, version] = time.monotonic() + AGAIN_S
        served = "nothing" if pointed is None else f"version {pointed.version}"
        logger.error("refused %s version %d: %s; %s serves on", name, version, err.what, served)
        refuse(store, self.layout, name, version, err)


def _wait(seconds: float, parent: int) -> bool:
    """Wait; False if the parent is gone meanwhile."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if os.getppid() != parent:
            return False
        time.sleep(min(STEP_S, seconds))
    return os.getppid() == parent
