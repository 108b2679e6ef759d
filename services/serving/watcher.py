"""The pointer watcher: loads the versions that the pointers name, and swaps them in.

A new version is loaded while the old one answers. The swap itself is one assignment between two
turns of the event loop: a request is answered by the version that accepted it, or by the new one.

A version is unloaded only if its model's folder can be listed and two successive polls do not
find its file there. A folder that is missing, unmounted or unreadable says nothing about what to
serve: what is loaded stays loaded.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from contracts.errors import PlatformError
from contracts.manifest import Pointer
from contracts.names import CHALLENGER, PRODUCTION, Layout
from contracts.split import TrafficSplit
from services.inference.loader import ServedModel, load_model
from services.inference.model_source import SPLIT_FILE, ModelSource
from services.serving.endpoint import SingleEndpoint
from services.serving.repository import ModelRepository
from services.settings import ServiceSettings

logger = logging.getLogger("bentoml.slipway")

POLL_INTERVAL_S = 0.5
FILES = (f"{PRODUCTION}.json", f"{CHALLENGER}.json", SPLIT_FILE)
FileIdentities = dict[Path, tuple[int, int]]
"""Inode and change time in ns: a file that is replaced or rewritten changes its identity."""
Listing = Mapping[str, frozenset[str]]
"""The file names in each model's folder; a folder that cannot be listed is left out."""
VersionKey = tuple[str, str]
"""A model and a role."""


class PointerWatcher:
    """Keeps the repository of a worker in line with the pointers and splits of a source."""

    def __init__(
        self, repository: ModelRepository, source: ModelSource, settings: ServiceSettings
    ) -> None:
        self._repository = repository
        self._source = source
        self._refusals = Layout(settings.var).all_refusals
        self._seen: FileIdentities = {}
        self._counted_refusals: FileIdentities = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self._absent: set[VersionKey] = set()
        lasting = repository.failures.lasting_pointers()
        self._failed = {pointer: self._directory_files(pointer) for pointer in lasting}
        self._last_error = ""

    async def run(self) -> None:
        """Poll until the worker stops. Whatever fails is logged and counted, and polled again."""
        while self._repository.is_open:
            await asyncio.sleep(POLL_INTERVAL_S)
            try:
                await self.poll()
            except (PlatformError, OSError) as err:
                self._report(str(err))
            except Exception as err:  # noqa: BLE001 - a watcher that ends leaves its worker blind
                self._report(repr(err), err)
            else:
                self._report("")

    async def poll(self) -> None:
        """Read the pointers once, and load, swap and retire accordingly.

        Raises:
            OSError: the folder of the models cannot be listed, or one of a loaded model.

        """
        self._count_refusals()
        models = self._source.models
        listing = _list_folders(models)
        seen = _identities(
            models / name / file
            for name, files in listing.items()
            for file in FILES
            if file in files
        )
        for pointer in self._failed:
            seen |= self._directory_files(pointer)
        if seen != self._seen or self._absent:
            await self._follow(listing)
            # Set last, so that a failed poll is repeated.
            self._seen = seen
        lost = sorted({name for name, _ in self._repository.versions} - listing.keys())
        if lost:
            raise FileNotFoundError(f"{models}: expected a readable folder for {', '.join(lost)}")

    async def _follow(self, listing: Listing) -> None:
        """Load what the pointers name, and unload what twice had no pointer."""
        repository = self._repository
        repository.set_splits(self._splits(listing))
        pointers = self._source.pointers() + repository.challenger_pointers(self._source)
        failures: list[Exception] = []
        for pointer in pointers:
            if not self._is_served(pointer) and not self._has_failed(pointer):
                try:
                    await self._swap(pointer)
                except Exception as err:  # noqa: BLE001 - it must not keep other models from loading
                    failures.append(err)
        unreadable = self._source.unreadable_pointers()
        repository.failures.keep(pointers, unreadable)
        for name, reason in unreadable.items():
            repository.failures.record_unreadable(name, reason)
        self._failed = {p: seen for p, seen in self._failed.items() if p in pointers}
        wanted = {(pointer.name, pointer.alias) for pointer in pointers}
        unwanted = repository.versions.keys() - wanted
        absent = {key for key in unwanted if self._is_absent(key, listing)}
        for name, role in sorted(absent & self._absent):
            logger.info("%s is no longer in %s: not served any more", name, role)
            self._retire(repository.unload(name, role))
        self._absent = absent - self._absent
        if failures:
            raise failures[0]

    def _splits(self, listing: Listing) -> dict[str, TrafficSplit]:
        """The splits on disk; a model whose folder cannot be listed keeps the one it has."""
        kept = {n: split for n, split in self._repository.splits.items() if n not in listing}
        return kept | self._source.splits()

    def _is_absent(self, key: VersionKey, listing: Listing) -> bool:
        """Whether the model's folder can be listed, and lacks what the role is served by."""
        name, role = key
        files = listing.get(name)
        if files is None:
            return False
        return f"{role}.json" not in files or (role == CHALLENGER and SPLIT_FILE not in files)

    def _report(self, error: str, exception: Exception | None = None) -> None:
        """Count an error; log it if it is not the one that was logged last."""
        if error:
            self._repository.metrics.pointer_errors.inc()
        if error == self._last_error:
            return
        self._last_error = error
        if error:
            logger.error("pointers: %s; serving the loaded versions", error, exc_info=exception)
        else:
            logger.info("pointers: readable again")

    def _count_refusals(self) -> None:
        """Count versions that the follower refused before they got a pointer."""
        found = _identities(self._refusals.glob("*/*.json"))
        before, self._counted_refusals = self._counted_refusals, found
        if found == before:
            return
        metrics = self._repository.metrics
        for path, identity in found.items():
            if before.get(path) != identity:
                metrics.versions_refused.labels(path.parent.name).inc()
        in_force = Counter(path.parent.name for path in found)
        for name in in_force.keys() | {path.parent.name for path in before}:
            metrics.refused_versions.labels(name).set(in_force[name])

    def _is_served(self, pointer: Pointer) -> bool:
        endpoint = self._repository.versions.get((pointer.name, pointer.alias))
        return endpoint is not None and endpoint.served.pointer.digest == pointer.digest

    def _has_failed(self, pointer: Pointer) -> bool:
        """Whether a version failed to load, and its directory is still the same."""
        is_known = pointer in self._failed
        return is_known and self._failed[pointer] == self._directory_files(pointer)

    def _directory_files(self, pointer: Pointer) -> FileIdentities:
        directory = self._source.local_directory(pointer)
        return _identities([directory, *directory.glob("*")])

    async def _swap(self, pointer: Pointer) -> None:
        """Load a version in a thread, then answer with it; a version that fails is refused."""
        loop = asyncio.get_running_loop()
        before = self._directory_files(pointer)
        try:
            served = await loop.run_in_executor(None, self._load, pointer)
        except OSError:
            raise  # the next poll tries again
        except Exception as err:  # noqa: BLE001 - however it fails, the same files fail again
            self._failed[pointer] = before
            self._repository.failures.record(pointer, err)
            return
        self._failed.pop(pointer, None)
        replaced = self._repository.load(served)
        logger.info("%s of %s is version %d now", pointer.alias, pointer.name, pointer.version)
        if replaced is not None:
            self._retire(replaced)

    def _load(self, pointer: Pointer) -> ServedModel:
        return load_model(self._source.directory(pointer), pointer, self._repository.limits)

    def _retire(self, endpoint: SingleEndpoint) -> None:
        task = asyncio.create_task(endpoint.retire())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)


def _list_folders(models: Path) -> Listing:
    """The file names in each model's folder.

    Raises:
        OSError: the folder of the models is missing, or cannot be listed.

    """
    listing: dict[str, frozenset[str]] = {}
    for folder in models.iterdir():
        with contextlib.suppress(OSError):
            listing[folder.name] = frozenset(path.name for path in folder.iterdir())
    return listing


def _identities(paths: Iterable[Path]) -> FileIdentities:
    """The identities of files; files that are deleted meanwhile or unreadable are skipped."""
    found: FileIdentities = {}
    for path in paths:
        with contextlib.suppress(OSError):
            stat = path.stat()
            found[path] = (stat.st_ino, stat.st_ctime_ns)
    return found
