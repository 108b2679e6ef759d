"""Follow the challenger and the shadow: the versions beside Production.

Both come here as Production does, verified and tried, before their pointer moves; what is
wrong with them is said, and disturbs nobody. `split.json` says the challenger's share.
"""

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime

from contracts.errors import GateRefused, InvalidDocument, InvalidSplit
from contracts.files import unwritable, write_whole
from contracts.manifest import Pointer
from contracts.names import CHALLENGER, MANIFEST_FILE, TAG_CHALLENGER_SPLIT, Layout
from contracts.split import TrafficSplit
from registry.gate import contract
from registry.mlflow_store.models import StoredModel
from registry.model_directory import read_manifest
from registry.pull import bring, pointer_of, pull_version, remove_pointer
from registry.split_spec import OFF, Wish, parse
from registry.store import Store
from registry.trial import Trial

logger = logging.getLogger("slipway.follow")


@dataclass
class Roles:
    """Keeps the pointers of the versions beside Production, and the split, where they belong."""

    layout: Layout
    trial: Trial
    _unfit: dict[tuple[str, str, str], tuple[str, ...]] = field(default_factory=dict)
    _told: dict[str, str] = field(default_factory=dict)

    def point(self, store: Store, production: Pointer, role: str, version: int, by: str) -> None:
        """Let the pointer of a role name a version, if it can be asked what Production is asked.

        `by` names the feature that says the unit of a request.

        Raises:
            CorruptModel: the version is not what was registered, or cannot be served.
            GateRefused: requests that Production answers would be refused.
            RegistryUnreachable: the tracking server or its artifact store does not answer.

        """
        name = production.name
        pointer = pointer_of(self.layout, name, role)
        if pointer is not None and pointer.version == version:
            self._check_fit(production, pointer, by)
            return
        coming = pull_version(store, self.layout, name, version, point=False)
        self._check_fit(production, coming, by)
        bring(store, self.layout, name, version, self.trial, role)
        logger.info("%s of %s is version %d now", role, name, version)

    def vacate(self, name: str, role: str) -> None:
        """Let a role be nobody's."""
        if remove_pointer(self.layout, name, role):
            logger.info("%s of %s is nobody now", role, name)

    def divide(self, model: StoredModel, weight: float, by: str, canary: str) -> None:
        """Let `split.json` say this weight for the challenger that is pointed at; 0: no split.

        `canary` names the canary that wants it; empty for none.

        Raises:
            Unwritable: it cannot be written.

        """
        path = self.layout.split(model.name)
        pointer = pointer_of(self.layout, model.name, CHALLENGER)
        try:
            if pointer is None or not weight:
                if path.is_file():
                    path.unlink()
                    logger.info("%s is answered by production alone", model.name)
                return
            split = TrafficSplit(
                model=model.name,
                challenger_version=pointer.version,
                challenger_digest=pointer.digest,
                weight=weight,
                by=by,
                canary=canary,
                since=datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            )
            if not _says_the_same(split_of(self.layout, model.name), split):
                write_whole(path, split.write_pretty())
                words = "challenger of %s, version %d, answers %.4g %%"
                logger.info(words, model.name, pointer.version, 100 * weight)
        except OSError as err:
            raise unwritable(path, err) from err

    def wish(self, model: StoredModel) -> Wish | None:
        """What people want of the challenger; None where it cannot be read: nothing changes."""
        text = model.tags.get(TAG_CHALLENGER_SPLIT, OFF)
        try:
            wish = parse(text)
        except InvalidSplit as err:
            self.tell(
                model.name,
                f"tag {TAG_CHALLENGER_SPLIT} of {model.name}: {err.what}; nothing changes",
            )
            return None
        return wish

    def tell(self, name: str, what: str) -> None:
        """Log what is wrong with a model's roles, once."""
        if self._told.get(name) != what:
            self._told[name] = what
            logger.error("%s", what)

    def _check_fit(self, production: Pointer, pointer: Pointer, by: str) -> None:
        """Refuse a version that promises clients less; each pair of versions is read once."""
        pair = (production.digest, pointer.digest, by)
        if pair not in self._unfit:
            self._unfit[pair] = self._reasons(production, pointer, by)
        if self._unfit[pair]:
            raise GateRefused(
                "; ".join(self._unfit[pair]), remedy="train a version that takes the same requests"
            )

    def _reasons(self, production: Pointer, pointer: Pointer, by: str) -> tuple[str, ...]:
        ours, theirs = (
            read_manifest(self.layout.model(p.name, p.version) / MANIFEST_FILE, p.digest)
            for p in (pointer, production)
        )
        broken = [check.sentence for check in contract(ours, theirs) if check.refuses]
        if by and by not in theirs.schema.names:
            known = ", ".join(theirs.schema.names)
            broken.append(f"by: expected one of the features {known}, got {by!r}")
        return tuple(broken)


def split_of(layout: Layout, name: str) -> TrafficSplit | None:
    """The split that is in force here; None for none, or for one that cannot be read."""
    path = layout.split(name)
    try:
        return TrafficSplit.read(path.read_bytes(), str(path))
    except (FileNotFoundError, InvalidDocument):
        return None


def _says_the_same(there: TrafficSplit | None, split: TrafficSplit) -> bool:
    return there is not None and _words(there) == _words(split)


def _words(split: TrafficSplit) -> tuple[object, ...]:
    return (split.challenger_digest, split.challenger_version, split.weight, split.by, split.canary)
