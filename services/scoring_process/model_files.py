"""The files of a model, read once and verified."""

import hashlib
from pathlib import Path

from contracts.errors import CorruptModel
from contracts.integrity import FETCH_AGAIN
from contracts.scoring import LoadModel


def verified_files(load: LoadModel) -> dict[str, bytes]:
    """The contents of the files of a model, by name.

    Raises:
        CorruptModel: a file is missing, or differs from what was registered.

    """
    found: dict[str, bytes] = {}
    for name, expected in load.files.items():
        path = Path(load.directory, name)
        try:
            found[name] = path.read_bytes()
        except OSError as err:
            raise CorruptModel(
                f"{path}: expected a file, got {err.strerror}", remedy=FETCH_AGAIN
            ) from err
        got = hashlib.sha256(found[name]).hexdigest()
        if got != expected:
            raise CorruptModel(f"{path}: expected sha256 {expected}, got {got}", remedy=FETCH_AGAIN)
    return found
