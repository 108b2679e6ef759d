"""Where a process finds its models: pointers, splits and model directories on this machine."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from contracts.documents import Document
from contracts.errors import CorruptModel, InvalidDocument
from contracts.integrity import FETCH_AGAIN
from contracts.manifest import Pointer
from contracts.names import PRODUCTION, Layout
from contracts.split import TrafficSplit

D = TypeVar("D", bound=Document)
FindStored = Callable[[Pointer], Path | None]
"""Finds a model directory outside `var/models`; None if it is not there either."""

SPLIT_FILE = "split.json"

logger = logging.getLogger("bentoml.slipway")


class ModelSource:
    """The models below `var/models`, and in a second place if `find_stored` knows one."""

    def __init__(self, layout: Layout, find_stored: FindStored | None = None) -> None:
        self._layout = layout
        self._find_stored = find_stored
        self.models = layout.all_models

    def pointers(self) -> list[Pointer]:
        """The pointers to production, by name of the model; as `role_pointers`."""
        return self.role_pointers(PRODUCTION)

    def role_pointers(self, role: str) -> list[Pointer]:
        """The pointers of a role, by name of the model; an unreadable one is logged and skipped."""
        return list(self._readable(Pointer, f"{role}.json"))

    def unreadable_pointers(self) -> dict[str, InvalidDocument]:
        """Why pointers to production cannot be read, by name of the model."""
        read = self._read_all(Pointer, f"{PRODUCTION}.json")
        return {name: each for name, each in read if isinstance(each, InvalidDocument)}

    def splits(self) -> dict[str, TrafficSplit]:
        """Traffic splits by model name; an unreadable one is logged and skipped."""
        return {split.model: split for split in self._readable(TrafficSplit, SPLIT_FILE)}

    def directory(self, pointer: Pointer) -> Path:
        """The model directory of a pointer.

        Raises:
            CorruptModel: it is in neither place.

        """
        local = self.local_directory(pointer)
        if local.is_dir():
            return local
        stored = None if self._find_stored is None else self._find_stored(pointer)
        if stored is None:
            raise CorruptModel(
                f"{pointer.name} version {pointer.version}: expected {local} or the model "
                f"{pointer.bento_tag} in BentoML's store, got neither",
                remedy=FETCH_AGAIN,
            )
        return stored

    def local_directory(self, pointer: Pointer) -> Path:
        """Where the model directory of a pointer is below `var/models`, if it is there."""
        return self._layout.model(pointer.name, pointer.version)

    def _readable(self, kind: type[D], name: str) -> Iterator[D]:
        for _, each in self._read_all(kind, name):
            if isinstance(each, InvalidDocument):
                logger.error("%s; ignoring the file", each.what)
            else:
                yield each

    def _read_all(self, kind: type[D], name: str) -> Iterator[tuple[str, D | InvalidDocument]]:
        """By name of the model, the document of that name, or why it cannot be read."""
        for path in sorted(self.models.glob(f"*/{name}")):
            model = path.parent.name
            try:
                yield model, kind.read(path.read_bytes(), str(path))
            except FileNotFoundError:
                continue  # deleted meanwhile
            except InvalidDocument as err:
                yield model, err
            except OSError as err:
                what = f"{path}: expected a readable file, got {err.strerror}"
                yield model, InvalidDocument(what, remedy=FETCH_AGAIN)
