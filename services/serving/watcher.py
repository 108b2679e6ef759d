"""The pointer watcher: loads the versions that the pointers name, and swaps them in.

A new version is loaded while the old one answers. The swap itself is one assignment between two
turns of the event loop: a request is answered by the version that accepted it, or by the new one.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from pathlib import Path

from contracts.errors import PlatformError
from contracts.manifest import Pointer
from contracts.names import CHALLENGER, PRODUCTION, Layout
from services.inference.loader import ServedModel, load_model
from services.inference.model_source import SPLIT_FILE, ModelSource
from services.serving.endpoint import SingleEndpoint
from services.serving.repository import ModelRepository
from services.settings import ServiceSettings

logger = logging.getLogger("bentoml.slipway")

POLL_INTERVAL_S = 0.5
FILES = (f"{PRODUCTION}.json", f"{CHALLENGER}.json", SPLIT_FILE)
FileIdentities = dict[Path, tuple[int, int]]
"""Inode and modification time in ns: a file that is replaced changes its identity."""


class PointerWatcher:
    """Keeps the repository of a worker in line with the pointers and splits of a source."""

    def __init__(
        self, repository: ModelRepository, source: ModelSource, settings: ServiceSettings
    ) -> None:
        self._repository = repository
        self._source = source
        self._refusals = Layout(settings.var).refusal("").parent
        self._seen: FileIdentities = {}
        self._refused: set[Pointer] = set()
        self._counted_refusals: FileIdentities = {}
        self._retiring: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Poll until the worker stops."""
        while self._repository.is_open:
            await asyncio.sleep(POLL_INTERVAL_S)
            try:
                await self.poll()
            except (PlatformError, OSError) as err:
                logger.error("pointers: %s; serving the loaded versions", err)  # noqa: TRY400 - the error names the file

    async def poll(self) -> None:
        """Read the pointers once, and load, swap and retire accordingly.

        Raises:
            InvalidDocument: a pointer to production cannot be read.
            OSError: a file cannot be read.

        """
        self._count_refusals()
        models = self._source.models
        seen = _identities(path for name in FILES for path in models.glob(f"*/{name}"))
        if seen == self._seen:
            return
        repository = self._repository
        repository.set_splits(self._source.splits())
        pointers = self._source.pointers() + repository.challenger_pointers(self._source)
        for pointer in pointers:
            if not self._is_served(pointer) and pointer not in self._refused:
                await self._swap(pointer)
        wanted = {(pointer.name, pointer.alias) for pointer in pointers}
        for name, role in [key for key in repository.versions if key not in wanted]:
            logger.info("%s is no longer in %s: not served any more", name, role)
            self._retire(repository.unload(name, role))
        # Set last, so that a failed poll is repeated.
        self._seen = seen

    def _count_refusals(self) -> None:
        """Count versions that the follower refused before they got a pointer."""
        found = _identities(self._refusals.glob("*.json"))
        for path, identity in found.items():
            if self._counted_refusals.get(path) != identity:
                self._repository.metrics.versions_refused.labels(path.stem).inc()
        self._counted_refusals = found

    def _is_served(self, pointer: Pointer) -> bool:
        endpoint = self._repository.versions.get((pointer.name, pointer.alias))
        return endpoint is not None and endpoint.served.pointer.digest == pointer.digest

    async def _swap(self, pointer: Pointer) -> None:
        """Load a version in a thread, then answer with it; a version that fails is refused."""
        loop = asyncio.get_running_loop()
        try:
            served = await loop.run_in_executor(None, self._load, pointer)
        except PlatformError as err:
            self._refused.add(pointer)
            self._repository.record_load_failure(pointer, err)
            return
        replaced = self._repository.load(served)
        logger.info("%s of %s is version %d now", pointer.alias, pointer.name, pointer.version)
        if replaced is not None:
            self._retire(replaced)

    def _load(self, pointer: Pointer) -> ServedModel:
        return load_model(self._source.directory(pointer), pointer)

    def _retire(self, endpoint: SingleEndpoint) -> None:
        task = asyncio.create_task(endpoint.retire())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)


def _identities(paths: Iterable[Path]) -> FileIdentities:
    """The identities of files; files deleted meanwhile are skipped."""
    found: FileIdentities = {}
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            stat = path.stat()
            found[path] = (stat.st_ino, stat.st_mtime_ns)
    return found
