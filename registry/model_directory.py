"""Read and verify model directories: one is what was registered, or it is not used."""

import hashlib
from pathlib import Path

from contracts.errors import CorruptModel
from contracts.integrity import FETCH_AGAIN, check_files, trusted_manifest
from contracts.manifest import Manifest
from contracts.names import MANIFEST_FILE


def read_manifest(path: Path, digest: str | None) -> Manifest:
    """The manifest in the file `path`, if its sha256 is `digest` (None: not checked).

    Raises:
        CorruptModel: the file is missing, is not a manifest, or is a different one.

    """
    if not path.is_file():
        raise CorruptModel(f"{path}: expected a file, got nothing", remedy=FETCH_AGAIN)
    return trusted_manifest(path.read_bytes(), digest, str(path))


def verify(directory: Path, digest: str | None) -> Manifest:
    """The manifest of a model directory in which every byte is what was registered.

    Raises:
        CorruptModel: a file is missing, changed or unexpected, or the manifest is not the one
            with the sha256 `digest` (None: not checked).

    """
    manifest = read_manifest(directory / MANIFEST_FILE, digest)
    check_files(manifest, sha256_of_files(directory), str(directory))
    return manifest


def sha256_of_files(directory: Path) -> dict[str, str]:
    """The sha256 of every file in a folder, by name; what is not a plain file has none."""
    return {path.name: _sha256(path) for path in directory.iterdir()}


def _sha256(path: Path) -> str:
    if path.is_symlink() or not path.is_file():
        return "no plain file"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
