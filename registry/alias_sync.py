"""The versions that the aliases `challenger` and `shadow` name, kept in step on this machine.

Both are prepared as production is, before their pointer moves. A version that cannot
be served is reported, and affects nothing else. `split.json` holds the challenger's share.
"""

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime

from msgspec.structs import replace

from contracts.errors import GateRefused, InvalidSplit
from contracts.files import unwritable, write_whole
from contracts.manifest import Pointer
from contracts.names import CHALLENGER, MANIFEST_FILE, TAG_CHALLENGER_SPLIT, Layout
from contracts.split import TrafficSplit
from contracts.times import utc_text
from registry.compatibility import compatibility
from registry.mlflow_store.models import StoredModel
from registry.model_directory import read_manifest
from registry.pointers import read_pointer, read_split, remove_pointer, write_pointer
from registry.preparation import Preparations
from registry.split_spec import OFF, SplitSpec, parse_split
from registry.store import Store

logger = logging.getLogger("slipway.follow")


@dataclass
class AliasSync:
    """Keeps the pointers of challenger and shadow, and the split, as the registry wants them."""

    layout: Layout
    preparations: Preparations
    _incompatible: dict[tuple[str, str, str], tuple[str, ...]] = field(default_factory=dict)
    _last_error: dict[str, str] = field(default_factory=dict)

    def point(self, store: Store, production: Pointer, role: str, version: int, by: str) -> bool:
        """Point a role at a version, if it can answer what production is asked.

        Returns False while the version is being prepared. `by` names the feature that identifies
        the unit of a request; empty for none.

        Raises:
            CorruptModel: the version is not what was registered, or cannot be served.
            GateRefused: it would refuse requests that production answers.
            RegistryUnreachable: the tracking server or its artifact store does not answer.

        """
        name = production.name
        pointer = read_pointer(self.layout, name, role)
        if pointer is not None and pointer.version == version:
            self._check_compatible(production, pointer, by)
            return True
        prepared = self.preparations.result(store, name, version)
        if prepared is None:
            return False
        self._check_compatible(production, prepared, by)
        write_pointer(self.layout, replace(prepared, alias=role))
        logger.info("%s: version %d is the %s now", name, version, role)
        return True

    def clear(self, name: str, role: str) -> None:
        """Remove the pointer of a role."""
        if remove_pointer(self.layout, name, role):
            logger.info("%s: no %s any more", name, role)

    def write_split(self, model: StoredModel, weight: float, by: str, canary: str) -> None:
        """Give this share of the units to the challenger that is pointed at; 0 removes the split.

        `canary` is the id of the canary that wants it; empty for none.

        Raises:
            Unwritable: the file of the split cannot be written.

        """
        path = self.layout.split(model.name)
        pointer = read_pointer(self.layout, model.name, CHALLENGER)
        try:
            if pointer is None or not weight:
                if path.is_file():
                    path.unlink()
                    logger.info("%s: production answers every request", model.name)
                return
            split = TrafficSplit(
                model=model.name,
                challenger_version=pointer.version,
                challenger_digest=pointer.digest,
                weight=weight,
                by=by,
                canary=canary,
                since=utc_text(datetime.now(UTC)),
            )
            if not _same_split(read_split(self.layout, model.name), split):
                write_whole(path, split.write_pretty())
                text = "%s: challenger version %d answers %.4g %%"
                logger.info(text, model.name, pointer.version, 100 * weight)
        except OSError as err:
            raise unwritable(path, err) from err

    def split_spec(self, model: StoredModel) -> SplitSpec | None:
        """The desired split; None where it cannot be read: then the present one stays."""
        text = model.tags.get(TAG_CHALLENGER_SPLIT, OFF)
        try:
            return parse_split(text)
        except InvalidSplit as err:
            self._log_once(
                model.name,
                f"tag {TAG_CHALLENGER_SPLIT} of {model.name}: {err.what}; nothing changes",
            )
            return None

    def _log_once(self, name: str, error: str) -> None:
        """Log an error of a model, unless it is the one that was logged last."""
        if self._last_error.get(name) != error:
            self._last_error[name] = error
            logger.error("%s", error)

    def _check_compatible(self, production: Pointer, pointer: Pointer, by: str) -> None:
        """Refuse a version that promises clients less; each pair of versions is read once."""
        pair = (production.digest, pointer.digest, by)
        if pair not in self._incompatible:
            self._incompatible[pair] = self._reasons(production, pointer, by)
        if self._incompatible[pair]:
            raise GateRefused(
                "; ".join(self._incompatible[pair]),
                remedy="train a version that takes the same requests",
            )

    def _reasons(self, production: Pointer, pointer: Pointer, by: str) -> tuple[str, ...]:
        ours, theirs = (
            read_manifest(self.layout.model(p.name, p.version) / MANIFEST_FILE, p.digest)
            for p in (pointer, production)
        )
        broken = [check.sentence for check in compatibility(ours, theirs) if check.refuses]
        if by and by not in theirs.schema.names:
            known = ", ".join(theirs.schema.names)
            broken.append(f"by: expected one of the features {known}, got {by!r}")
        return tuple(broken)


def _same_split(present: TrafficSplit | None, split: TrafficSplit) -> bool:
    """Whether both split in the same way, since whenever."""
    return present is not None and _without_time(present) == _without_time(split)


def _without_time(split: TrafficSplit) -> tuple[object, ...]:
    return (split.challenger_digest, split.challenger_version, split.weight, split.by, split.canary)
