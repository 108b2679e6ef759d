"""Whether a model directory is what was registered: pure checks on what was read of it."""

import hashlib
from collections.abc import Mapping
from pathlib import PurePath

from contracts.errors import CorruptModel, InvalidDocument
from contracts.manifest import Manifest
from contracts.names import MANIFEST_FILE

AGAIN = "fetch it again: slipway pull"


def trusted_manifest(data: bytes, digest: str | None, place: str) -> Manifest:
    """The manifest in `data`, if its sha256 is `digest` (None: not checked).

    Raises:
        CorruptModel: another manifest, or none.

    """
    got = hashlib.sha256(data).hexdigest()
    if digest is not None and got != digest:
        raise CorruptModel(f"{place}: expected sha256 {digest}, got {got}", remedy=AGAIN)
    try:
        return Manifest.read(data, place)
    except InvalidDocument as err:
        raise CorruptModel(err.what, remedy=AGAIN) from err


def check_files(manifest: Manifest, found: Mapping[str, str], place: str) -> None:
    """Hold the sha256 of every file beside the manifest against it; `found` is by name.

    Raises:
        CorruptModel: a file is missing, changed, too many, or named like a path.

    """
    for name, expected in sorted(manifest.files.items()):
        if PurePath(name).name != name or name == MANIFEST_FILE:
            raise CorruptModel(
                f"{place}/{MANIFEST_FILE}: files: expected plain file names, got {name!r}",
                remedy="train the version again",
            )
        got = found.get(name, "nothing")
        if got != expected:
            raise CorruptModel(
                f"{place}/{name}: expected sha256 {expected}, got {got}", remedy=AGAIN
            )
    extra = sorted(found.keys() - manifest.files.keys() - {MANIFEST_FILE})
    if extra:
        raise CorruptModel(
            f"{place}/{extra[0]}: expected only files of the manifest, got this one", remedy=AGAIN
        )
