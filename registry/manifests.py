"""The manifest of a registered version, read from the artifacts of its run."""

import tempfile
from pathlib import Path

from contracts.errors import CorruptModel, NotRegistered
from contracts.files import unwritable
from contracts.manifest import Manifest
from contracts.names import MANIFEST_FILE, MODEL_DIRECTORY, TAG_DIGEST
from registry.mlflow_store.versions import StoredVersion
from registry.model_directory import read_manifest
from registry.store import Store

MANIFEST_PATH = f"{MODEL_DIRECTORY}/{MANIFEST_FILE}"
"""The path of a manifest within the artifacts of its run."""


def fetch_manifest(store: Store, name: str, version: int) -> Manifest:
    """The manifest that was registered with a version.

    Raises:
        NotRegistered: no such version, or `slipway train` did not make it.
        CorruptModel: the artifact is missing, or is not what was registered.
        RegistryUnreachable: the tracking server or its artifact store does not answer.
        Unwritable: the folder for temporary files is full.

    """
    stored = store.versions.get(name, version)
    digest = require_digest(stored)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = store.artifacts.download(stored.run_id, MANIFEST_PATH, Path(folder))
            return read_manifest(path, digest)
    except NotRegistered as err:
        raise CorruptModel(err.what, remedy=err.remedy) from err
    except OSError as err:
        raise unwritable(Path(tempfile.gettempdir()), err) from err


def require_digest(stored: StoredVersion) -> str:
    """The sha256 of a version's manifest.

    Raises:
        NotRegistered: `slipway train` did not make the version.

    """
    if not stored.digest:
        raise NotRegistered(
            f"{stored.name} version {stored.version}: expected a version made by slipway train, "
            f"got one without the tag {TAG_DIGEST}",
            remedy=f"slipway train {stored.name}",
        )
    return stored.digest
