"""Versions that are being prepared: downloaded, verified and tried, each in a thread of its own.

A version may take a minute to fail its trial, and longer to arrive. Meanwhile the follower goes on
with every other model, and with the other roles of the same one.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import BoundedSemaphore, Event, Lock, Thread

from contracts.manifest import Pointer
from contracts.names import Layout
from registry.pull import fetch_version
from registry.store import Store
from registry.trial import VersionTrial

MAX_PREPARATIONS = 8
"""At most this many versions are prepared at a time; each may be a process with a model in it."""
MAX_RESULT_AGE_S = 60.0
"""A result that nobody asked for within this time is not used: the files may have changed."""


@dataclass
class _Preparation:
    """The result of a preparation, or its error; `ended` is a monotonic time in seconds."""

    result: Future[Pointer] = field(default_factory=Future)
    ended: float = 0.0


@dataclass
class Preparations:
    """Prepares versions for one data folder.

    `changed` is set whenever a preparation ends; `n_started` and `n_ended` count them.
    """

    layout: Layout
    trial: VersionTrial
    changed: Event = field(default_factory=Event)
    n_started: int = 0
    n_ended: int = 0
    _running: dict[tuple[str, int], _Preparation] = field(default_factory=dict)
    _counting: Lock = field(default_factory=Lock)
    _slots: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(MAX_PREPARATIONS))

    def result(self, store: Store, name: str, version: int) -> Pointer | None:
        """The pointer to a prepared version, unwritten; None while it is being prepared.

        The first call starts the preparation.

        Raises:
            NotRegistered: no such model or version.
            CorruptModel: the version is not what was registered, or does not pass the trial.
            RegistryUnreachable: the tracking server or its artifact store does not answer.
            Unwritable: a disk of this machine is full, or a folder belongs to another user.

        """
        found = self._running.get((name, version))
        if found is None or _is_stale(found):
            self._running[name, version] = found = _Preparation()
            self.n_started += 1
            work = (found, lambda: self._prepare(store, name, version))
            # A daemon: a trial that hangs must not keep the follower from ending.
            Thread(target=self._run, args=work, name=f"prepare-{name}", daemon=True).start()
        if not found.result.done():
            return None
        if found.result.exception() is not None:
            del self._running[name, version]
        return found.result.result()

    def _prepare(self, store: Store, name: str, version: int) -> Pointer:
        with self._slots:
            pointer = fetch_version(store, self.layout, name, version)
            self.trial(self.layout, pointer)
            return pointer

    def _run(self, preparation: _Preparation, prepare: Callable[[], Pointer]) -> None:
        try:
            pointer = prepare()
        except BaseException as err:  # noqa: BLE001 - whoever asks for the result gets it
            preparation.result.set_exception(err)
        else:
            preparation.ended = time.monotonic()
            preparation.result.set_result(pointer)
        with self._counting:
            self.n_ended += 1
        self.changed.set()


def _is_stale(preparation: _Preparation) -> bool:
    """Whether a preparation succeeded too long ago."""
    age_s = time.monotonic() - preparation.ended
    return bool(preparation.ended) and age_s > MAX_RESULT_AGE_S
