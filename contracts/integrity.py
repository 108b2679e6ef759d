"""Checks that a model directory is what was registered, on bytes and digests that were read."""

import hashlib
from collections.abc import Mapping
from pathlib import PurePath

from contracts.errors import CorruptModel, InvalidDocument, preview
from contracts.manifest import Manifest
from contracts.names import MANIFEST_FILE

FETCH_AGAIN = "fetch it again: slipway pull"


def trusted_manifest(data: bytes, digest: str | None, source: str) -> Manifest:
    """The manifest in `data`, if its sha256 is `digest` (None: not checked).

    `source`, such as a path, is named in errors.

    Raises:
        CorruptModel: a different manifest, or none.

    """
    got = hashlib.sha256(data).hexdigest()
    if digest is not None and got != digest:
        raise CorruptModel(f"{source}: expected sha256 {digest}, got {got}", remedy=FETCH_AGAIN)
    try:
        return Manifest.read(data, source)
    except InvalidDocument as err:
        raise CorruptModel(err.what, remedy=FETCH_AGAIN) from err


def check_answers(manifest: Manifest, source: str) -> None:
    """Check that a manifest names each score of its golden requests, in printable names.

    Together with `services.inference.loader`, which compares the model with the golden requests,
    this means that each output of the model has a name. `source` is named in errors.

    Raises:
        CorruptModel: it does not.

    """
    names = manifest.classes or manifest.outputs
    fault = _fault_of_names(manifest, names)
    lengths = {len(golden.scores) for golden in manifest.golden}
    if not fault and lengths != {len(names)}:
        found = ", ".join(map(str, sorted(lengths))) or "no golden request"
        fault = f"golden: expected {len(names)} scores in each, one for each name, got {found}"
    if fault:
        raise CorruptModel(f"{source}: {fault}", remedy="train the version again")


def _fault_of_names(manifest: Manifest, names: tuple[str, ...]) -> str:
    """What is wrong with the names of classes, outputs and features; empty if nothing is."""
    n_classes = len(manifest.classes)
    is_right = {
        "binary": n_classes == 2,  # noqa: PLR2004 - that is what binary means
        "multiclass": n_classes > 2,  # noqa: PLR2004 - more than binary
        "regression": n_classes == 0 and bool(names),
    }
    if not is_right[manifest.task]:
        return f"classes: expected those of a {manifest.task} task, got {n_classes}"
    if len(set(names)) < len(names):
        return "classes: expected each name once"
    for name in (*names, *manifest.schema.names):
        if not name.isprintable():
            return f"names: expected printable characters, got {preview(name)}"
    return ""


def check_files(manifest: Manifest, found: Mapping[str, str], source: str) -> None:
    """Compare the sha256 of every file in the directory, by name in `found`, with the manifest.

    Raises:
        CorruptModel: a file is missing, changed, not in the manifest, or named like a path.

    """
    for name, expected in sorted(manifest.files.items()):
        if PurePath(name).name != name or name == MANIFEST_FILE:
            raise CorruptModel(
                f"{source}/{MANIFEST_FILE}: files: expected plain file names, got {name!r}",
                remedy="train the version again",
            )
        got = found.get(name, "nothing")
        if got != expected:
            raise CorruptModel(
                f"{source}/{name}: expected sha256 {expected}, got {got}", remedy=FETCH_AGAIN
            )
    extra = sorted(found.keys() - manifest.files.keys() - {MANIFEST_FILE})
    if extra:
        raise CorruptModel(
            f"{source}/{extra[0]}: expected only files that the manifest lists", remedy=FETCH_AGAIN
        )
