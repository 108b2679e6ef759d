"""A model directory is what was registered, or it is not used."""

import hashlib
from pathlib import Path

from contracts.errors import CorruptModel, InvalidDocument
from contracts.manifest import Manifest
from contracts.names import MANIFEST_FILE

_AGAIN = "remove the directory and run: slipway pull"


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(path: Path, digest: str | None) -> Manifest:
    """The manifest in the file `path`, if its sha256 is `digest` (None: not checked).

    Raises:
        CorruptModel: it is missing, not readable as a manifest, or another one.

    """
    if not path.is_file():
        raise CorruptModel(f"{path}: expected a file, got nothing", remedy=_AGAIN)
    data = path.read_bytes()
    got = hashlib.sha256(data).hexdigest()
    if digest is not None and got != digest:
        raise CorruptModel(f"{path}: expected sha256 {digest}, got {got}", remedy=_AGAIN)
    try:
        return Manifest.read(data, str(path))
    except InvalidDocument as err:
        raise CorruptModel(err.what, remedy=_AGAIN) from err


def verify(directory: Path, digest: str | None) -> Manifest:
    """The manifest of a model directory of which every byte is what was registered.

    Raises:
        CorruptModel: a file is missing, changed or too many, or the manifest is not the one
            with `digest`.

    """
    manifest = read_manifest(directory / MANIFEST_FILE, digest)
    for name, expected in sorted(manifest.files.items()):
        _verify_file(directory, name, expected)
    present = {path.name for path in directory.iterdir()}
    extra = sorted(present - manifest.files.keys() - {MANIFEST_FILE})
    if extra:
        raise CorruptModel(
            f"{directory / extra[0]}: expected only files of the manifest, got this one",
            remedy=_AGAIN,
        )
    return manifest


def _verify_file(directory: Path, name: str, expected: str) -> None:
    path = directory / name
    if Path(name).name != name or path.is_symlink():
        raise CorruptModel(
            f"{directory / MANIFEST_FILE}: files: expected plain file names, got {name!r}",
            remedy="train the version again",
        )
    if not path.is_file():
        raise CorruptModel(f"{path}: expected a file, got nothing", remedy=_AGAIN)
    got = sha256_of(path)
    if got != expected:
        raise CorruptModel(f"{path}: expected sha256 {expected}, got {got}", remedy=_AGAIN)
