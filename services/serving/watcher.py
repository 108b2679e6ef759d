"""The watch: what the pointers name is loaded beside what is served, and takes its place.

The exchange itself is one assignment between two turns of the event loop: a request is answered
by the version that accepted it, or by the new one, never by both.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from pathlib import Path

from contracts.errors import PlatformError
from contracts.manifest import Pointer
from contracts.names import CHALLENGER, PRODUCTION, Layout
from services.inference.loader import find_pointers, find_splits, load, models_layout
from services.serving.endpoint import SingleEndpoint
from services.serving.repository import ModelRepository
from services.settings import ServiceSettings

logger = logging.getLogger("bentoml.slipway")

POLL_S = 0.5
FILES = (f"{PRODUCTION}.json", f"{CHALLENGER}.json", "split.json")
Seen = dict[Path, tuple[int, int]]


class PointerWatcher:
    """Keeps a worker's repository with the models that are pointed at."""

    def __init__(self, repository: ModelRepository, settings: ServiceSettings) -> None:
        self._repository = repository
        self._layout = models_layout(settings)
        self._refusals = Layout(settings.var).refusal("").parent
        self._seen: Seen = {}
        self._refused: set[Pointer] = set()
        self._counted_refusals: Seen = {}
        self._retiring: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Look again and again, until the worker stops."""
        while self._repository.is_open:
            await asyncio.sleep(POLL_S)
            try:
                await self.poll()
            except (PlatformError, OSError) as err:
                logger.error("watch: %s; serving what is served", err)  # noqa: TRY400 - the place is in the text

    async def poll(self) -> None:
        """Look once at the pointers, and bring the repository in line."""
        self._count_refusals()
        seen = self._look_at_files()
        if seen == self._seen:
            return
        self._repository.set_splits(find_splits(self._layout))
        pointers = find_pointers(self._layout) + self._repository.challenger_pointers(self._layout)
        for pointer in pointers:
            if not self._is_served(pointer) and pointer not in self._refused:
                await self._exchange(pointer)
        wanted = {(pointer.name, pointer.alias) for pointer in pointers}
        for name, role in [key for key in self._repository.versions if key not in wanted]:
            logger.info("%s is no longer in %s: not served any more", name, role)
            self._retire(self._repository.unload(name, role))
        # Last: what a disk that failed has interrupted is looked at again.
        self._seen = seen

    def _look_at_files(self) -> Seen:
        """Which pointer files there are; a file that is written anew is another file."""
        models = self._layout.all_models
        return _seen_of(path for name in FILES for path in models.glob(f"*/{name}"))

    def _count_refusals(self) -> None:
        """Count what was refused before it was pointed at; a refusal written anew is another."""
        told = _seen_of(self._refusals.glob("*.json"))
        for path, mark in told.items():
            if self._counted_refusals.get(path) != mark:
                self._repository.metrics.versions_refused.labels(path.stem).inc()
        self._counted_refusals = told

    def _is_served(self, pointer: Pointer) -> bool:
        endpoint = self._repository.versions.get((pointer.name, pointer.alias))
        return endpoint is not None and endpoint.served.pointer.digest == pointer.digest

    async def _exchange(self, pointer: Pointer) -> None:
        """Load a version beside the one that answers, and let it take its place."""
        loop = asyncio.get_running_loop()
        try:
            served = await loop.run_in_executor(None, load, self._layout, pointer)
        except PlatformError as err:
            self._refused.add(pointer)
            self._repository.record_load_failure(pointer, err)
            return
        before = self._repository.load(served)
        logger.info("%s of %s is version %d now", pointer.alias, pointer.name, pointer.version)
        if before is not None:
            self._retire(before)

    def _retire(self, endpoint: SingleEndpoint) -> None:
        task = asyncio.create_task(endpoint.retire())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)


def _seen_of(paths: Iterable[Path]) -> Seen:
    """How files look now; one that was taken away between two looks is not there."""
    found: Seen = {}
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            stat = path.stat()
            found[path] = (stat.st_ino, stat.st_mtime_ns)
    return found
